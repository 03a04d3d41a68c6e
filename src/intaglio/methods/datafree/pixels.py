"""What a network takes, as far as it tells itself: shape, moments and ends of its input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.calibrate.input_range import implied_input
from intaglio.errors import RequestError
from intaglio.methods.steps.state import Quantized

DEVIATIONS = 2.0
"""To either side of the mean where no grid says how far an input reaches."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """A network's input.

    Attributes:
        shape: (C, H, W) of one image.
        mean, std: Of each channel, [C] float32.
        low, high: The ends that its values have, [C] float32.
    """

    shape: tuple[int, int, int]
    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    def within(self, images: Tensor) -> Tensor:
        """Return images [N, C, H, W], what is beyond the ends moved back to them."""
        low, high = (end.to(images).reshape(1, -1, 1, 1) for end in (self.low, self.high))
        return torch.minimum(torch.maximum(images, low), high)


def pixels_of(state: Quantized, seed: int) -> Pixels:
    """Return what a network takes, with no image opened.

    The ends are those of the input's grid, the moments those that its first layer implies
    (calibrate/input_range.py); without either, one is made of the other.

    Args:
        seed: Of the noise by which the deviation is found.

    Raises:
        RequestError: If the network takes no images [N, C, H, W].
    """
    graph = state.reference
    name = graph.inputs[0]
    shape = image_shape(graph[name].shape)
    unit = torch.ones(shape[0])
    generator = torch.Generator().manual_seed(seed)
    implied = implied_input(graph, state.statistics, generator)
    grid = state.encodings.activations.get(name)
    if implied is None and grid is None:
        return Pixels(shape, 0.0 * unit, unit, -DEVIATIONS * unit, DEVIATIONS * unit)
    if implied is not None:
        mean, std = implied.mean.float(), implied.std.float()
        low, high = mean - DEVIATIONS * std, mean + DEVIATIONS * std
    if grid is not None:
        low, high = (
            unit * float(grid.scale) * (end - grid.zero) for end in (grid.spec.qmin, grid.spec.qmax)
        )
    if implied is None:
        mean, std = (low + high) / 2.0, (high - low) / (2.0 * DEVIATIONS)
    return Pixels(shape, mean, std, low, high)


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (C, H, W) of a network's input [N, C, H, W].

    Raises:
        RequestError: If it is no image.
    """
    if len(shape) != 4:
        raise RequestError(
            f"images can be made for networks that take [N, C, H, W], and this one takes"
            f" {list(shape[1:])} of each: train it on data of its own ('train')"
        )
    _, channels, height, width = shape
    return channels, height, width
