"""Imports point down only, never in a circle, and never from inside a function."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "intaglio"
FLOORS = {
    "numerics": 0, "errors": 0, "registry": 0, "memory": 0, "host": 0, "progress": 0,
    "complaint": 0,
    "ops": 1, "ir": 1, "zoo": 1, "data": 1, "weights": 1, "batches": 1, "encodings_file": 1,
    "encodings_fit": 1,
    "targets": 2,
    "capture": 3, "run": 3, "cost": 3,
    "passes": 4,
    "calibrate": 5,
    "ptq": 6, "datafree": 6, "qat": 6, "prune": 6, "cluster": 6,
    "export": 7,
    "recipe": 8, "options": 8, "settings": 8, "autopilot": 8, "judge": 8, "outcome": 8,
    "quantization": 8, "recorder": 8, "held_images": 8, "pipeline": 8, "result": 8, "evaluate": 8,
    "inspection": 8, "doctor": 8, "report": 8,
    "cli": 9, "demo": 9,
}  # fmt: skip
OPTIONAL = {"sklearn"}
"""Third-party packages that a plain installation lacks: these alone may be imported late."""
FILES = sorted(SOURCE.rglob("*.py"))


def module_of(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}


def imports(tree: ast.AST) -> set[str]:
    """Return the modules of intaglio that a file imports; those for type checking alone as well."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return {name for name in found if name.split(".")[0] == "intaglio"}


def floor(module: str) -> int | None:
    """Return the floor of a module; None for the package itself, which shows what others make."""
    parts = module.split(".")
    return FLOORS[parts[1]] if len(parts) > 1 and parts[1] in FLOORS else None


@functools.cache
def trees() -> dict[str, ast.Module]:
    """Return every module, parsed."""
    return {module: ast.parse(file.read_text(encoding="utf-8")) for module, file in MODULES.items()}


@functools.cache
def imported() -> dict[str, set[str]]:
    """Return what every module imports of intaglio."""
    return {module: imports(tree) for module, tree in trees().items()}


def test_every_module_has_a_floor():
    homeless = [
        module
        for module in MODULES
        if floor(module) is None and module not in ("intaglio", "intaglio.__main__")
    ]

    assert not homeless, "name their floor in FLOORS"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_nothing_from_a_higher_floor(module):
    own = floor(module)
    if own is None:
        return
    upward = [name for name in imported()[module] if name == "intaglio" or (floor(name) or 0) > own]

    assert not upward


def test_methods_of_floor_6_never_import_each_other():
    siblings = {name for name, level in FLOORS.items() if level == 6}

    crossing = [
        (module, name)
        for module, names in imported().items()
        for name in names
        if module.count(".") and module.split(".")[1] in siblings
        if name.count(".") and name.split(".")[1] in siblings - {module.split(".")[1]}
    ]

    assert not crossing


def cycle_in(edges: dict[str, set[str]]) -> list[str]:
    """Return one circle of imports, or an empty list."""
    done: set[str] = set()

    def follow(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for name in sorted(edges.get(module, ())):
            found = follow(name, [*path, module])
            if found:
                return found
        done.add(module)
        return []

    return next((found for module in edges if (found := follow(module, []))), [])


def test_nothing_imports_in_a_circle():
    # a package's __init__ only collects: what a module imports from its own package is the module
    edges = {
        module: {name for name in names if name in MODULES and name != module}
        for module, names in imported().items()
    }

    assert not cycle_in(edges)


def test_a_circle_is_found():
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert not cycle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()})


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_imported_inside_a_function_but_optional_packages(module):
    late = [
        ast.unparse(inner)
        for outer in ast.walk(trees()[module])
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
        if isinstance(inner, ast.Import | ast.ImportFrom)
        if not packages_of(inner) <= OPTIONAL
    ]

    assert not late


def packages_of(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return {alias.name.split(".")[0] for alias in node.names}


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_absolute_and_never_torchvision(module):
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, ast.unparse(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert "torchvision" not in packages_of(node)


def test_only_capture_imports_torch_export():
    users = {
        module.split(".")[1]
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch.export")
    }

    assert users <= {"capture"}
