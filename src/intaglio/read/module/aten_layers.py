"""Calls with weights: convolutions, fully connected layers, batch norms."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor, fx

from intaglio.errors import CaptureError
from intaglio.ir.graph import BATCH
from intaglio.read.module.aten import arguments, aten, entry, pair, rank_of
from intaglio.read.module.builder import Builder, count, module_path

MOST_COPIES = 64
"""Images that torch is given of one: each repeats the weights of a convolution of them."""


@entry(aten.conv2d.default, aten.conv2d.padding, aten.conv1d.default, aten.conv1d.padding)
def _convolution(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    is_line = rank_of(a["weight"]) == 3
    params = _filters(a, builder, is_line)
    if params is None:
        return None
    dilation = _pair(a["dilation"], is_line, 1)
    attrs = {
        "stride": _pair(a["stride"], is_line, 1),
        "padding": _conv_padding(a, builder.graph.params[params["weight"]].shape, dilation),
        "dilation": dilation,
        "groups": a["groups"],
        "activation": None,
    }
    return _on_images("conv2d", fx_node, builder, params, attrs)


def _on_images(
    op: str, fx_node: fx.Node, builder: Builder, params: dict[str, str], attrs: dict[str, Any]
) -> str | None:
    """Add a layer that reads [N, C, H, W]; a line [C, L] becomes an image of one row."""
    source = arguments(fx_node)["input"]
    x = builder.operand(source, fx_node)
    if x is None:
        return None
    shape = builder.graph[x].shape
    if len(shape) == 4:
        return builder.add(op, fx_node, [x], params=params, **attrs)
    if len(shape) == 5 and shape[1] <= MOST_COPIES and op == "conv2d":
        return _on_rows_of_images(fx_node, builder, x, params, attrs)
    if len(shape) != 3 or rank_of(arguments(fx_node)["weight"]) != 3:
        return None
    x = builder.reshaped(fx_node, x, (*shape[:2], 1, shape[2]))
    made = builder.shape(fx_node)
    row = builder.add(op, fx_node, [x], params=params, made=(*made[:2], 1, made[2]), **attrs)
    return builder.settle(fx_node, row)


def _on_rows_of_images(
    fx_node: fx.Node, builder: Builder, x: str, params: dict[str, str], attrs: dict[str, Any]
) -> str:
    """Add a convolution of [N, k, C, H, W], k images to torch: one of k groups, weights repeated.

    The weight of every group is the same.
    """
    shape, made = builder.graph[x].shape, builder.shape(fx_node)
    copies = shape[1]
    repeated = {
        role: stored_as(fx_node, builder, torch.cat([builder.graph.params[key]] * copies), role)
        for role, key in params.items()
    }
    x = builder.reshaped(fx_node, x, (BATCH, copies * shape[2], *shape[3:]))
    joined = (BATCH, copies * made[2], *made[3:])
    attrs = {**attrs, "groups": copies * attrs["groups"]}
    y = builder.add("conv2d", fx_node, [x], params=repeated, made=joined, **attrs)
    return builder.settle(fx_node, y)


def _pair(value: Any, is_line: bool, fill: int) -> tuple[int, int]:
    """Return (height, width) of a setting; of a line, only the width is said."""
    return (fill, pair(value)[-1]) if is_line else pair(value)


def _filters(a: dict[str, Any], builder: Builder, is_line: bool) -> dict[str, str] | None:
    """Return roles to keys of a layer on images; a filter of lines is one of a single row."""
    params = _weights(a, builder)
    if params is None or not is_line:
        return params
    key = f"{params['weight']}:row"
    builder.graph.params[key] = builder.graph.params[params["weight"]].unsqueeze(2)
    return {**params, "weight": key}


def _conv_padding(
    a: dict[str, Any], weight_shape: torch.Size, dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    if a["padding"] == "valid":
        return (0, 0, 0, 0)
    if a["padding"] == "same":
        total = [step * (size - 1) for step, size in zip(dilation, weight_shape[2:], strict=True)]
        top, left = total[0] // 2, total[1] // 2
        return (top, total[0] - top, left, total[1] - left)
    height, width = _pair(a["padding"], rank_of(a["weight"]) == 3, 0)
    return (height, height, width, width)


def _weights(a: dict[str, Any], builder: Builder) -> dict[str, str] | None:
    """Return roles to keys; None where a weight is computed from the image."""
    params: dict[str, str] = {}
    for role in ("weight", "bias"):
        if a[role] is not None:
            key = builder.key(a[role])
            if key is None:
                return None
            params[role] = key
    return params


@entry(aten.conv_transpose2d.input, aten.conv_transpose1d.default)
def _conv_transpose(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    is_line = rank_of(a["weight"]) == 3
    params = _filters(a, builder, is_line)
    if params is None:
        return None
    attrs = {
        "stride": _pair(a["stride"], is_line, 1),
        "padding": _pair(a["padding"], is_line, 0),
        "output_padding": _pair(a["output_padding"], is_line, 0),
        "dilation": _pair(a["dilation"], is_line, 1),
        "groups": a["groups"],
        "activation": None,
    }
    return _on_images("conv_transpose2d", fx_node, builder, params, attrs)


@entry(aten.linear.default)
def _linear(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    params = _weights(a, builder)
    return None if params is None else linear_of(a["input"], fx_node, builder, params)


def linear_of(
    source: Any, fx_node: fx.Node, builder: Builder, params: dict[str, str]
) -> str | None:
    """Append a linear layer over the last axis; more than three axes are joined around it."""
    x = builder.operand(source, fx_node)
    if x is None or len(builder.graph.params[params["weight"]].shape) != 2:
        return None
    shape, made = builder.graph[x].shape, builder.shape(fx_node)
    if len(shape) == 1 or shape[0] != BATCH:
        return None
    if len(shape) <= 3:
        return builder.add("linear", fx_node, [x], params=params, activation=None)
    rows = count(shape[:-1])
    x = builder.reshaped(fx_node, x, (BATCH, rows, shape[-1]))
    joined = (BATCH, rows, made[-1])
    y = builder.add("linear", fx_node, [x], params=params, made=joined, activation=None)
    return builder.settle(fx_node, y)


@entry(aten.batch_norm.default, aten._native_batch_norm_legit_no_training.default)
def _batch_norm(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    if a.get("training"):
        _batch_statistics(fx_node, builder)
    roles = {"weight": "weight", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    keys = {role: builder.key(a[name]) for name, role in roles.items() if a[name] is not None}
    x = builder.operand(a["input"], fx_node)
    if x is None or None in keys.values():
        return None
    params = {role: key for role, key in keys.items() if key is not None}
    shape, eps = builder.graph[x].shape, float(a["eps"])
    if not builder.starts_with_batch(a["input"]):
        return _normed_rows(fx_node, builder, x, params, eps) if len(shape) == 3 else None
    if len(shape) in (2, 4):
        return builder.add("batch_norm", fx_node, [x], params=params, made=shape, eps=eps)
    image = (*shape[:2], 1, count(shape[2:]))  # of a line [C, L], or of a volume
    y = builder.reshaped(fx_node, x, image)
    y = builder.add("batch_norm", fx_node, [y], params=params, made=image, eps=eps)
    return builder.reshaped(fx_node, y, shape)


def _normed_rows(
    fx_node: fx.Node, builder: Builder, x: str, params: dict[str, str], eps: float
) -> str:
    """Return a batch norm over the last axis of [N, rows, C]: rows were images to torch."""
    stored = {role: builder.graph.params[key].double() for role, key in params.items()}
    gain = stored.get("weight", torch.ones_like(stored["mean"])) / (stored["var"] + eps).sqrt()
    offset = stored.get("bias", torch.zeros_like(gain)) - stored["mean"] * gain
    shape = builder.graph[x].shape
    for op, value in (("mul", gain), ("add", offset)):
        beside = builder.constant(fx_node, value.float())
        x = builder.insert(op, fx_node, [x, beside], shape, activation=None)
    return x


@entry(aten._native_batch_norm_legit_functional.default, aten._native_batch_norm_legit.no_stats)
def _batch_statistics(fx_node: fx.Node, builder: Builder) -> NoReturn:
    raise CaptureError(
        f"layer '{module_path(fx_node) or fx_node.name}' normalizes with the statistics of the"
        " batch, so that images mix: call .eval() before torch.export, and give batch norms"
        " stored statistics (track_running_stats=True)"
    )


@entry(aten.prelu.default)
def _prelu(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x, key = builder.operand(a["self"], fx_node), builder.key(a["weight"])
    if x is None or key is None:
        return None
    if builder.graph.params[key].numel() == 1:
        slope = float(builder.graph.params[key])
        return builder.add("leaky_relu", fx_node, [x], slope=slope)
    if not builder.starts_with_batch(a["self"]):
        return None
    return builder.add("prelu", fx_node, [x], params={"weight": key})


def stored_as(fx_node: fx.Node, builder: Builder, value: Tensor, suffix: str) -> str:
    """Store a tensor that was made of stored ones; return its key.

    Args:
        suffix: Behind the layer's name: "weight" of a layer's weight.
    """
    return builder.store(f"{module_path(fx_node) or fx_node.name}.{suffix}", value)
