"""House rules that a machine can check: complete schemas, and what the source never does."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from architectures import architectures, captured
from intaglio.ops import OPS, check_node
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.ops_read import REFUSED

SOURCE = Path(__file__).resolve().parent.parent / "src" / "intaglio"
FILES = {str(file.relative_to(SOURCE)): file for file in sorted(SOURCE.rglob("*.py"))}
NAMES = list(architectures())
USED_BY = {
    "mobilevit": "add batch_norm clamp concat constant conv2d div input linear mul reshape"
    " silu slice softmax transpose",
    "lite_reduced_aspp": "adaptive_avg_pool2d hard_swish resize sigmoid",
    "functional": "avg_pool2d max_pool2d pad",
    "regnet_y": "mean",
    "unet": "conv_transpose2d",
    "yolo_like": "leaky_relu",
    "in_place": "sub",
    "containers": "tanh",
    "zoo.mobilenet_v3_small": "hard_sigmoid",
    "vocabulary": "affine depth_to_space function matmul maximum minimum prelu reduce_max take",
    "choices": "compare where",
    "unknown_ops": "opaque",
}
"""Architecture to ops that it uses."""


@pytest.mark.parametrize("name", NAMES)
def test_every_captured_node_has_exactly_what_its_schema_names(name):
    source, canonical = captured(name).source, captured(name).graph
    canonicalize(canonical)

    for node in (*source, *canonical):
        check_node(node)
        assert set(node.attrs) == set(OPS[node.op].attributes)
        assert set(node.params) <= set(OPS[node.op].roles)


@pytest.mark.parametrize("name", USED_BY)
def test_an_architecture_uses_the_ops_that_it_is_here_for(name):
    assert set(USED_BY[name].split()) <= {node.op for node in captured(name).source}


def test_the_architectures_use_every_op_that_is_said_to_be_read():
    assert set(" ".join(USED_BY.values()).split()) == set(OPS) - REFUSED.keys()


@functools.cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


@functools.cache
def calls(name: str) -> set[str]:
    tree = tree_of(name)
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


# Files are looked through in one test a rule, which names those that break it: a test for each of
# them costs more than looking.


def test_only_commands_print():
    on_a_device = "runtimes/litert/on_device/detect.py"  # a command too, where there is no other
    silent = [name for name in FILES if not name.startswith("cli/") and name != on_a_device]

    assert not [n for n in silent if not n.endswith("__main__.py") and "print" in calls(n)]


def test_nothing_is_unpickled_or_evaluated():
    forbidden = {"eval", "exec", "compile", "__import__"}
    unsafe = ("pickle.", "marshal.", "shelve.")

    assert {name: calls(name) & forbidden for name in FILES if calls(name) & forbidden} == {}
    assert not [(name, call) for name in FILES for call in calls(name) if call.startswith(unsafe)]


def test_torch_load_always_reads_weights_only():
    for name in FILES:
        for node in ast.walk(tree_of(name)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get("weights_only") == "True", name


def test_every_file_says_what_it_is_and_what_is_public_says_what_it_does():
    for name in FILES:
        tree = tree_of(name)
        assert ast.get_docstring(tree) or not tree.body, name

        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), (name, node.name)


def test_every_function_without_an_underscore_says_what_it_does():
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    silent = [
        (name, node.name)
        for name in FILES
        for node in ast.walk(tree_of(name))
        if isinstance(node, functions) and not ast.get_docstring(node)
    ]

    assert not [one for one in silent if not one[1].startswith("_")]
