"""Nothing outside `runtimes/` names a runtime: not an identifier, an import, or a string."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import intaglio

SOURCE = Path(intaglio.__file__).parent
NAMES = re.compile(r"litert|tflite|xnnpack|ai[-_]edge", re.IGNORECASE)
HELP = {"help", "metavar"}
"""Arguments whose text is for the reader of a help page."""
FILES = [
    file
    for file in sorted(SOURCE.rglob("*.py"))
    if file.relative_to(SOURCE).parts[:2] != ("runtimes", "litert")
    and file.relative_to(SOURCE).parts != ("runtimes", "__init__.py")
]


def said(tree: ast.AST) -> Iterator[str]:
    """Yield identifiers, imports and strings; no docstrings, and no texts of help pages."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""  # a docstring
        if isinstance(node, ast.keyword) and node.arg in HELP:
            node.value = ast.Constant("")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            yield str(node.value)
        for name in ("id", "attr", "arg", "name", "module"):
            found = getattr(node, name, None)
            if isinstance(found, str):
                yield found


def named(text: str) -> list[str]:
    """Return what a text of Python says of runtimes."""
    return [word for word in said(ast.parse(text)) if NAMES.search(word)]


def test_rooms_of_others_name_no_runtime():
    assert not [file for file in FILES if named(file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    "text",
    [
        "from intaglio.runtimes.litert.check import check_file",
        "def write_tflite(): pass",
        "x = target.xnnpack",
        "y = 'model.tflite'",
        "z = f(litert=1)",
        "class Litert: pass",
        "print(f'for LiteRT {x}')",
    ],
)
def test_a_runtime_that_is_named_is_found(text):
    assert named(text)


@pytest.mark.parametrize(
    "text",
    ['"""As TFLite does it."""', "typer.Option(help='litert or another')", "x = 'light'"],
)
def test_docstrings_and_help_may_name_one(text):
    assert not named(text)
