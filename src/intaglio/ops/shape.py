"""Ops that move values and compute nothing: concat, pad, reshape, transpose, slice, resize, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.ops.attributes import (
    AXIS,
    COUNT,
    FLAG,
    INDEX,
    INDICES,
    ORDER,
    PADDING,
    REAL,
    SCALES,
    SHAPE,
    STEP,
    STEP_PAIR,
    words,
)
from intaglio.ops.schema import op


@op("concat", arity=(1, None), attributes={"axis": AXIS})
def concat(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Values side by side along `axis` (non-negative); a stored one is the same for every image."""
    images = max(len(value) for value in inputs)
    parts = [value.expand(images, *value.shape[1:]) for value in inputs]
    return torch.cat(parts, node.attrs["axis"])


@op("pad", attributes={"padding": PADDING, "value": REAL})
def pad(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Constant padding; `padding` as in F.pad: last axis first, (before, after) each."""
    return F.pad(inputs[0], node.attrs["padding"], value=node.attrs["value"])


@op("reshape", attributes={"shape": SHAPE})
def reshape(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """The same values in the same order; `shape[0]` is BATCH (-1)."""
    return inputs[0].reshape(node.attrs["shape"])


@op("transpose", attributes={"order": ORDER})
def transpose(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Axes in another order."""
    return inputs[0].permute(node.attrs["order"])


@op("slice", attributes={"axis": AXIS, "start": INDEX, "stop": COUNT, "step": COUNT})
def slice_axis(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Entries start, start + step, ... < stop of one axis; 0 <= start < stop <= size."""
    attrs = node.attrs
    index = [slice(None)] * inputs[0].ndim
    index[attrs["axis"]] = slice(attrs["start"], attrs["stop"], attrs["step"])
    return inputs[0][tuple(index)]


@op(
    "resize",
    attributes={
        "size": STEP_PAIR,
        "mode": words("nearest", "bilinear"),
        "align_corners": FLAG,
        "scales": SCALES.optional(),
    },
)
def resize(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Interpolation to `size` (height, width); `mode` "nearest" or "bilinear".

    `scales` are the factors (height, width) that the user gave, or None: torch computes positions
    from them, where they are given, and not from the sizes.
    """
    attrs = node.attrs
    if attrs["mode"] == "nearest":
        if attrs["scales"] is None:
            return F.interpolate(inputs[0], attrs["size"], mode="nearest")
        return F.interpolate(inputs[0], scale_factor=attrs["scales"], mode="nearest")
    if attrs["scales"] is None:
        return F.interpolate(
            inputs[0], attrs["size"], mode="bilinear", align_corners=attrs["align_corners"]
        )
    return F.interpolate(
        inputs[0],
        scale_factor=attrs["scales"],
        mode="bilinear",
        align_corners=attrs["align_corners"],
    )


@op("depth_to_space", attributes={"block": STEP})
def depth_to_space(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Blocks of channels become blocks of pixels, in TFLite's order.

        out[c, h * b + i, w * b + j] = in[(i * b + j) * C + c, h, w]

    torch's pixel_shuffle reads channel c * b * b + i * b + j instead.
    """
    block = node.attrs["block"]
    x = inputs[0]
    batch, channels, height, width = x.shape
    out = channels // (block * block)
    x = x.reshape(batch, block, block, out, height, width)  # [N, i, j, C, H, W]
    return x.permute(0, 3, 4, 1, 5, 2).reshape(batch, out, height * block, width * block)


@op("take", attributes={"axis": AXIS, "indices": INDICES})
def take(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """The entries `indices` of one axis, in that order; one may be taken several times."""
    index = torch.tensor(node.attrs["indices"], device=inputs[0].device)
    return inputs[0].index_select(node.attrs["axis"], index)
