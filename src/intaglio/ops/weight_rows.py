"""The weight of a layer as rows, one for each output channel."""

from __future__ import annotations

from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.ops.traits import WEIGHTED


def weight_rows(node: Node, weight: Tensor) -> Tensor:
    """Return what makes each output channel, [C_out, weights of one].

    Args:
        node: A convolution, transposed convolution or linear layer.
        weight: Its weight, or what has a number for each number of it.
    """
    if WEIGHTED[node.op] == 0:
        return weight.flatten(1)
    groups = node.attrs["groups"]
    inputs, outputs = weight.shape[0] // groups, weight.shape[1]
    grouped = weight.reshape(groups, inputs, outputs, -1)  # [g, C_in / g, C_out / g, kH * kW]
    return grouped.transpose(1, 2).reshape(groups * outputs, -1)
