"""Imports point down only, rooms stand in no circle, and nothing is imported inside a function."""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "docs" / "make_rooms.py"
SPEC = importlib.util.spec_from_file_location("make_rooms", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
rooms = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(rooms)

OPTIONAL = {"pycocotools", "sklearn", "tensorboard", "yaml"}
"""Third-party packages that a plain installation lacks: these alone may be imported late."""
LATE = {"intaglio", "intaglio.cli.main"}
"""Modules that import late, so that neither `import intaglio` nor help has to wait for torch."""
FOR_USERS = {"intaglio.read.named.build"}
"""What imports a module that the user names."""


def test_every_module_is_in_a_room():
    assert not rooms.homeless(), "name the room's floor in docs/make_rooms.py"


def test_nothing_is_imported_from_a_higher_floor():
    assert not rooms.upward()


def test_inside_a_hall_imports_run_in_its_order():
    assert not rooms.against_the_order()


def test_rooms_stand_in_no_circle():
    assert not rooms.circle_of_rooms()


def test_methods_never_import_a_runtime_and_tasks_no_method():
    crossing = {
        pair
        for pair in rooms.arrows()
        if (pair[0].startswith("methods") and pair[1].startswith("runtimes"))
        or (pair[0] == "tasks" and pair[1].startswith("methods"))
    }

    assert not crossing


def test_the_root_holds_no_more_than_the_house_says():
    found = {path.name for path in rooms.SOURCE.iterdir() if path.name != "__pycache__"}
    files = {name for name in found if (rooms.SOURCE / name).is_file()}

    assert files == {"__init__.py", "__main__.py", "errors.py", "registry.py", "py.typed"}


def test_modules_stand_in_no_circle():
    # a package's __init__ only collects: what a module imports from its own package is the module
    edges = {
        module: {name for name in names if name in rooms.modules() and name != module}
        for module, names in rooms.imported().items()
    }

    assert not rooms.circle_in(edges)


def test_a_circle_is_found():
    assert rooms.circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert not rooms.circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()})


def test_exactly_two_files_import_inside_a_function_what_is_no_optional_package():
    assert {module for module in rooms.modules() if imported_late(module)} == LATE


@functools.cache
def imported_late(module: str) -> list[str]:
    """Return what a file imports inside of functions, or by a name that is no literal."""
    tree = rooms.trees()[module]
    inside = [
        ast.unparse(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
        if isinstance(inner, ast.Import | ast.ImportFrom)
        if not packages_of(inner) <= OPTIONAL
    ]
    by_name = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module")
    ]
    return inside + (by_name if module not in FOR_USERS else [])


def packages_of(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return {alias.name.split(".")[0] for alias in node.names}


def test_imports_are_absolute_and_never_torchvision():
    for module in rooms.modules():
        for node in ast.walk(rooms.trees()[module]):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, (module, ast.unparse(node))
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "torchvision" not in packages_of(node), module


def test_only_the_reader_of_modules_imports_torch_export():
    users = {
        rooms.room(module)
        for module, tree in rooms.trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch.export")
    }

    assert users <= {"read/module", "read/program"}
