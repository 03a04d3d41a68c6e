"""A drawing of rooms on floors: boxes in rows, arrows from row to row, as the text of an SVG.

Arrows that are longer than one row pass the rows between at places of their own, so that none runs
through a box. Places are pulled towards what they are joined with, row by row, down and up again.
Source: the layered drawings of Sugiyama, Tagawa, Toda 1981 (IEEE SMC-11, no. 2), with means for
orders and for coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

LETTER, BOX, ROW, GAP, LEFT = 7.4, 30, 62, 26, 60
"""Pixels: width of a letter, height of a box, from row to row, between boxes, left of them all."""
SWEEPS = 80
INK, LINE, SHADE, GROUND = "#26323a", "#5b6770", "#f4f5f6", "#ffffff"
TIP = (
    f'<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7"'
    f' orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{LINE}"/></marker></defs>'
)


@dataclass
class Place:
    """A box, or where an arrow passes a row between boxes.

    Attributes:
        name: What stands in the box; empty where an arrow passes.
        row: From the top.
        x: Its middle.
        above, under: What it is joined with in the rows beside its own.
    """

    name: str
    row: int
    x: float = 0.0
    above: list[Place] = field(default_factory=list)
    under: list[Place] = field(default_factory=list)

    @property
    def width(self) -> float:
        """In pixels."""
        return LETTER * len(self.name) + 20 if self.name else 4.0

    @property
    def y(self) -> float:
        """Its middle."""
        return self.row * ROW + ROW / 2 + 5


def picture(
    row_of: Mapping[str, int],
    arrows: Mapping[str, Iterable[str]],
    floor: Callable[[str], int],
    tint: Callable[[str], str],
) -> str:
    """Return the text of the SVG.

    Args:
        row_of: Room to its row, from the top.
        arrows: Room to the rooms in lower rows that it points at.
        floor: Of a room; rows of one floor follow each other.
        tint: The colour of a room's box.
    """
    rows = placed(row_of, arrows)
    places = [place for row in rows for place in row]
    width = round(max(place.x + place.width / 2 for place in places)) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {ROW * len(rows) + 10}"'
        ' font-family="monospace" font-size="12">',
        TIP,
        f'<rect width="{width}" height="{ROW * len(rows) + 10}" fill="{GROUND}"/>',
        *bands([floor(next(place.name for place in row if place.name)) for row in rows], width),
        *(line for place in places if place.name for line in lines(place)),
        *(box(place, tint(place.name)) for place in places if place.name),
        "</svg>\n",
    ]
    return "\n".join(parts)


def placed(row_of: Mapping[str, int], arrows: Mapping[str, Iterable[str]]) -> list[list[Place]]:
    """Return what stands in each row, from left to right, each at its x."""
    boxes = {name: Place(name, row) for name, row in row_of.items()}
    rows: list[list[Place]] = [[] for _ in range(max(row_of.values()) + 1)]
    for place in boxes.values():
        rows[place.row].append(place)
    for first, others in arrows.items():
        for second in others:
            between = [Place("", row) for row in range(row_of[first] + 1, row_of[second])]
            chain = [boxes[first], *between, boxes[second]]
            for upper, lower in pairwise(chain):
                upper.under.append(lower)
                lower.above.append(upper)
            for place in between:
                rows[place.row].append(place)
    for sweep in range(SWEEPS):
        is_down = sweep % 2 == 0
        for row in rows if is_down else reversed(rows):
            for place in row:
                place.x = middle(place.above if is_down else place.under, place.x)
            row.sort(key=lambda place: place.x)
            keep_apart(row)
    left = min(place.x - place.width / 2 for row in rows for place in row)
    for row in rows:
        for place in row:
            place.x += LEFT - left
    return rows


def middle(joined: list[Place], own: float) -> float:
    """Return where a place would stand: amid those that it is joined with."""
    return sum(place.x for place in joined) / len(joined) if joined else own


def keep_apart(row: list[Place]) -> None:
    """Move a row's places, in their order, as little as keeps them apart."""
    clusters: list[list[Place]] = []
    for place in row:
        cluster = [place]
        while clusters and left_end(clusters[-1]) + extent(clusters[-1]) > left_end(cluster):
            cluster = clusters.pop() + cluster
        clusters.append(cluster)
    for cluster in clusters:
        left = left_end(cluster)
        for place in cluster:
            place.x = left + place.width / 2
            left += place.width + GAP


def extent(cluster: list[Place]) -> float:
    """Return the width of places side by side, the gap behind them included."""
    return sum(place.width + GAP for place in cluster)


def left_end(cluster: list[Place]) -> float:
    """Return where places side by side begin, when they are moved by nothing on the mean."""
    total, offset = 0.0, 0.0
    for place in cluster:
        total += place.x - offset - place.width / 2
        offset += place.width + GAP
    return total / len(cluster)


def bands(floors: list[int], width: int) -> list[str]:
    """Return the floors, each a number on a ground; every other one is shaded."""
    found = []
    for number in sorted(set(floors)):
        top, height = floors.index(number) * ROW + 5, floors.count(number) * ROW
        fill = SHADE if number % 2 else GROUND
        found.append(
            f'<rect y="{top}" width="{width}" height="{height}" fill="{fill}"/>'
            f'<text x="12" y="{top + height / 2 + 5:.0f}" font-size="15" fill="{LINE}">'
            f"{number}</text>"
        )
    return found


def lines(place: Place) -> list[str]:
    """Return the arrows that start at a room."""
    found = []
    for lower in place.under:
        x, y = place.x + port(place, place.under, lower), place.y + BOX / 2
        path, upper = f"M{x:.0f},{y:.0f}", place
        while not lower.name:
            path += curve(x, y, lower.x, lower.y - BOX / 2) + f" V{lower.y + BOX / 2:.0f}"
            x, y = lower.x, lower.y + BOX / 2
            upper, lower = lower, lower.under[0]
        end = lower.x + port(lower, lower.above, upper)
        path += curve(x, y, end, lower.y - BOX / 2)
        found.append(
            f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.2"'
            ' marker-end="url(#tip)"/>'
        )
    return found


def curve(x: float, y: float, end: float, bottom: float) -> str:
    """Return a curve that leaves and arrives upright."""
    bend = (bottom - y) / 2
    return f" C{x:.0f},{y + bend:.0f} {end:.0f},{bottom - bend:.0f} {end:.0f},{bottom:.0f}"


def port(place: Place, joined: list[Place], other: Place) -> float:
    """Return how far from a box's middle the arrow of one that it is joined with stands."""
    order = sorted(joined, key=lambda one: one.x)
    step = min(14.0, (place.width - 16) / max(len(order) - 1, 1))
    return (order.index(other) - (len(order) - 1) / 2) * step


def box(place: Place, tint: str) -> str:
    """Return a room's box and name."""
    left, top = place.x - place.width / 2, place.y - BOX / 2
    return (
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{place.width:.0f}" height="{BOX}" rx="4"'
        f' fill="{tint}" stroke="{INK}"/><text x="{place.x:.0f}" y="{place.y + 4:.0f}"'
        f' text-anchor="middle" fill="{INK}">{escape(place.name)}</text>'
    )
