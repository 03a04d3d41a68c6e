"""A Gaussian kernel between many points, fast: permutohedral lattices, laid one over another.

Each point gives its value to the d + 1 corners of the simplex around it, and each corner what it
has to the points around it. Source of the lattice, of its simplices and of finding them by rounding
and ranks: Adams, Baek and Davis 2010 (Fast high-dimensional filtering using the permutohedral
lattice).

How we differ. There one fine lattice is blurred along its axes between the two steps. In a
photograph, with colours 3 of 255 wide, most corners that a blur would have to pass through are not
there, and what is lost is lost at random. Here nothing is blurred. A coarse lattice alone has, on
average, a kernel that is as wide as the Gaussian, but it depends on where in a simplex the points
lie, and is flatter. So several lattices are averaged:

* SHIFTS. A kernel that repeats with the lattice is a Fourier series over the dual lattice, whose
  shortest vectors are e_a - e_b. d + 1 lattices, shifted by multiples of (0, 1, .., d), have phases
  there that are different roots of 1, and sum to 0: the first harmonics cancel exactly.
* WIDTHS. A mixture of a narrower and a wider kernel has heavier tails; with these two the fourth
  cumulant along an axis comes to about that of a Gaussian, 0.

The kernel is a matrix times its transpose: symmetric, positive semidefinite, its diagonal known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from intaglio.errors import DataError
from intaglio.tasks.crf.kernels import Floats

WIDTHS = (0.78, 1.22)
"""Variances of the kernels that are mixed, in equal parts; their mean is that of the Gaussian."""
LARGEST_KEY = 2.0**62

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Layer:
    """One lattice: which points and corners are tied, and how strongly.

    Attributes:
        corners: [N, d + 1] int32, of each point; weights: the same shape.
        points: [N (d + 1)] int32, those around each corner in turn; shares: their weights.
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


def lattice(features: Floats) -> Lattice:
    """Return the kernel between the points of a picture.

    Args:
        features: [H, W, d], finite, each in units of its standard deviation.

    Raises:
        DataError: If they reach too far to be counted: more than 2**62 places of corners.
    """
    points = features.reshape(-1, features.shape[-1]).astype(np.float64)
    # Points that are alike stand together: what they read and write is then near, too.
    order = np.lexsort(np.floor(points).T)
    layers = tuple(_layers(points[order]))
    own = np.empty(len(points), np.float32)
    own[order] = sum((layer.weights**2).sum(1) for layer in layers)
    return Lattice(own.reshape(features.shape[:2]), order, layers)


def _layers(points: Doubles) -> Iterator[_Layer]:
    """Yield the lattices of points [N, d], shifted and scaled against each other."""
    dimensions = points.shape[1]
    sides = dimensions + 1
    plane = points @ _basis(dimensions).T  # [N, d + 1]
    for width in WIDTHS:
        # A point's weights have a variance of sides²/12 on average, whichever way it looks, once
        # where it gives and once where it gets.
        scale = sides / np.sqrt(6 * width)
        for shift in range(sides):
            moved = plane * scale + (np.arange(sides) - dimensions / 2) * shift
            base, order, weights = _simplices(moved)
            height = _height(scale, dimensions) / (len(WIDTHS) * sides)
            yield _layer(_keys(base, order), weights * np.sqrt(height))


def _basis(dimensions: int) -> Doubles:
    """Return d orthonormal columns across (1, .., 1), [d + 1, d]."""
    basis = np.zeros((dimensions + 1, dimensions))
    for axis in range(dimensions):
        basis[: axis + 1, axis] = 1
        basis[axis + 1, axis] = -(axis + 1)
        basis[:, axis] /= np.sqrt((axis + 1) * (axis + 2))
    return basis


def _height(scale: float, dimensions: int) -> float:
    """Return what gives a lattice's kernel the integral of exp(-|f|² / 2), (2 pi)^(d / 2).

    Without it, it has that of one cell: (d + 1)^d / sqrt(d + 1) at a scale of 1.
    """
    sides = dimensions + 1
    cell = sides**dimensions / np.sqrt(sides) / scale**dimensions
    return float((2 * np.pi) ** (dimensions / 2) / cell)


def _simplices(plane: Doubles) -> tuple[Integers, Integers, Doubles]:
    """Return the simplex that each point of the plane is in.

    Args:
        plane: [N, d + 1], sums of 0.

    Returns:
        base [N, d + 1], the corner whose coordinates are multiples of d + 1, divided by it; order
        [N, d + 1], the coordinates by how far they lie above it, the farthest first; weights
        [N, d + 1] of the corners, the base first, each >= 0, sums of 1.
    """
    sides = plane.shape[1]
    base = np.rint(plane / sides)
    above = plane - base * sides
    order = np.argsort(-above, axis=1)
    # Rounding leaves the plane where its sum is not 0. The coordinates that were rounded farthest
    # are rounded the other way, which turns the order round.
    turn = base.sum(1).astype(np.int64)[:, None]
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(sides)[None], axis=1)
    ranks += turn
    base += (ranks < 0).astype(np.float64) - (ranks >= sides)
    order = np.take_along_axis(order, (np.arange(sides) - turn) % sides, axis=1)
    above = np.take_along_axis(plane - base * sides, order, axis=1) / sides
    weights = np.empty_like(above)
    weights[:, 1:] = (above[:, :-1] - above[:, 1:])[:, ::-1]
    weights[:, 0] = 1 - weights[:, 1:].sum(1)
    return base.astype(np.int64), order, weights


def _keys(base: Integers, order: Integers) -> Integers:
    """Return a number for each corner [N, d + 1], the same for the same corner alone.

    Corner k of a simplex has (d + 1) base + k, less d + 1 in the k coordinates that lie the least
    above; the last coordinate follows from the others.
    """
    sides = base.shape[1]
    low = base[:, :-1].min(0) - 1
    spans = base[:, :-1].max(0) - low + 1
    if np.prod(spans.astype(np.float64)) * sides > LARGEST_KEY:
        raise DataError(
            f"the field's widths are too small for a picture that spans {spans.tolist()} of them:"
            " choose larger ones"
        )
    strides = np.concatenate([[1], np.cumprod(spans[:-1]), [0]]).astype(np.int64)
    keys: Integers = np.empty(base.shape, np.int64)
    keys[:, 0] = (base[:, :-1] - low) @ strides[:-1]
    keys[:, 1:] = keys[:, :1] - np.cumsum(strides[order[:, :0:-1]], axis=1)
    keys *= sides
    keys += np.arange(sides)
    return keys


def _layer(keys: Integers, weights: Doubles) -> _Layer:
    """Return the lattice of corners by their keys [N, d + 1], with weights of the same shape."""
    sides = keys.shape[1]
    flat = keys.ravel()
    order = np.argsort(flat)
    found = flat[order]
    first = np.concatenate([[True], found[1:] != found[:-1]])
    corners = np.empty(len(flat), np.int32)
    corners[order] = np.cumsum(first) - 1
    shares = weights.astype(np.float32)
    return _Layer(
        corners=torch.from_numpy(corners.reshape(keys.shape)),
        weights=torch.from_numpy(shares),
        points=torch.from_numpy((order // sides).astype(np.int32)),
        shares=torch.from_numpy(shares.ravel()[order]),
        starts=torch.from_numpy(np.flatnonzero(first).astype(np.int32)),
    )
