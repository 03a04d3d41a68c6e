"""Ops with weights: convolutions, fully connected layers, batch norm, per-channel affine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.ops.attributes import (
    ACTIVATION,
    MARGIN_PAIR,
    MARGINS,
    NON_NEGATIVE,
    STEP,
    STEP_PAIR,
)
from intaglio.ops.schema import activate_fresh, op


@op(
    "conv2d",
    roles=("weight", "bias"),
    attributes={
        "stride": STEP_PAIR,
        "padding": MARGINS,
        "dilation": STEP_PAIR,
        "groups": STEP,
        "activation": ACTIVATION,
    },
)
def conv2d(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Convolution; `padding` is (top, bottom, left, right) of zeros.

    Weight [C_out, C_in / groups, kH, kW], bias [C_out].
    """
    x, attrs = inputs[0], node.attrs
    top, bottom, left, right = attrs["padding"]
    padding = (top, left)
    if (top, left) != (bottom, right):
        x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
    y = F.conv2d(
        x,
        params["weight"],
        params.get("bias"),
        attrs["stride"],
        padding,
        attrs["dilation"],
        attrs["groups"],
    )
    return activate_fresh(y, attrs["activation"])


@op(
    "conv_transpose2d",
    roles=("weight", "bias"),
    attributes={
        "stride": STEP_PAIR,
        "padding": MARGIN_PAIR,
        "output_padding": MARGIN_PAIR,
        "dilation": STEP_PAIR,
        "groups": STEP,
        "activation": ACTIVATION,
    },
)
def conv_transpose2d(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Transposed convolution; `padding` is (height, width) of what is cropped at each end.

    Weight [C_in, C_out / groups, kH, kW], bias [C_out].
    """
    attrs = node.attrs
    y = F.conv_transpose2d(
        inputs[0],
        params["weight"],
        params.get("bias"),
        attrs["stride"],
        attrs["padding"],
        attrs["output_padding"],
        attrs["groups"],
        attrs["dilation"],
    )
    return activate_fresh(y, attrs["activation"])


@op("linear", roles=("weight", "bias"), attributes={"activation": ACTIVATION})
def linear(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Fully connected over the last axis. Weight [C_out, C_in]."""
    y = F.linear(inputs[0], params["weight"], params.get("bias"))
    return activate_fresh(y, node.attrs["activation"])


@op("batch_norm", roles=("weight", "bias", "mean", "var"), attributes={"eps": NON_NEGATIVE})
def batch_norm(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Batch norm with stored statistics, [C] each, over axis 1."""
    return F.batch_norm(
        inputs[0],
        params["mean"],
        params["var"],
        params.get("weight"),
        params.get("bias"),
        training=False,
        eps=node.attrs["eps"],
    )


@op("affine", roles=("weight", "bias"), attributes={"activation": ACTIVATION})
def affine(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """y = weight * x + bias, [C] each, over axis 1: a batch norm that no layer could take in."""
    shape = (1, -1) + (1,) * (inputs[0].ndim - 2)
    y = inputs[0] * params["weight"].reshape(shape) + params["bias"].reshape(shape)
    return activate_fresh(y, node.attrs["activation"])


def copies_values(graph: Graph, node: Node) -> bool:
    """Whether a convolution computes nothing: each value is one of its input's, or padding."""
    if node.op != "conv2d" or "bias" in node.params or node.attrs["activation"] is not None:
        return False
    weight = graph.param(node, "weight")
    return weight.shape[1:] == (1, 1, 1) and bool((weight == 1.0).all())
