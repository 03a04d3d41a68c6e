"""The weight of a layer by its output channels."""

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


def over_outputs(node: Node, weight: Tensor, values: Tensor) -> Tensor:
    """Return one number for each output channel, [C_out], in a shape that multiplies the weight."""
    if node.op == "affine":
        return values
    if WEIGHTED[node.op] == 0:
        return values.reshape(-1, *[1] * (weight.ndim - 1))
    # [C_in, C_out / groups, kH, kW]: the rows of one group make that group's outputs
    groups = node.attrs["groups"]
    per_group = values.reshape(groups, -1).repeat_interleave(weight.shape[0] // groups, dim=0)
    return per_group.reshape(weight.shape[0], weight.shape[1], 1, 1)
