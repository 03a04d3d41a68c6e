"""Rooms that know no task say nothing of classes: neither a name nor a string of theirs does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import intaglio

SOURCE = Path(intaglio.__file__).parent
KNOWING = (
    "tasks/",
    "boxes/",  # each has a class
    "maps/",  # each pixel has a class
    "read/module/families/",  # detectors, told by how their classes come out
    "job/whole.py",
    "methods/train/two_stage.py",
    "runtimes/litert/on_device/",  # the runner of a detector
    "data/",  # the folders of a data set are classes
    "zoo/",
    "methods/datafree/",  # images that are made for a class
    "calibrate/implied_ranges.py",  # without images, scores have ranges of their own
    "calibrate/noise_ranges.py",
    "demo/",
    "report/detection.py",  # what a detector lost, one kind of thing after the other
    "report/segmentation.py",
    "runtimes/litert/file/",  # what a file says of itself, and the scores of any file
    "cli/options.py",  # help texts
    "cli/train_options.py",
)
WORDS = re.compile(r"top[-_ ]?[15]|class(es|ifier|ifiers|ify|ifies)?", re.IGNORECASE)
OF_PYTHON = {
    "read/__init__.py": {"class"},
    "read/module/unwrap.py": {"class"},
    "read/named/build.py": {"class"},
    "store/weights.py": {"classes"},
}
"""Those that mean classes of Python."""
FILES = [
    str(file.relative_to(SOURCE))
    for file in sorted(SOURCE.rglob("*.py"))
    if not str(file.relative_to(SOURCE)).startswith(KNOWING)
]


def said(tree: ast.Module) -> Iterator[str]:
    """Yield every name and every string of a file, but docstrings and names of knowing rooms."""
    ends = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documented = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, ends)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    theirs = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(KNOWING_MODULES)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documented:
                yield node.value
        elif isinstance(node, ast.Name | ast.Attribute | ast.arg | ast.keyword | ast.alias):
            name = getattr(node, "id", None) or getattr(node, "attr", None)
            name = name or getattr(node, "arg", None) or getattr(node, "name", None)
            if name and name not in theirs:
                yield name
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


KNOWING_MODULES = tuple(f"intaglio.{room.rstrip('/').replace('/', '.')}" for room in KNOWING)


def found_in(text: str) -> list[str]:
    """Return what a text of Python says of classes."""
    parts = (part for one in said(ast.parse(text)) for part in re.split(r"[^A-Za-z0-9-]+|_", one))
    return [part for part in parts if WORDS.fullmatch(part)]


def test_neutral_rooms_know_no_class():
    found = {name: set(found_in((SOURCE / name).read_text(encoding="utf-8"))) for name in FILES}

    assert not {name for name in FILES if found[name] - OF_PYTHON.get(name, set())}


@pytest.mark.parametrize(
    "text",
    [
        "row.top1 = 3",
        "x = {'top5': 1}",
        "def class_count(): ...",
        "f'accuracy needs a classifier, {x} is none'",
        "call(top1=3)",
        "title = 'Top-1'",
        "from intaglio.job.x import classes",
    ],
)
def test_what_is_looked_for_is_found(text):
    assert found_in(text)


@pytest.mark.parametrize(
    "text",
    [
        '"""Of a classifier."""',
        "x = 'unclassified'",
        "from intaglio.data.labels import class_names\nclass_names()",
        'class A:\n    b: int\n    """One class."""',
    ],
)
def test_docstrings_and_names_of_knowing_rooms_are_left_out(text):
    assert not found_in(text)
