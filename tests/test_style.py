"""House rules that a machine can check: complete schemas, and what the source never does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from architectures import architectures, captured
from intaglio.ops import OPS, check_node
from intaglio.passes.canonicalize import canonicalize

SOURCE = Path(__file__).resolve().parent.parent / "src" / "intaglio"
FILES = {str(file.relative_to(SOURCE)): file for file in sorted(SOURCE.rglob("*.py"))}
TREES = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in FILES.items()}
NAMES = list(architectures())
MADE_BY_PASSES = {"affine", "rescale", "depth_to_space", "quantize"}
"""Ops that no ATen call becomes."""


@pytest.mark.parametrize("name", NAMES)
def test_every_captured_node_has_exactly_what_its_schema_names(name):
    source, canonical = captured(name).source, captured(name).graph
    canonicalize(canonical)

    for node in (*source, *canonical):
        check_node(node)
        assert set(node.attrs) == set(OPS[node.op].attributes)
        assert set(node.params) <= set(OPS[node.op].roles)


def test_the_architectures_use_every_op():
    used = {node.op for name in NAMES for node in captured(name).source}

    assert set(OPS) - MADE_BY_PASSES - used == set()


def calls(tree: ast.AST) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("name", FILES)
def test_only_commands_print(name):
    assert (
        name.startswith("cli/") or name.endswith("__main__.py") or "print" not in calls(TREES[name])
    )


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_unpickled_or_evaluated(name):
    forbidden = {"eval", "exec", "compile", "__import__"}
    used = calls(TREES[name])

    assert not used & forbidden
    assert not [call for call in used if call.startswith(("pickle.", "marshal.", "shelve."))]


@pytest.mark.parametrize("name", FILES)
def test_torch_load_always_reads_weights_only(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert given.get("weights_only") == "True"


@pytest.mark.parametrize("name", FILES)
def test_every_file_says_what_it_is_and_what_is_public_says_what_it_does(name):
    tree = TREES[name]
    assert ast.get_docstring(tree) or not tree.body

    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
