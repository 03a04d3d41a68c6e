"""The rooms of src/intaglio, their floors, and the arrows between them, from the imports alone.

    python docs/make_rooms.py            writes docs/rooms.md and docs/rooms.svg
    python docs/make_rooms.py --list     prints rooms, arrows, and what is wrong with them

A room is a folder of the package, or one of the folders within `methods`, `read` and `runtimes`.
An arrow is that a file of one room imports a file of another. Arrows run down, or stay on their
floor where no circle comes of it.
"""

from __future__ import annotations

import argparse
import ast
import functools
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from draw_rooms import GROUND, picture

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCE = REPOSITORY / "src" / "intaglio"
PAGE = REPOSITORY / "docs" / "rooms.md"
PICTURE = REPOSITORY / "docs" / "rooms.svg"
FLOORS = {
    "errors": 0, "registry": 0, "numerics": 0, "ir": 0, "host": 0, "boxes": 0, "maps": 0,
    "ops": 1, "data": 1,
    "targets": 2, "store": 2, "cost": 2, "zoo": 2,
    "read": 3, "passes": 3, "run": 3,
    "calibrate": 4, "report": 4, "bench": 4,
    "runtimes": 5,
    "tasks": 6,
    "methods": 7,
    "recipe": 8, "doctor": 8,
    "job": 9,
    "cli": 10, "demo": 10, "search": 10,
}  # fmt: skip
"""Room, or what it is in, to its floor."""
HALLS = ("methods", "read", "runtimes")
"""Folders whose folders are rooms of their own."""
WITHIN = {
    "methods": (
        ("steps",),
        ("bias", "structure"),
        ("rounding",),
        ("blocks", "bits"),
        ("learn",),
        ("train",),
    ),
    "read": (("reader",), ("module",), ("program", "named", "onnx", "tflite"), ("source",)),
    "runtimes/litert": (
        ("low_bits",),
        ("format",),
        ("ops",),
        ("lower",),
        ("scales",),
        ("file",),
        ("interpreter",),
        ("check",),
        ("check_floats",),
        ("on_device",),
        ("targets",),
    ),
}
"""Halls, and one room, in which imports run in an order: a part imports only parts before it."""
TINTS = {"methods": "#e3ecf7", "read": "#e6f2e1", "runtimes": "#f8e9d8"}
"""Hall to the colour of its rooms."""
HEAD = """\
# Rooms

Made by `python docs/make_rooms.py` from the imports; do not edit.

A room is a folder of `src/intaglio`, or a folder (or file) within one of the halls `methods`,
`read` and `runtimes`. It stands on a floor, and imports point down.

![The rooms, floor by floor, and the arrows between them](rooms.svg)

An arrow is drawn where no longer way leads from the one room to the other: `job` uses `numerics`
too, by itself and through others. The table below has all of them.

## Rules

* **Imports point down**, or stay on their floor where no circle comes of it. When two rooms need
  the same thing, it moves down a floor.
* **Halls have rooms of their own**: the folders of `methods`, `read` and `runtimes`. Inside a hall,
  and inside `runtimes/litert`, imports run in an order, which `WITHIN` in `docs/make_rooms.py`
  states: a room imports only those before it, and two side by side never import each other.
* **Nothing outside `runtimes` names a runtime**: everything else asks a target
  (`src/intaglio/targets/runtime.py`). Which one is meant where none is named, only
  `src/intaglio/runtimes/__init__.py` says.
* **Methods import no runtime, and tasks no method**: both ask what they are given.
* **The root of the package** holds `__init__`, `__main__`, `errors`, `registry` and `py.typed`, and
  nothing else.
* **Nothing is imported inside a function**, but for what `tests/test_floors.py` names.

`tests/test_floors.py` holds the code to this, and `tests/test_docs.py` this page to the code.
`python docs/make_rooms.py --list` says what is wrong. A new room gets its floor in `FLOORS` of that
script, and a docstring in its `__init__`, whose first line is what the table shows.

## The rooms

| floor | room | what is in it | uses |
| ---: | --- | --- | --- |
"""


def module_of(file: Path) -> str:
    """Return the dotted name of a file of the package."""
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules() -> dict[str, Path]:
    """Return every module of the package and its file."""
    return {module_of(file): file for file in sorted(SOURCE.rglob("*.py"))}


@functools.cache
def trees() -> dict[str, ast.Module]:
    """Return every module, parsed."""
    return {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in modules().items()}


