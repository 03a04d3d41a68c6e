"""Which outputs hold what, for detectors whose levels are all alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from intaglio.boxes.coders import Coder, numbers_of
from intaglio.boxes.postprocess import Level, Part, Places


@dataclass(frozen=True)
class Heads:
    """The outputs of the heads.

    Each kind has one output a level, or (rows and columns) one output for all levels, in their
    order. Where kinds share outputs, the numbers of a position run: box, objectness, scores.

    Attributes:
        boxes, scores: Outputs.
        objectness: Outputs of objectness or centre-ness; empty where there is none.
        layout: Of all of them, see `Part`.
    """

    boxes: tuple[int, ...]
    scores: tuple[int, ...]
    objectness: tuple[int, ...] = ()
    layout: str = "map"


def per_level(levels: int, *, objectness: bool = False, layout: str = "map") -> Heads:
    """Return outputs for each level: first boxes of all levels, then scores, then objectness."""
    runs = [tuple(range(kind * levels, (kind + 1) * levels)) for kind in range(3)]
    return Heads(runs[0], runs[1], runs[2] if objectness else (), layout)


def packed(levels: int, *, objectness: bool = False, layout: str = "map") -> Heads:
    """Return one output for each level that holds all (box, objectness, scores)."""
    run = tuple(range(levels))
    return Heads(run, run, run if objectness else (), layout)


def together(*, objectness: bool = False, layout: str = "rows") -> Heads:
    """Return one output for all levels of each kind: boxes, scores, objectness."""
    return Heads((0,), (1,), (2,) if objectness else (), layout)


def levels_of(
    heads: Heads, places: Sequence[Places], coders: Sequence[Coder], classes: int
) -> tuple[Level, ...]:
    """Return the levels, with one of `places` and of `coders` each.

    Raises:
        ValueError: If a kind has neither one output nor as many as there are levels.
    """
    for kind in (heads.boxes, heads.scores, heads.objectness or heads.boxes):
        if len(kind) not in (1, len(places)):
            raise ValueError(f"{len(kind)} outputs of {len(places)} levels: give one each, or one")
    levels, start = [], 0
    for number, (own, coder) in enumerate(zip(places, coders, strict=True)):
        parts = _parts(heads, number, start, (numbers_of(coder), classes))
        levels.append(
            Level(own, coder, (parts["boxes"],), parts["scores"], parts.get("objectness"))
        )
        start += own.count
    return tuple(levels)


def _parts(heads: Heads, number: int, start: int, counts: tuple[int, int]) -> dict[str, Part]:
    """Return the part of each kind of one level, which begins at row `start` of all levels."""
    kinds = {"boxes": (heads.boxes, counts[0])}
    if heads.objectness:
        kinds["objectness"] = (heads.objectness, 1)
    kinds["scores"] = (heads.scores, counts[1])
    shared = {kind: run[number if len(run) > 1 else 0] for kind, (run, _) in kinds.items()}
    parts = {}
    for kind, (run, count) in kinds.items():
        same = [other for other in kinds if shared[other] == shared[kind]]
        width = sum(kinds[other][1] for other in same)
        first = sum(kinds[other][1] for other in same[: same.index(kind)])
        begin = start if len(run) == 1 else 0
        parts[kind] = Part(shared[kind], heads.layout, width, first, count, begin)
    return parts
