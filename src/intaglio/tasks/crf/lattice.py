"""A Gaussian kernel between many points, fast: permutohedral lattices, laid one over another.

Each point gives its value to the 6 corners of the simplex around it, and each corner what it has to
the points around it. Source of the lattice, of its simplices and of finding them by rounding and
ranks: Adams, Baek and Davis 2010 (Fast high-dimensional filtering using the permutohedral lattice).

How we differ. There one fine lattice is blurred along its axes between the two steps. In a
photograph, with colours 3 of 255 wide, most corners that a blur would have to pass through are not
there, and what is lost is lost at random. Here nothing is blurred. A coarse lattice alone has, on
average, a kernel that is as wide as the Gaussian, but it depends on where in a simplex the points
lie, and is flatter. So many lattices are averaged:

* STEPS. A kernel that repeats with the lattice is a Fourier series over the dual lattice, whose
  shortest vectors are e_a - e_b, then e_a + e_b - e_c - e_d. n lattices, shifted by multiples of
  6 g / n, have phases at such a vector that are the n-th roots of 1, and sum to 0, unless n divides
  g_a - g_b, or g_a + g_b - g_c - g_d. With g of 6 different numbers the first harmonics cancel;
  with a perfect difference set of 31 (Singer 1938: each difference but 0 comes once) the second do,
  too, and almost all of the third.
* WIDTHS. A mixture of a narrower and a wider kernel has heavier tails; with these two the fourth
  cumulant along an axis comes to about that of a Gaussian, 0.
* TURNS. The axes are taken in another order, which turns a lattice: what depends on the direction
  is so spread over more of them.

A small picture can afford more lattices than a large one: LAYOUTS.

The kernel is a matrix times its transpose: symmetric, positive semidefinite, its diagonal known.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from intaglio.errors import DataError
from intaglio.tasks.crf.kernels import Floats

DIMENSIONS = 5
SIDES = DIMENSIONS + 1
WIDTHS = (0.76, 1.24)
"""Variances of the kernels that are mixed, in equal parts; their mean is that of the Gaussian."""
TURNS = ((0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3), (1, 4, 0, 3, 2))
"""Orders of the axes, of a narrow kernel and of a wide one in turn."""
STEPS = {6: (0, 1, 2, 3, 4, 5), 13: (0, 1, 2, 3, 5, 9), 31: (0, 1, 3, 8, 12, 18)}
"""g by n: of all the one that leaves the fewest short harmonics."""
LAYOUTS = ((31, 4), (31, 2), (13, 2), (6, 2))
"""Lattices of a turn, and turns, the nearest to the Gaussian first."""
MOST = 2**21
"""Points times lattices that are afforded; the last layout has no limit."""
LARGEST_KEY = 2.0**61

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Ranks = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class _Layer:
    """One lattice: which points and corners are tied, and how strongly.

    Attributes:
        corners: [N, 6] int32, of each point; weights: the same shape.
        points: [6 N] int32, those around each corner in turn; shares: their weights.
        starts: [M] int32, where the points of each corner begin.
    """

    corners: Tensor
    weights: Tensor
    points: Tensor
    shares: Tensor
    starts: Tensor

    def summed(self, values: Tensor) -> Tensor:
        """Return what points [N, C] get from each other, [N, C]."""
        held = F.embedding_bag(
            self.points, values, self.starts, mode="sum", per_sample_weights=self.shares
        )
        return F.embedding_bag(self.corners, held, mode="sum", per_sample_weights=self.weights)


@dataclass(frozen=True, eq=False)
class Lattice:
    """exp(-|f_i - f_j|² / 2) between the points of a picture, about.

    Attributes:
        own: k(i, i), [H, W].
        order: [H W], the points in the order that the layers have them in.
        layers: Their kernels add up.
    """

    own: Floats
    order: Integers
    layers: tuple[_Layer, ...]

    def summed(self, values: Floats) -> Floats:
        """Return sum_j k(i, j) values_j of values [C, H, W]."""
        rows = values.reshape(len(values), -1).T
        given = torch.from_numpy(rows[self.order])  # [N, C]
        total = torch.zeros_like(given)
        for layer in self.layers:
            total += layer.summed(given)
        summed = np.empty_like(total.numpy())
        summed[self.order] = total.numpy()
        return np.ascontiguousarray(summed.T).reshape(values.shape)


def lattice(features: Floats, *, layout: tuple[int, int] | None = None) -> Lattice:
    """Return the kernel between the points of a picture.

    Args:
        features: [H, W, 5], finite, each in units of its standard deviation.
        layout: One of LAYOUTS; None: `afforded` for the points.

    Raises:
        DataError: If they reach too far to be counted: more than 2**61 places, times points.
    """
    points = features.reshape(-1, DIMENSIONS)
    # Points that are alike stand together: what they read and write is then near, too.
    order = np.lexsort(np.floor(points).T)
    layers = tuple(_layers(points[order], layout or afforded(len(points))))
    own = np.empty(len(points), np.float32)
    own[order] = sum((layer.weights**2).sum(1) for layer in layers)
    return Lattice(own.reshape(features.shape[:2]), order, layers)


def _layers(points: Floats, layout: tuple[int, int]) -> Iterator[_Layer]:
    """Yield the lattices of points [N, 5], shifted, scaled and turned against each other."""
    count, turns = layout
    basis = _basis(DIMENSIONS)
    for width, axes in zip(itertools.cycle(WIDTHS), TURNS[:turns], strict=False):
        # A point's weights have a variance of 6²/12 on average, whichever way it looks, once where
        # it gives and once where it gets.
        scale = SIDES / np.sqrt(6 * width)
        plane = (scale * basis[:, axes] @ points.T.astype(np.float64)).astype(np.float32)  # [6, N]
        height = np.sqrt(_height(scale) / (turns * count))
        for shift in _shifts(count):
            base, ranks, weights = _simplices(plane + shift[:, None])
            yield _layer(_keys(base, ranks), weights * np.float32(height))


def afforded(points: int) -> tuple[int, int]:
    """Return how many lattices of a turn, and how many turns, a number of points can afford."""
    few_enough = [(n, turns) for n, turns in LAYOUTS if n * turns * points <= MOST]
    return few_enough[0] if few_enough else LAYOUTS[-1]


def _shifts(count: int) -> Floats:
    """Return where the lattices of a turn lie, [count, 6], sums of 0."""
    shifts = np.outer(np.arange(count), STEPS[count]) % count * (SIDES / count)
    return np.asarray(shifts - shifts.mean(1, keepdims=True), np.float32)


def _basis(dimensions: int) -> Doubles:
    """Return d orthonormal columns across (1, .., 1), [d + 1, d]."""
    basis = np.zeros((dimensions + 1, dimensions))
    for axis in range(dimensions):
        basis[: axis + 1, axis] = 1
        basis[axis + 1, axis] = -(axis + 1)
        basis[:, axis] /= np.sqrt((axis + 1) * (axis + 2))
    return basis


def _height(scale: float) -> float:
    """Return what gives a lattice's kernel the integral of exp(-|f|² / 2), (2 pi)^(5 / 2).

    Without it, it has that of one cell: 6^5 / sqrt(6) at a scale of 1.
    """
    cell = SIDES**DIMENSIONS / np.sqrt(SIDES) / scale**DIMENSIONS
    return float((2 * np.pi) ** (DIMENSIONS / 2) / cell)


def _simplices(plane: Floats) -> tuple[Floats, Ranks, Floats]:
    """Return the simplex that each point of the plane is in.

    Args:
        plane: [d + 1, N], sums of 0.

    Returns:
        base [d + 1, N], the corner whose coordinates are multiples of d + 1, divided by it; ranks
        [d + 1, N], how many coordinates lie farther above it than each; weights [d + 1, N] of the
        corners, the base first, each >= 0, sums of 1.
    """
    sides = len(plane)
    base = np.rint(plane / sides)
    above = plane - base * sides
    ranks = np.zeros(plane.shape, np.int8)
    for a, b in itertools.combinations(range(sides), 2):
        behind = above[a] < above[b]
        ranks[a] += behind
        ranks[b] += ~behind
    # Rounding leaves the plane where its sum is not 0. The coordinates that were rounded farthest
    # are rounded the other way, which turns the ranks round.
    ranks += base.sum(0).astype(np.int8)
    turned = (ranks < 0).astype(np.int8) - (ranks >= sides)
    ranks += turned * np.int8(sides)
    base += turned
    above -= turned * np.float32(sides)
    _sort_falling(above)
    weights = np.empty_like(above)
    weights[1:] = (above[:-1] - above[1:])[::-1] / sides
    weights[0] = 1 + (above[-1] - above[0]) / sides
    return base, ranks, weights


def _sort_falling(rows: Floats) -> None:
    """Sort each column in place, the largest first; for few rows and many columns."""
    for a, b in itertools.combinations(range(len(rows)), 2):
        larger = np.maximum(rows[a], rows[b])
        np.minimum(rows[a], rows[b], out=rows[b])
        rows[a] = larger


def _keys(base: Floats, ranks: Ranks) -> Integers:
    """Return numbers for corners [d + 1, N]: of corner k the same for the same corner alone.

    Corner k of a simplex has (d + 1) base + k, less d + 1 in the k coordinates that lie the least
    above; the last coordinate follows from the others.

    Raises:
        DataError: If numbers and points would be more than 2**61 together.
    """
    low = base[:-1].min(1) - 1
    spans = base[:-1].max(1) - low + 1
    if np.prod(spans.astype(np.float64)) * base.shape[1] > LARGEST_KEY:
        raise DataError(
            f"the field's widths are too small for a picture that spans"
            f" {spans.astype(int).tolist()} of them: choose larger ones"
        )
    strides = np.concatenate([[1], np.cumprod(spans[:-1].astype(np.int64)), [0]])
    steps = np.empty(base.shape, np.int64)
    np.put_along_axis(steps, ranks.astype(np.int64), strides[:, None], axis=0)
    keys = np.empty(base.shape, np.int64)
    keys[0] = strides[:-1] @ (base[:-1] - low[:, None]).astype(np.int64)
    for corner in range(1, len(keys)):
        keys[corner] = keys[corner - 1] - steps[-corner]
    return keys


def _layer(keys: Integers, weights: Floats) -> _Layer:
    """Return the lattice of corners by their keys [d + 1, N], with weights of the same shape."""
    count = keys.shape[1]
    corners = np.empty(keys.shape, np.int32)
    points = np.empty(keys.shape, np.int32)
    shares = np.empty(keys.shape, np.float32)
    starts: list[Integers] = []
    found = 0
    for corner, some in enumerate(keys):
        order, first = _grouped(some)
        corners[corner, order] = np.cumsum(first) + (found - 1)
        points[corner], shares[corner] = order, weights[corner, order]
        starts.append(np.flatnonzero(first) + corner * count)
        found += len(starts[-1])
    return _Layer(
        corners=torch.from_numpy(np.ascontiguousarray(corners.T)),
        weights=torch.from_numpy(np.ascontiguousarray(weights.T)),
        points=torch.from_numpy(points.ravel()),
        shares=torch.from_numpy(shares.ravel()),
        starts=torch.from_numpy(np.concatenate(starts).astype(np.int32)),
    )


def _grouped(keys: Integers) -> tuple[Integers, NDArray[np.bool_]]:
    """Return the order that brings equal keys [N] together, and where each group begins."""
    digits = (len(keys) - 1).bit_length()
    # Sorted with the place in the last digits: a third of the time of an argsort.
    both = np.sort((keys << digits) | np.arange(len(keys)))
    keys = both >> digits
    first = np.concatenate([[True], keys[1:] != keys[:-1]])
    return both & ((1 << digits) - 1), first
