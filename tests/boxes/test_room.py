"""The room stands alone: a device that has NumPy can run it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import intaglio.boxes

FILES = sorted(Path(intaglio.boxes.__file__).parent.glob("*.py"))


def imported(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_nothing_is_imported_but_numpy_the_standard_library_and_the_room_itself():
    for file in FILES:
        for name in imported(file):
            first = name.split(".")[0]
            alone = first == "numpy" or first in sys.stdlib_module_names
            assert alone or name.split(".")[:2] == ["intaglio", "boxes"], (file.name, name)
