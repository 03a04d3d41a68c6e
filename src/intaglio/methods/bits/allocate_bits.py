"""Which layer gets how many bits: least total sensitivity within a size.

The total is taken as the sum over layers (ZeroQ: Cai et al. 2020, arXiv:2001.00281, section 3.2),
so the best choices can be built layer by layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intaglio.errors import RequestError

Cost = Mapping[str, Mapping[int, int]]
"""Layer to bits to bytes."""
Sensitivity = Mapping[str, Mapping[int, float]]
"""Layer to bits to what the layer costs at these bits; any unit, smaller is better."""


@dataclass(frozen=True)
class Allocation:
    """One way to give bits to layers.

    Attributes:
        size_bytes, sensitivity: Totals.
        bits: By layer.
    """

    size_bytes: int
    sensitivity: float
    bits: dict[str, int]


@dataclass(frozen=True, eq=False)
class _Front:
    """Undominated totals over the layers so far: sizes rise, sensitivities fall.

    Attributes:
        sizes: [F] int64, bytes.
        totals: [F] float64.
        parents: [F], index in the front before this layer.
        options: [F], index of the layer's bits.
    """

    sizes: NDArray[np.int64]
    totals: NDArray[np.float64]
    parents: NDArray[np.int64]
    options: NDArray[np.int64]

    def kept(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> _Front:
        """Return the front of the totals at `which`: their indices, or a mask [F]."""
        return _Front(
            self.sizes[which], self.totals[which], self.parents[which], self.options[which]
        )


def allocate(cost_bytes: Cost, sensitivity: Sensitivity, budget_bytes: int) -> dict[str, int]:
    """Return the bits of each layer with the least total sensitivity within a size: the optimum.

    Dynamic programming over undominated totals. A total is left out when even the linear relaxation
    of the layers still to come, a lower bound, ends above a solution known from the start; that
    leaves some hundreds of totals where there would be millions, and loses nothing.

    Args:
        cost_bytes, sensitivity: The same layers with the same bits each.
        budget_bytes: The most that all layers may take together.

    Raises:
        RequestError: If even the smallest choice is larger (names its size), or the layers differ.
    """
    layers = _checked(cost_bytes, sensitivity)
    hulls = _suffix_hulls(layers)
    smallest = int(hulls[0][0][0])
    if smallest > budget_bytes:
        raise RequestError(
            f"the layers cannot fit into {budget_bytes} bytes: the smallest choice of bits takes"
            f" {smallest} bytes; allow at least that, or fewer bits for some layers"
        )
    sizes, totals = hulls[0]
    known = _greedy_total(layers, budget_bytes)
    slack = 1e-9 * (1.0 + abs(known) + float(np.abs(totals).max()))  # of sums in other orders
    fronts = [_start()]
    for number, (costs, penalties) in enumerate(layers.values(), 1):
        front = _undominated(_extended(fronts[-1], costs, penalties))
        sizes, totals = hulls[number]
        room = budget_bytes - front.sizes
        bound = front.totals + np.interp(room, sizes, totals)
        fronts.append(front.kept((room >= sizes[0]) & (bound <= known + slack)))
    return _traced(fronts, len(fronts[-1].sizes) - 1, cost_bytes)


def pareto_front(
    cost_bytes: Cost, sensitivity: Sensitivity, *, points: int = 256
) -> list[Allocation]:
    """Return the undominated allocations, from the smallest to the least sensitive.

    All of them where there are at most `points`, also on the way there: then the front is exact.
    Else each step keeps the best of `16 * points` equal intervals of size, and the end every so
    many; each is a true allocation, but one a little better may be missing. `allocate` is exact.

    Raises:
        RequestError: If the layers of both mappings differ.
    """
    layers = _checked(cost_bytes, sensitivity)
    fronts = [_start()]
    for costs, penalties in layers.values():
        front = _undominated(_extended(fronts[-1], costs, penalties))
        fronts.append(_thinned(front, 16 * points))
    last = _thinned(fronts[-1], points)
    fronts[-1] = last
    return [
        Allocation(int(last.sizes[end]), float(last.totals[end]), _traced(fronts, end, cost_bytes))
        for end in range(len(last.sizes))
    ]


Layers = dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
"""Layer to (bytes, sensitivities) of its bits, in the order of the request."""


def _checked(cost_bytes: Cost, sensitivity: Sensitivity) -> Layers:
    if not cost_bytes:
        raise RequestError("there are no layers to give bits to")
    found: Layers = {}
    for name in [*cost_bytes, *(name for name in sensitivity if name not in cost_bytes)]:
        costs, penalties = cost_bytes.get(name, {}), sensitivity.get(name, {})
        if not costs or costs.keys() != penalties.keys():
            raise RequestError(
                f"layer '{name}' has sizes for {sorted(costs)} bits and sensitivities for"
                f" {sorted(penalties)}: both are needed for the same bits"
            )
        if not all(math.isfinite(penalty) for penalty in penalties.values()):
            raise RequestError(f"layer '{name}' has a sensitivity that is not finite")
        found[name] = (
            np.array([costs[bits] for bits in costs], np.int64),
            np.array([penalties[bits] for bits in costs], np.float64),
        )
    return found


def _start() -> _Front:
    none = np.zeros(1, np.int64)
    return _Front(none, np.zeros(1), none, none)


def _extended(front: _Front, costs: NDArray[np.int64], penalties: NDArray[np.float64]) -> _Front:
    """Return every total with every option of the next layer added."""
    count = len(front.sizes)
    return _Front(
        (front.sizes[:, None] + costs).reshape(-1),
        (front.totals[:, None] + penalties).reshape(-1),
        np.repeat(np.arange(count), len(costs)),
        np.tile(np.arange(len(costs)), count),
    )


def _undominated(front: _Front) -> _Front:
    """Return the totals for which nothing as small is as good, sorted by size."""
    ordered = front.kept(np.lexsort((front.totals, front.sizes)))
    best = np.minimum.accumulate(ordered.totals)
    return ordered.kept(np.append(True, best[1:] < best[:-1]))


def _thinned(front: _Front, most: int) -> _Front:
    """Return at most `most` totals: the best, which is the last, of equal intervals of size."""
    if len(front.sizes) <= most:
        return front
    span = front.sizes - front.sizes[0]
    intervals = (span * (most - 1) - 1) // span[-1]  # the smallest total has one of its own
    return front.kept(np.append(intervals[1:] != intervals[:-1], True))


def _traced(fronts: Sequence[_Front], end: int, cost_bytes: Cost) -> dict[str, int]:
    """Return the bits of each layer on the way to a total of the last front."""
    found = {}
    for (name, costs), front in zip(
        reversed(list(cost_bytes.items())), reversed(fronts), strict=False
    ):
        found[name] = list(costs)[front.options[end]]
        end = int(front.parents[end])
    return {name: found[name] for name in cost_bytes}


Hull = tuple[NDArray[np.int64], NDArray[np.float64]]


def _hull(sizes: NDArray[np.int64], totals: NDArray[np.float64]) -> Hull:
    """Return the lower left convex hull of points: sizes rise, totals fall ever more slowly."""
    corners: list[tuple[int, float]] = []
    best = math.inf
    for size, total in sorted(zip(sizes.tolist(), totals.tolist(), strict=True)):
        if total >= best:
            continue
        best = total
        while len(corners) > 1:
            (size_0, total_0), (size_1, total_1) = corners[-2:]
            if (total_1 - total_0) * (size - size_0) < (total - total_0) * (size_1 - size_0):
                break
            corners.pop()
        corners.append((size, total))
    return (
        np.array([corner[0] for corner in corners], np.int64),
        np.array([corner[1] for corner in corners], np.float64),
    )


def _joined(first: Hull, second: Hull) -> Hull:
    """Return the hull of all sums: the edges of both, the steepest first."""
    steps = np.concatenate([np.diff(first[0]), np.diff(second[0])])
    falls = np.concatenate([np.diff(first[1]), np.diff(second[1])])
    order = np.argsort(falls / steps, kind="stable")
    return (
        np.cumsum(np.append(first[0][0] + second[0][0], steps[order])),
        np.cumsum(np.append(first[1][0] + second[1][0], falls[order])),
    )


def _suffix_hulls(layers: Layers) -> list[Hull]:
    """Return, for each number of layers done, the hull of totals of those still to come."""
    hulls: list[Hull] = [(np.zeros(1, np.int64), np.zeros(1))]
    for costs, penalties in reversed(layers.values()):
        hulls.append(_joined(_hull(costs, penalties), hulls[-1]))
    return hulls[::-1]


def _greedy_total(layers: Layers, budget_bytes: int) -> float:
    """Return the total of a good solution: the steepest edges of the hulls, as long as they fit."""
    hulls = [_hull(*layer) for layer in layers.values()]
    size = sum(int(sizes[0]) for sizes, _ in hulls)
    total = sum(float(totals[0]) for _, totals in hulls)
    edges = [
        (fall / step, number, int(step), float(fall))
        for number, (sizes, totals) in enumerate(hulls)
        for step, fall in zip(np.diff(sizes), np.diff(totals), strict=True)
    ]
    full: set[int] = set()
    for _, number, step, fall in sorted(edges):
        if number not in full and size + step <= budget_bytes:
            size, total = size + step, total + fall
        else:
            full.add(number)  # the edges of a layer build on each other
    return total
