"""Depthwise convolutions in the place of ops that the delegate does not take."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node

Pair = tuple[int, int]
Margins = tuple[int, int, int, int]


def become_depthwise(
    graph: Graph,
    node: Node,
    weight: Tensor,
    *,
    stride: Pair = (1, 1),
    padding: Margins = (0, 0, 0, 0),
) -> None:
    """Make a node a convolution of each channel by itself; its fused activation stays.

    Args:
        weight: [C, 1, kH, kW].
        padding: Of zeros; (top, bottom, left, right).
    """
    activation = node.attrs.get("activation")
    node.op = "conv2d"
    node.attrs = {
        "stride": stride,
        "padding": padding,
        "dilation": (1, 1),
        "groups": weight.shape[0],
        "activation": activation,
    }
    graph.set_param(node, "weight", weight)


def become_picking(graph: Graph, node: Node, stride: Pair) -> None:
    """Make a node a convolution that copies every so many-th row and column, the first included."""
    become_depthwise(graph, node, torch.ones(node.channels, 1, 1, 1), stride=stride)
