"""The second half of the ATen table: pooling, and ops that move values."""

from __future__ import annotations

from typing import Any

from torch import fx

from intaglio.ir.graph import Node
from intaglio.read.module.aten import ATEN, arguments, aten, pair
from intaglio.read.module.builder import Builder, Pieces


def _axis_of(value: fx.Node, axis: int) -> int:
    return int(axis % value.meta["val"].ndim)


def _rank(value: fx.Node) -> int:
    return int(value.meta["val"].ndim)


def _max_pool2d(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None or _rank(a["self"]) != 4:
        return None
    height, width = pair(a["padding"])
    return builder.add(
        "max_pool2d",
        fx_node,
        [x],
        kernel=pair(a["kernel_size"]),
        stride=pair(a["stride"] or a["kernel_size"]),
        padding=(height, height, width, width),
        dilation=pair(a["dilation"]),
        ceil_mode=a["ceil_mode"],
        activation=None,
    )


def _avg_pool2d(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None or _rank(a["self"]) != 4 or (a["divisor_override"] or 1) < 1:
        return None
    return builder.add(
        "avg_pool2d",
        fx_node,
        [x],
        kernel=pair(a["kernel_size"]),
        stride=pair(a["stride"] or a["kernel_size"]),
        padding=pair(a["padding"]),
        ceil_mode=a["ceil_mode"],
        count_include_pad=a["count_include_pad"],
        divisor=a["divisor_override"],
    )


def _adaptive_avg_pool2d(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None or _rank(a["self"]) != 4:
        return None
    return builder.add("adaptive_avg_pool2d", fx_node, [x], size=pair(a["output_size"]))


def _mean(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None or a["dim"] is None or a["dtype"] is not None:
        return None
    axes = tuple(_axis_of(a["self"], axis) for axis in a["dim"])
    if 0 in axes or not axes:  # none means all
        return None
    return builder.add("mean", fx_node, [x], axes=axes, keepdim=bool(a["keepdim"]))


def _concat(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    inputs = [builder.operand(value, fx_node) for value in a["tensors"]]
    axis = _axis_of(a["tensors"][0], a["dim"])
    if axis == 0 or None in inputs:
        return None
    return builder.add("concat", fx_node, [name for name in inputs if name], axis=axis)


def _pad(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None or a.get("mode", "constant") != "constant" or min(a["pad"]) < 0:
        return None
    if not all(isinstance(size, int) for size in a["pad"]):
        return None
    return builder.add("pad", fx_node, [x], padding=tuple(a["pad"]), value=float(a["value"] or 0.0))


def _reshape(fx_node: fx.Node, builder: Builder) -> str | None:
    x = builder.operand(fx_node.args[0], fx_node)
    shape = builder.shape(fx_node)
    source = fx_node.args[0]
    if x is None or not isinstance(source, fx.Node):
        return None
    if shape == builder.shape(source):
        return x
    return builder.add("reshape", fx_node, [x], shape=shape)


def _transpose(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    rank = a["self"].meta["val"].ndim
    order = list(range(rank))
    first, second = (a["dim0"] % rank, a["dim1"] % rank) if "dim0" in a else (0, 1)
    order[first], order[second] = order[second], order[first]
    if x is None or order[0] != 0:
        return None
    return builder.add("transpose", fx_node, [x], order=tuple(order))


def _permute(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    order = tuple(_axis_of(a["self"], axis) for axis in a["dims"])
    if x is None or order[0] != 0:
        return None
    return builder.add("transpose", fx_node, [x], order=order)


def _slice(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    axis = _axis_of(a["self"], a["dim"])
    if x is None:
        return None
    size = builder.shape(a["self"])[axis]
    start, stop = a["start"], a["end"]
    whole = (start in (None, 0)) and (stop is None or (isinstance(stop, int) and stop >= 2**62))
    if whole and a["step"] == 1:
        return x
    if axis == 0 or isinstance(start, fx.Node) or isinstance(stop, fx.Node):
        return None
    first, last, step = slice(start, stop, a["step"]).indices(size)
    if (first, last, step) == (0, size, 1):
        return x
    if last <= first:
        return None
    return builder.add("slice", fx_node, [x], axis=axis, start=first, stop=last, step=step)


def _select(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    axis = _axis_of(a["self"], a["dim"])
    if x is None or axis == 0 or not isinstance(a["index"], int):
        return None
    index = a["index"] % builder.shape(a["self"])[axis]
    piece = _piece(fx_node, builder, x, (axis, index, index + 1))
    return builder.add("reshape", fx_node, [piece], shape=builder.shape(fx_node))


def _split(fx_node: fx.Node, builder: Builder) -> Pieces | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    axis = _axis_of(a["self"], a["dim"])
    if x is None or axis == 0:
        return None
    sizes = [int(value.shape[axis]) for value in fx_node.meta["val"]]
    names, start = [], 0
    for size in sizes:
        names.append(_piece(fx_node, builder, x, (axis, start, start + size)))
        start += size
    return Pieces(tuple(names))


def _unbind(fx_node: fx.Node, builder: Builder) -> Pieces | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    axis = _axis_of(a["self"], a["dim"])
    if x is None or axis == 0:
        return None
    shape = builder.shape(a["self"])
    names = []
    for index in range(shape[axis]):
        piece = _piece(fx_node, builder, x, (axis, index, index + 1))
        rest = shape[:axis] + shape[axis + 1 :]
        names.append(_named(builder, "reshape", piece, {"shape": rest}))
    return Pieces(tuple(names))


def _piece(fx_node: fx.Node, builder: Builder, x: str, where: tuple[int, int, int]) -> str:
    axis, start, stop = where
    return _named(builder, "slice", x, {"axis": axis, "start": start, "stop": stop, "step": 1})


def _named(builder: Builder, op: str, x: str, attrs: dict[str, Any]) -> str:
    source = builder.graph[x].source
    name = builder.graph.unique_name(f"{x}.{op}")
    return builder.graph.add(Node(name, op, [x], {}, attrs, (), source)).name


def _nearest(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    return _resize(fx_node, builder, a, "nearest", align_corners=False)


def _bilinear(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    return _resize(fx_node, builder, a, "bilinear", align_corners=bool(a["align_corners"]))


def _resize(
    fx_node: fx.Node, builder: Builder, a: dict[str, Any], mode: str, *, align_corners: bool
) -> str | None:
    x = builder.operand(a["input"], fx_node)
    shape = builder.shape(fx_node)
    if x is None:
        return None
    scales = a["scale_factors"]
    return builder.add(
        "resize",
        fx_node,
        [x],
        size=shape[2:],
        mode=mode,
        align_corners=align_corners,
        scales=None if scales is None else tuple(float(scale) for scale in scales),
    )


ATEN.update(
    {
        aten.max_pool2d.default: _max_pool2d,
        aten.avg_pool2d.default: _avg_pool2d,
        aten.adaptive_avg_pool2d.default: _adaptive_avg_pool2d,
        aten.mean.dim: _mean,
        aten.cat.default: _concat,
        aten.pad.default: _pad,
        aten.constant_pad_nd.default: _pad,
        aten.transpose.int: _transpose,
        aten.t.default: _transpose,
        aten.permute.default: _permute,
        aten.slice.Tensor: _slice,
        aten.select.int: _select,
        aten.split.Tensor: _split,
        aten.split_with_sizes.default: _split,
        aten.chunk.default: _split,
        aten.unbind.int: _unbind,
        aten.upsample_nearest2d.vec: _nearest,
        aten.upsample_bilinear2d.vec: _bilinear,
        **dict.fromkeys(
            (
                aten.view.default,
                aten.reshape.default,
                aten._unsafe_view.default,
                aten.flatten.using_ints,
                aten.squeeze.default,
                aten.squeeze.dim,
                aten.squeeze.dims,
                aten.unsqueeze.default,
                aten.unflatten.int,
            ),
            _reshape,
        ),
    }
)