def imports(tree: ast.AST) -> set[str]:
    """Return the modules of intaglio that a file imports; those for type checking alone as well."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules() else node.module)
    return {name for name in found if name.split(".")[0] == "intaglio"}


@functools.cache
def imported() -> dict[str, set[str]]:
    """Return what every module imports of intaglio."""
    return {module: imports(tree) for module, tree in trees().items()}


def room(module: str) -> str | None:
    """Return the room of a module: "calibrate", "methods/steps"; None for the package itself."""
    parts = module.split(".")[1:]
    if not parts or parts[0] == "__main__":
        return None
    if parts[0] in HALLS and len(parts) > 1:
        return "/".join(parts[:2])
    return parts[0]


def floor(name: str) -> int:
    """Return the floor of a room."""
    return FLOORS[name.split("/")[0]]


def arrows() -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return, for each two rooms of which one imports the other, the modules that do so."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for module, names in imported().items():
        for name in sorted(names):
            pair = room(module), room(name)
            if pair[0] and pair[1] and pair[0] != pair[1]:
                found.setdefault((pair[0], pair[1]), []).append((module, name))
    return found


def homeless() -> list[str]:
    """Return the modules in no room that has a floor."""
    rooms = {module: room(module) for module in modules()}
    return [module for module, name in rooms.items() if name and name.split("/")[0] not in FLOORS]


def upward() -> list[tuple[str, str]]:
    """Return the imports of a module on a higher floor, and of the package itself."""
    return [
        (module, name)
        for module, names in imported().items()
        for name in sorted(names)
        if room(module) is not None
        and (room(name) is None or floor(room(name) or "") > floor(room(module) or ""))
    ]


def against_the_order() -> list[tuple[str, str]]:
    """Return the imports within a hall that run against its order, or across one step of it."""
    found = []
    for hall, order in WITHIN.items():
        prefix = f"intaglio.{hall.replace('/', '.')}."
        step_of = {name: number for number, names in enumerate(order) for name in names}
        for module, names in imported().items():
            own = module.removeprefix(prefix).split(".")[0]
            for name in names:
                other = name.removeprefix(prefix).split(".")[0]
                if module.startswith(prefix) and name.startswith(prefix) and own != other:
                    last = len(order)
                    if step_of.get(other, last) >= step_of.get(own, last):
                        found.append((module, name))
    return found


def circle_in(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """Return one circle, its first room once more at its end; an empty list where there is none."""
    done: set[str] = set()

    def follow(start: str, path: list[str]) -> list[str]:
        if start in path:
            return [*path[path.index(start) :], start]
        if start in done:
            return []
        for name in sorted(edges.get(start, ())):
            found = follow(name, [*path, start])
            if found:
                return found
        done.add(start)
        return []

    return next((found for start in edges if (found := follow(start, []))), [])


def circle_of_rooms() -> list[str]:
    """Return one circle of rooms."""
    edges: dict[str, set[str]] = {}
    for first, second in arrows():
        edges.setdefault(first, set()).add(second)
    return circle_in(edges)


def rooms() -> list[str]:
    """Return every room, the highest floor first."""
    found = {name for module in modules() if (name := room(module))}
    return sorted(found, key=lambda name: (-floor(name), name))


def below(name: str) -> list[str]:
    """Return the rooms that a room uses, in the alphabet's order."""
    return sorted(second for first, second in arrows() if first == name)


def about(name: str) -> str:
    """Return the first line of what a room says of itself."""
    tree = trees()[f"intaglio.{name.replace('/', '.')}"]
    return (ast.get_docstring(tree) or "").split("\n")[0]


def rooms_page() -> str:
    """Return the text of docs/rooms.md."""
    rows = [
        f"| {floor(name)} | `{name}` | {about(name)} |"
        f" {', '.join(f'`{other}`' for other in below(name)) or 'nothing'} |"
        for name in rooms()
    ]
    return HEAD + "\n".join(rows) + "\n"


def drawn() -> dict[str, list[str]]:
    """Return the arrows of the picture: those where no longer way leads to the same room."""
    edges = {name: below(name) for name in rooms()}

    @functools.cache
    def reached(name: str) -> frozenset[str]:
        return frozenset({name}).union(*(reached(other) for other in edges[name]))

    found = {}
    for name, others in edges.items():
        longer = {far for other in others for far in reached(other) - {other}}
        found[name] = [far for far in others if far not in longer]
    return found


def rows_of_rooms() -> dict[str, int]:
    """Return each room's row; on one floor a room stands above those that it uses."""

    @functools.cache
    def depth(name: str) -> int:
        beside = [other for other in below(name) if floor(other) == floor(name)]
        return max((depth(other) + 1 for other in beside), default=0)

    steps = sorted({(floor(name), depth(name)) for name in rooms()}, reverse=True)
    return {name: steps.index((floor(name), depth(name))) for name in rooms()}


def rooms_picture() -> str:
    """Return the text of docs/rooms.svg."""
    return picture(
        rows_of_rooms(),
        drawn(),
        floor,
        tint=lambda name: TINTS.get(name.split("/")[0], GROUND),
    )


def main() -> int:
    """Write the page, or print the list; 1 where an arrow is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true")
    wrong = [f"{a} imports {b}, upward" for a, b in upward()]
    wrong += [f"{a} imports {b}, against the order" for a, b in against_the_order()]
    wrong += [f"{module} has no floor" for module in homeless()]
    if circle := circle_of_rooms():
        wrong.append(f"circle of rooms: {' -> '.join(circle)}")
    if parser.parse_args().list:
        for name in rooms():
            print(f"{floor(name):2} {name}: {', '.join(below(name))}")
    else:
        PAGE.write_text(rooms_page(), encoding="utf-8")
        PICTURE.write_text(rooms_picture(), encoding="utf-8")
    print(f"{len(rooms())} rooms, {len(arrows())} arrows, {len(wrong)} wrong")
    print("\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
