"""Pooling and means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.ops.attributes import (
    ACTIVATION,
    AXES,
    COUNT,
    FLAG,
    MARGIN_PAIR,
    MARGINS,
    STEP_PAIR,
)
from intaglio.ops.schema import activate_fresh, op


@op(
    "max_pool2d",
    attributes={
        "kernel": STEP_PAIR,
        "stride": STEP_PAIR,
        "padding": MARGINS,
        "dilation": STEP_PAIR,
        "ceil_mode": FLAG,
        "activation": ACTIVATION,
    },
)
def max_pool2d(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Maximum over windows; `padding` is (top, bottom, left, right), of minus infinity."""
    x, attrs = inputs[0], node.attrs
    top, bottom, left, right = attrs["padding"]
    padding = (top, left)
    is_wide = 2 * top > attrs["kernel"][0] or 2 * left > attrs["kernel"][1]  # refused by torch
    if (top, left) != (bottom, right) or is_wide:
        x, padding = F.pad(x, (left, right, top, bottom), value=float("-inf")), (0, 0)
    y = F.max_pool2d(
        x, attrs["kernel"], attrs["stride"], padding, attrs["dilation"], attrs["ceil_mode"]
    )
    return activate_fresh(y, attrs["activation"])


@op(
    "avg_pool2d",
    attributes={
        "kernel": STEP_PAIR,
        "stride": STEP_PAIR,
        "padding": MARGIN_PAIR,
        "ceil_mode": FLAG,
        "count_include_pad": FLAG,
        "divisor": COUNT.optional(),
    },
)
def avg_pool2d(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Mean over windows; `padding` is (height, width)."""
    attrs = node.attrs
    return F.avg_pool2d(
        inputs[0],
        attrs["kernel"],
        attrs["stride"],
        attrs["padding"],
        attrs["ceil_mode"],
        attrs["count_include_pad"],
        attrs["divisor"],
    )


@op("adaptive_avg_pool2d", attributes={"size": STEP_PAIR})
def adaptive_avg_pool2d(
    node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]
) -> Tensor:
    """Mean over windows chosen so that the output has `size` (height, width)."""
    return F.adaptive_avg_pool2d(inputs[0], node.attrs["size"])


@op("mean", attributes={"axes": AXES, "keepdim": FLAG})
def mean(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Mean over `axes` (non-negative, never the batch)."""
    return inputs[0].mean(node.attrs["axes"], keepdim=node.attrs["keepdim"])


@op("reduce_max", attributes={"axes": AXES, "keepdim": FLAG})
def reduce_max(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """The largest value over `axes` (non-negative, never the batch)."""
    return inputs[0].amax(node.attrs["axes"], keepdim=node.attrs["keepdim"])
