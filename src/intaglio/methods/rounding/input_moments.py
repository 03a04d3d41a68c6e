"""Second moments of what a layer multiplies its weights with, in the twin and against the float.

For rows x of a layer's input (one row for each output position, K = C_in / groups * kH * kW
numbers), centred:

    covariance   H = E[(x^q - m^q)(x^q - m^q)']            [G, K, K]
    difference   D = E[(x - m - x^q + m^q)(x^q - m^q)']    [G, K, K]

G is the number of groups: 1 for an ordinary convolution, C for a depthwise one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.methods.bias.passed import error_at_best_shift
from intaglio.methods.steps.layer_rows import row_drawer, row_groups
from intaglio.methods.steps.paired_walk import Layer
from intaglio.ops.schema import Activation

ROWS_PER_WEIGHT = 40
LEAST_ROWS, MOST_ROWS = 8_192, 65_536
"""How many rows are taken for K weights, evenly over the images, at positions drawn by the seed."""
ROUNDING = 1e-5
"""Relative error of sums of squares in float32."""
LEAST_DAMPING = 0.01
"""What is at least added to a covariance's diagonal, relative to its mean, to invert it."""
HELD_SHARE = 5
"""One piece of images in so many is held apart."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Centred second moments, [G, K, K] float64 each."""

    covariance: Tensor
    difference: Tensor


@dataclass(frozen=True, eq=False)
class HeldRows:
    """Rows of images that nothing was fitted to, and what becomes of a layer's results there.

    Attributes:
        pieces: Gives the rows of both sides anew at each call, piece by piece: the float network's
            and the twin's, [G, P, K] each.
        bias: Of the float network, [G, R].
        activation: What the layer's results pass before they are read, or None.
    """

    pieces: Callable[[], Iterable[tuple[Tensor, Tensor]]]
    bias: Tensor
    activation: Activation | None

    def errors(self, weights: Tensor, rows: Tensor, chosen: Tensor) -> list[float]:
        """Return each candidate's squared error behind the activation, at its best bias.

        Args:
            weights: Candidates for some rows of the weight, [N, G, r, K].
            rows: Those rows in the float network, [G, r, K].
            chosen: Which they are, [r].
        """
        bias = self.bias[:, chosen].unsqueeze(1).float()
        count = len(weights)
        originals = rows.float().mT
        tried = weights.float().transpose(0, 1).flatten(1, 2).mT  # [G, K, N r]
        sides = [
            (torch.baddbmm(bias, first, originals), second @ tried + bias.repeat(1, 1, count))
            for first, second in self.pieces()
        ]
        wanted, found = (torch.cat(parts, 1) for parts in zip(*sides, strict=True))
        return [
            float(error_at_best_shift(wanted, one, self.activation).sum())
            for one in found.chunk(count, 2)
        ]


@dataclass(frozen=True, eq=False)
class InputMoments:
    """Moments over all images, over most of them, and rows of the rest.

    Attributes:
        every: Over all images.
        fitted: Over those that choices are fitted to.
        held: Of those that choices are judged on. Both None with one piece of images, which cannot
            be parted.
    """

    every: Moments
    fitted: Moments | None
    held: HeldRows | None


def input_moments(layer: Layer, generator: torch.Generator) -> InputMoments:
    """Return the moments of a conv2d or linear layer."""
    images = sum(len(piece) for piece in layer.floats)
    per_image = -(-rows_wanted(layer.weight) // images)
    fitted, held = _Sums(), _Sums()
    last = len(layer.floats) - 1
    drawers = {}
    for index, piece in enumerate(layer.floats):
        draw = row_drawer(layer, piece, per_image, generator)
        is_held = index % HELD_SHARE == HELD_SHARE - 1 or (0 < index == last < HELD_SHARE)
        if is_held:
            drawers[index] = draw
        sums = held if is_held else fitted
        sums.add(draw(piece), draw(layer.quantized(index)))
    if not held.count:
        return InputMoments(fitted.moments(), None, None)

    def held_pieces() -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the held rows of both sides."""
        for index, draw in drawers.items():
            yield draw(layer.floats[index]), draw(layer.quantized(index))

    bias = layer.bias.reshape(row_groups(layer), -1)
    apart = HeldRows(held_pieces, bias, layer.node.attrs.get("activation"))
    return InputMoments((fitted + held).moments(), fitted.moments(), apart)


def rows_wanted(weight: Tensor) -> int:
    """Return how many rows tell the moments of a weight's inputs."""
    return min(max(LEAST_ROWS, ROWS_PER_WEIGHT * math.prod(weight.shape[1:])), MOST_ROWS)


class _Sums:
    def __init__(self) -> None:
        self.count = 0
        self.parts: list[Tensor] = []

    def add(self, floats: Tensor, integers: Tensor) -> None:
        """Add rows [G, P, K] of both sides."""
        parts = [
            integers.sum(1).double(),
            floats.sum(1).double(),
            (integers.mT @ integers).double(),
            (floats.mT @ integers).double(),
        ]
        self.parts = (
            parts
            if not self.parts
            else [total.add_(part) for total, part in zip(self.parts, parts, strict=True)]
        )
        self.count += floats.shape[1]

    def __add__(self, other: _Sums) -> _Sums:
        total = _Sums()
        total.count = self.count + other.count
        total.parts = [one + two for one, two in zip(self.parts, other.parts, strict=True)]
        return total

    def moments(self) -> Moments:
        """Return the centred moments of all rows added; there must be one."""
        mean_q, mean_f, own, cross = (part / self.count for part in self.parts)
        covariance = own - mean_q.unsqueeze(2) * mean_q.unsqueeze(1)
        covariance = without_noise(covariance, own)
        across = cross - mean_f.unsqueeze(2) * mean_q.unsqueeze(1)
        return Moments(covariance, across - covariance)


def without_noise(covariance: Tensor, own: Tensor) -> Tensor:
    """Return a covariance that stays positive definite when a little is added to its diagonal.

    Inputs that hardly vary (images of one colour, a layer of zeros before) leave the difference of
    two large numbers, which float32 sums have rounded: of a group in which that is all there is,
    only the diagonal is believed.

    Args:
        covariance: [G, K, K].
        own: E[x^q x^q'], of which it is a difference.
    """
    varies = covariance.diagonal(dim1=1, dim2=2).mean(1)
    doubtful = own.diagonal(dim1=1, dim2=2).amax(1) * ROUNDING > varies * LEAST_DAMPING
    if not bool(doubtful.any()):
        return covariance
    diagonal = covariance.diagonal(dim1=1, dim2=2).clamp(min=0)
    added = torch.diag_embed((LEAST_DAMPING * varies.clamp(min=0)).unsqueeze(1).expand_as(diagonal))
    fails = (torch.linalg.cholesky_ex(covariance + added)[1] > 0) & doubtful
    return torch.where(fails.reshape(-1, 1, 1), torch.diag_embed(diagonal), covariance)
