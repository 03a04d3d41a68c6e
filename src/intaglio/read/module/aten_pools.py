"""Pooling and resizing."""

from __future__ import annotations

from typing import Any

from torch import fx

from intaglio.read.module.aten import arguments, aten, entry, more_than_first, pair, rank_of
from intaglio.read.module.builder import Builder, Pieces, count


def _on_image(op: str, fx_node: fx.Node, builder: Builder, **attrs: Any) -> str | None:
    """Append an op on [N, C, H, W]; of an image or a line [C, H, W] that has lost an axis too."""
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None:
        return None
    shape = builder.graph[x].shape
    if len(shape) == 4:
        return builder.add(op, fx_node, [x], **attrs)
    made = builder.shape_or_none(fx_node)
    if len(shape) == len(made) == 5:  # k images to torch
        images, results = ((size[0], size[1] * size[2], *size[3:]) for size in (shape, made))
        x = builder.reshaped(fx_node, x, images)
        return builder.settle(fx_node, builder.add(op, fx_node, [x], made=results, **attrs))
    if len(shape) != 3 or len(made) != 3:
        return None
    is_line = "1d" in str(fx_node.target)
    image, result = (
        (*size[:2], 1, size[2]) if is_line else (size[0], 1, *size[1:]) for size in (shape, made)
    )
    x = builder.reshaped(fx_node, x, image)
    return builder.settle(fx_node, builder.add(op, fx_node, [x], made=result, **attrs))


def _window(value: Any, fx_node: fx.Node, fill: int) -> tuple[int, int]:
    """Return (height, width) of a pool's setting; a pool over lines says the width alone."""
    return (fill, pair(value)[-1]) if "1d" in str(fx_node.target) else pair(value)


