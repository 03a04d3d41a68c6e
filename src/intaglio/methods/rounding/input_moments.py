"""Second moments of what a layer multiplies its weights with, in the twin and against the float.

For rows x of a layer's input (one row for each output position, K = C_in / groups * kH * kW
numbers), centred:

    covariance   H = E[(x^q - m^q)(x^q - m^q)']            [G, K, K]
    difference   D = E[(x - m - x^q + m^q)(x^q - m^q)']    [G, K, K]

G is the number of groups: 1 for an ordinary convolution, C for a depthwise one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.methods.steps.paired_walk import Layer

ROWS_PER_WEIGHT = 40
LEAST_ROWS, MOST_ROWS = 8_192, 65_536
"""How many rows are taken for K weights, evenly over the images, at positions drawn by the seed."""
HELD_SHARE = 5
"""One piece of images in so many is held apart."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Centred second moments, [G, K, K] float64 each."""

    covariance: Tensor
    difference: Tensor


@dataclass(frozen=True, eq=False)
class InputMoments:
    """Moments over all images, over most of them, and over the rest.

    Attributes:
        every: Over all images.
        fitted, held: Over those that choices are fitted to, and judged on; None with one piece of
            images, which cannot be parted.
    """

    every: Moments
    fitted: Moments | None
    held: Moments | None


def input_moments(layer: Layer, generator: torch.Generator) -> InputMoments:
    """Return the moments of a conv2d or linear layer."""
    images = sum(len(piece) for piece in layer.floats)
    weights = math.prod(layer.weight.shape[1:])
    rows = min(max(LEAST_ROWS, ROWS_PER_WEIGHT * weights), MOST_ROWS)
    per_image = -(-rows // images)
    fitted, held = _Sums(), _Sums()
    last = len(layer.floats) - 1
    for index, piece in enumerate(layer.floats):
        draw = row_drawer(layer, piece, per_image, generator)
        is_held = index % HELD_SHARE == HELD_SHARE - 1 or (0 < index == last < HELD_SHARE)
        sums = held if is_held else fitted
        sums.add(draw(piece), draw(layer.quantized(index)))
    if not held.count:
        return InputMoments(fitted.moments(), None, None)
    return InputMoments((fitted + held).moments(), fitted.moments(), held.moments())


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
        across = cross - mean_f.unsqueeze(2) * mean_q.unsqueeze(1)
        return Moments(covariance, across - covariance)


def row_drawer(
    layer: Layer, piece: Tensor, per_image: int, generator: torch.Generator
) -> Callable[[Tensor], Tensor]:
    """Return a function that takes the same rows [G, P, K] from any input of this shape."""
    node, kernel = layer.node, layer.weight.shape[2:]
    if node.op == "linear":
        return lambda values: values.reshape(1, -1, values.shape[-1])
    height, width = node.shape[2:]
    places = torch.arange(height * width)
    if len(places) > per_image:
        places = torch.randperm(len(places), generator=generator)[:per_image].sort().values
    return lambda values: _rows(node, values, places, tuple(kernel))


def _rows(node: Node, values: Tensor, places: Tensor, kernel: tuple[int, ...]) -> Tensor:
    """Return rows [G, P, K] of [n, C, H, W]; K runs over channels of the group, then kH, kW.

    Args:
        places: Indices into the positions of the layer's result, row by row.
    """
    attrs = node.attrs
    top, bottom, left, right = attrs["padding"]
    if top or bottom or left or right:
        values = F.pad(values, (left, right, top, bottom))
    last = values.permute(0, 2, 3, 1)  # [n, H, W, C]
    rows = places // node.shape[3] * attrs["stride"][0]
    columns = places % node.shape[3] * attrs["stride"][1]
    taps = [
        last[:, rows + row * attrs["dilation"][0], columns + column * attrs["dilation"][1]]
        for row in range(kernel[0])
        for column in range(kernel[1])
    ]  # [n, P, C] each
    stacked = taps[0].unsqueeze(-1) if len(taps) == 1 else torch.stack(taps, dim=-1)
    count, places_kept, channels, size = stacked.shape
    groups = attrs["groups"]
    grouped = stacked.reshape(count * places_kept, groups, channels // groups * size)
    return grouped.transpose(0, 1)
