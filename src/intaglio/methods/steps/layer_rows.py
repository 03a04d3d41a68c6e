"""Rows of a layer's input: what it multiplies its weight with, one row for each output position."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.methods.steps.paired_walk import Layer


def row_groups(layer: Layer) -> int:
    """Return G, the number of groups of a conv2d or linear layer."""
    return 1 if layer.node.op == "linear" else int(layer.node.attrs["groups"])


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