@entry(aten.max_pool2d.default, aten.max_pool1d.default)
def _max_pool(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    height, width = _window(a["padding"], fx_node, 0)
    return _on_image(
        "max_pool2d",
        fx_node,
        builder,
        kernel=_window(a["kernel_size"], fx_node, 1),
        stride=_window(a["stride"] or a["kernel_size"], fx_node, 1),
        padding=(height, height, width, width),
        dilation=_window(a["dilation"], fx_node, 1),
        ceil_mode=a["ceil_mode"],
        activation=None,
    )


@entry(aten.max_pool2d_with_indices.default)
def _max_pool_with_places(fx_node: fx.Node, builder: Builder) -> Pieces | None:
    """The largest values alone: where only their places are read, nothing is held."""
    if more_than_first(fx_node):
        return None
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None or len(builder.graph[x].shape) != 4:
        return None
    height, width = pair(a["padding"])
    value = fx_node.meta["val"][0]
    shape = (builder.graph[x].shape[0], *(int(size) for size in value.shape[1:]))
    name = builder.insert(
        "max_pool2d",
        fx_node,
        [x],
        shape,
        kernel=pair(a["kernel_size"]),
        stride=pair(a["stride"] or a["kernel_size"]),
        padding=(height, height, width, width),
        dilation=pair(a["dilation"]),
        ceil_mode=a["ceil_mode"],
        activation=None,
    )
    return Pieces((name,))


@entry(aten.avg_pool2d.default, aten.avg_pool1d.default)
def _avg_pool(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    divisor = a.get("divisor_override")
    if (divisor or 1) < 1:
        return None
    return _on_image(
        "avg_pool2d",
        fx_node,
        builder,
        kernel=_window(a["kernel_size"], fx_node, 1),
        stride=_window(a["stride"] or a["kernel_size"], fx_node, 1),
        padding=_window(a["padding"], fx_node, 0),
        ceil_mode=a["ceil_mode"],
        count_include_pad=a["count_include_pad"],
        divisor=divisor,
    )


@entry(aten.avg_pool3d.default)
def _avg_pool_of_channels(fx_node: fx.Node, builder: Builder) -> str | None:
    """A mean of neighbours on the first of three axes: that of a local response norm."""
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    kernel, stride = tuple(a["kernel_size"]), tuple(a["stride"]) or tuple(a["kernel_size"])
    is_row = kernel[1:] == (1,) * (len(kernel) - 1) and {*stride} == {1} and not any(a["padding"])
    if x is None or not is_row or a["divisor_override"] or not builder.starts_with_batch(a["self"]):
        return None
    shape, made = builder.graph[x].shape, builder.shape(fx_node)
    if len(shape) != 5:
        return None
    x = builder.reshaped(fx_node, x, (*shape[:3], shape[3] * shape[4]))
    pooled = builder.add(
        "avg_pool2d",
        fx_node,
        [x],
        made=(*made[:3], made[3] * made[4]),
        kernel=(kernel[0], 1),
        stride=(1, 1),
        padding=(0, 0),
        ceil_mode=False,
        count_include_pad=True,
        divisor=None,
    )
    return builder.settle(fx_node, pooled)


@entry(aten.im2col.default)
def _im2col(fx_node: fx.Node, builder: Builder) -> str | None:
    """F.unfold: rows and columns of every window are taken, then put in torch's order."""
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None or rank_of(a["self"]) != 4 or not builder.starts_with_batch(a["self"]):
        return None
    (top, left), shape = pair(a["padding"]), builder.graph[x].shape
    if top or left:
        shape = (*shape[:2], shape[2] + 2 * top, shape[3] + 2 * left)
        x = builder.insert("pad", fx_node, [x], shape, padding=(left, left, top, top), value=0.0)
    settings = zip(*(pair(a[name]) for name in ("kernel_size", "stride", "dilation")), strict=True)
    split = list(shape[:2])
    for axis, (size, step, gap) in enumerate(settings, start=2):
        windows = (shape[axis] - gap * (size - 1) - 1) // step + 1
        indices = tuple(k * gap + w * step for k in range(size) for w in range(windows))
        shape = (*shape[:axis], len(indices), *shape[axis + 1 :])
        x = builder.insert("take", fx_node, [x], shape, axis=axis, indices=indices)
        split += [size, windows]
    x = builder.reshaped(fx_node, x, tuple(split))
    turned = tuple(split[axis] for axis in (0, 1, 2, 4, 3, 5))
    x = builder.insert("transpose", fx_node, [x], turned, order=(0, 1, 2, 4, 3, 5))
    return builder.settle(fx_node, x)


@entry(
    aten.adaptive_avg_pool2d.default,
    aten._adaptive_avg_pool2d.default,
    aten.adaptive_avg_pool1d.default,
)
def _adaptive_avg_pool(fx_node: fx.Node, builder: Builder) -> str | None:
    size = _window(arguments(fx_node)["output_size"], fx_node, 1)
    return _on_image("adaptive_avg_pool2d", fx_node, builder, size=size)


@entry(aten.adaptive_max_pool2d.default, aten.adaptive_max_pool1d.default)
def _adaptive_max_pool(fx_node: fx.Node, builder: Builder) -> Pieces | None:
    """A plain pool; where windows are uneven, of an image in which each has entries twice."""
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None or not builder.starts_with_batch(a["self"]) or more_than_first(fx_node):
        return None
    shape = builder.graph[x].shape
    if len(shape) == 3 and "1d" in str(fx_node.target):
        x = builder.reshaped(fx_node, x, (*shape[:2], 1, shape[2]))
    elif len(shape) != 4:
        return None
    size, kernel = _window(a["output_size"], fx_node, 1), []
    for axis, windows in zip((2, 3), size, strict=True):
        shape = builder.graph[x].shape
        width, indices = evened_windows(shape[axis], windows)
        kernel.append(width)
        if indices != tuple(range(shape[axis])):
            made = (*shape[:axis], len(indices), *shape[axis + 1 :])
            x = builder.insert("take", fx_node, [x], made, axis=axis, indices=indices)
    name = builder.insert(
        "max_pool2d",
        fx_node,
        [x],
        (*builder.graph[x].shape[:2], *size),
        kernel=tuple(kernel),
        stride=tuple(kernel),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        ceil_mode=False,
        activation=None,
    )
    return Pieces((builder.reshaped(fx_node, name, builder.piece_shape(fx_node, 0)),))


def evened_windows(size: int, windows: int) -> tuple[int, tuple[int, ...]]:
    """Return how wide adaptive windows over an axis are, and which entries stand in them.

    torch's window i is [floor(i size / windows), ceil((i + 1) size / windows)); those that are
    narrower than the widest have their last entry twice, which changes no maximum.
    """
    spans = [(i * size // windows, -(-(i + 1) * size // windows)) for i in range(windows)]
    width = max(stop - start for start, stop in spans)
    return width, tuple(
        min(start + place, stop - 1) for start, stop in spans for place in range(width)
    )


@entry(aten.upsample_nearest2d.vec)
def _nearest(fx_node: fx.Node, builder: Builder) -> str | None:
    return _resize(fx_node, builder, "nearest", align_corners=False)


@entry(aten._upsample_nearest_exact2d.vec)
def _nearest_exact(fx_node: fx.Node, builder: Builder) -> str | None:
    """Where sizes are multiplied by whole numbers, both kinds of nearest pick the same pixels."""
    before, after = builder.sizes(arguments(fx_node)["input"]), builder.sizes(fx_node)
    if any(new % old for old, new in zip(before[2:], after[2:], strict=True)):
        return None
    return _resize(fx_node, builder, "nearest", align_corners=False)


@entry(aten.upsample_bilinear2d.vec)
def _bilinear(fx_node: fx.Node, builder: Builder) -> str | None:
    corners = bool(arguments(fx_node)["align_corners"])
    return _resize(fx_node, builder, "bilinear", align_corners=corners)


def _resize(fx_node: fx.Node, builder: Builder, mode: str, *, align_corners: bool) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["input"], fx_node)
    if x is None or len(builder.graph[x].shape) != 4:
        return None
    scales = a["scale_factors"]
    return builder.add(
        "resize",
        fx_node,
        [x],
        size=builder.shape(fx_node)[2:],
        mode=mode,
        align_corners=align_corners,
        scales=None if scales is None else tuple(float(scale) for scale in scales),
    )


@entry(aten.pixel_shuffle.default)
def _pixel_shuffle(fx_node: fx.Node, builder: Builder) -> str | None:
    """Channels in the order of DEPTH_TO_SPACE, then that."""
    a = arguments(fx_node)
    x, block = builder.operand(a["self"], fx_node), int(a["upscale_factor"])
    if x is None or len(builder.graph[x].shape) != 4:
        return None
    batch, channels, height, width = builder.graph[x].shape
    apart = (batch, channels // block**2, block**2, height, width)
    x = builder.reshaped(fx_node, x, apart)
    turned = (batch, apart[2], apart[1], height, width)
    x = builder.insert("transpose", fx_node, [x], turned, order=(0, 2, 1, 3, 4))
    x = builder.reshaped(fx_node, x, (batch, channels, height, width))
    return builder.add("depth_to_space", fx_node, [x], block=block)


@entry(aten.pixel_unshuffle.default)
def _pixel_unshuffle(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x, block = builder.operand(a["self"], fx_node), int(a["downscale_factor"])
    if x is None or len(builder.graph[x].shape) != 4:
        return None
    batch, channels, height, width = builder.graph[x].shape
    height, width = height // block, width // block
    x = builder.reshaped(fx_node, x, (batch, channels, height, block, width, block))
    turned = (batch, channels, block, block, height, width)
    x = builder.insert("transpose", fx_node, [x], turned, order=(0, 1, 3, 5, 2, 4))
    return builder.settle(fx_node, x)


@entry(aten.channel_shuffle.default, aten.native_channel_shuffle.default)
def _channel_shuffle(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x, groups = builder.operand(a["self"], fx_node), int(a["groups"])
    if x is None or not builder.starts_with_batch(a["self"]):
        return None
    shape = builder.graph[x].shape
    apart = (shape[0], groups, shape[1] // groups, count(shape[2:]))
    x = builder.reshaped(fx_node, x, apart)
    turned = (apart[0], apart[2], apart[1], apart[3])
    x = builder.insert("transpose", fx_node, [x], turned, order=(0, 2, 1, 3))
    return builder.settle(fx_node, x)
