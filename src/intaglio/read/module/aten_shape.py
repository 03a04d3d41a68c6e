"""Calls that give values another shape or place: reshapes, orders of axes, padding, joining."""

from __future__ import annotations

from torch import fx

from intaglio.ir.graph import BATCH
from intaglio.read.module.aten import (
    add_lifted,
    arguments,
    aten,
    axis_of,
    entry,
    on_axes,
    rank_of,
)
from intaglio.read.module.aten_pick import piece
from intaglio.read.module.builder import Builder, count


@entry(
    aten.view.default,
    aten.view_as.default,
    aten.reshape.default,
    aten.reshape_as.default,
    aten._unsafe_view.default,
    aten.flatten.using_ints,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.unflatten.int,
    aten.ravel.default,
    aten.atleast_1d.default,
    aten.atleast_2d.default,
    aten.atleast_3d.default,
)
def _reshape(fx_node: fx.Node, builder: Builder) -> str | None:
    source = arguments(fx_node)["self"]
    x = builder.operand(source, fx_node)
    if x is None:
        return None
    shape = builder.shape(fx_node)
    if builder.has_one_image and not _keeps_batch_apart(source, fx_node, builder):
        builder.moves_batch = True
    if builder.graph[x].shape == shape:
        return x
    if count(builder.graph[x].shape) != count(shape):
        return None
    return builder.add("reshape", fx_node, [x], shape=shape)


def _keeps_batch_apart(source: fx.Node, fx_node: fx.Node, builder: Builder) -> bool:
    return builder.starts_with_batch(source) and builder.starts_with_batch(fx_node)


def _ordered(fx_node: fx.Node, builder: Builder, order: tuple[int, ...]) -> str | None:
    source = arguments(fx_node)["self"]
    if not isinstance(source, fx.Node):
        return None
    if order[:1] == (0,) and builder.starts_with_batch(source):
        x = builder.operand(source, fx_node)
        return None if x is None else builder.add("transpose", fx_node, [x], order=order)
    x = builder.lifted(source, fx_node)
    if x is None:
        return None
    lifted = (0, *(axis + 1 for axis in order))
    return add_lifted("transpose", fx_node, builder, [x], order=lifted)


@entry(aten.transpose.int, aten.t.default, aten.swapaxes.default, aten.swapdims.default)
def _transpose(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    rank = rank_of(a["self"])
    order = list(range(rank))
    named = [a[name] for name in ("dim0", "dim1", "axis0", "axis1") if name in a] or [0, 1]
    first, second = (axis % rank for axis in named)
    order[first], order[second] = order[second], order[first]
    return _ordered(fx_node, builder, tuple(order))


@entry(aten.mT.default, aten.mH.default, aten.adjoint.default)
def _transpose_last(fx_node: fx.Node, builder: Builder) -> str | None:
    rank = rank_of(arguments(fx_node)["self"])
    return _ordered(fx_node, builder, (*range(rank - 2), rank - 1, rank - 2))


@entry(aten.numpy_T.default, aten.matrix_H.default)
def _reversed(fx_node: fx.Node, builder: Builder) -> str | None:
    rank = rank_of(arguments(fx_node)["self"])
    return _ordered(fx_node, builder, tuple(reversed(range(rank))))


@entry(aten.permute.default)
def _permute(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    return _ordered(fx_node, builder, tuple(axis_of(a["self"], axis) for axis in a["dims"]))


@entry(aten.movedim.int, aten.movedim.intlist, aten.moveaxis.int, aten.moveaxis.intlist)
def _moved(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    sources, places = (
        [value] if isinstance(value, int) else list(value)
        for value in (a["source"], a["destination"])
    )
    rank = rank_of(a["self"])
    at = {place % rank: source % rank for source, place in zip(sources, places, strict=True)}
    rest = iter(axis for axis in range(rank) if axis not in at.values())
    return _ordered(
        fx_node, builder, tuple(at[axis] if axis in at else next(rest) for axis in range(rank))
    )


@entry(aten.cat.default, aten.concat.default, aten.concatenate.default)
def _concat(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    # torch leaves out empty tensors of one axis, and empty ones add nothing
    values = [value for value in a["tensors"] if value.meta["val"].numel()]
    if len(values) == 1:
        return builder.operand(values[0], fx_node)
    axis = axis_of(values[0], a.get("dim", a.get("axis", 0)))
    plain = axis != 0 and builder.starts_with_batch(fx_node)
    names = [
        builder.operand(value, fx_node) if plain else builder.lifted(value, fx_node)
        for value in values
    ]
    if None in names:
        return None
    inputs = [name for name in names if name]
    return _joined(fx_node, builder, inputs, axis, plain=plain)


def _joined(
    fx_node: fx.Node, builder: Builder, inputs: list[str], axis: int, *, plain: bool
) -> str | None:
    """Append the concatenation of values of the same form along an axis of the result."""
    wanted = (BATCH, *builder.sizes(fx_node)[plain:])
    for index, name in enumerate(inputs):
        if builder.graph[name].op == "constant":
            inputs[index] = _like(fx_node, builder, name, wanted, axis + (not plain))
    if plain:
        return builder.add("concat", fx_node, inputs, axis=axis)
    return add_lifted("concat", fx_node, builder, inputs, axis=axis + 1)


def _like(fx_node: fx.Node, builder: Builder, name: str, wanted: tuple[int, ...], axis: int) -> str:
    """Return a constant with as many axes as the values beside it, the first of size 1."""
    value = builder.graph.param(builder.graph[name], "value")
    if value.ndim == len(wanted):
        return name
    value = value.reshape(1, *value.shape)
    return builder.constant(fx_node, value)


@entry(aten.stack.default)
def _stack(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    axis = a["dim"] % rank_of(fx_node)
    values, sizes = a["tensors"], builder.sizes(fx_node)
    plain = axis != 0 and builder.starts_with_batch(fx_node)
    names = [
        builder.operand(value, fx_node) if plain else builder.lifted(value, fx_node)
        for value in values
    ]
    if None in names:
        return None
    whole = (BATCH, *(sizes[1:] if plain else sizes))
    at = axis if plain else axis + 1
    part = (*whole[:at], 1, *whole[at + 1 :])
    inputs = [_part(fx_node, builder, name, part) for name in names if name]
    return _joined(fx_node, builder, inputs, axis, plain=plain)


def _part(fx_node: fx.Node, builder: Builder, name: str, shape: tuple[int, ...]) -> str:
    if builder.graph[name].op != "constant":
        return builder.reshaped(fx_node, name, shape)
    value = builder.graph.param(builder.graph[name], "value")
    return builder.constant(fx_node, value.reshape(1, *shape[1:]))


@entry(aten.pad.default, aten.constant_pad_nd.default)
def _pad(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    mode, padding = a.get("mode", "constant"), tuple(a["pad"])
    if not all(isinstance(size, int) for size in padding):
        return None
    if mode == "constant":
        return _pad_constant(fx_node, builder, padding, float(a["value"] or 0.0))
    axes = tuple(rank_of(a["self"]) - 1 - index for index in range(len(padding) // 2))
    found = on_axes(a["self"], axes, fx_node, builder)
    if found is None or mode not in ("reflect", "replicate", "circular"):
        return None
    name, axes, _ = found
    for index, axis in enumerate(axes):
        before, behind = padding[2 * index : 2 * index + 2]
        name = _mirrored(
            fx_node,
            builder,
            name,
            axis,
            places(before, behind, mode, builder.graph[name].shape[axis]),
        )
    return builder.settle(fx_node, name)


def places(before: int, behind: int, mode: str, size: int) -> list[int]:
    """Return which entry of an axis of `size` stands at each place of the padded one."""
    found = []
    for place in range(-before, size + behind):
        if mode == "circular":
            found.append(place % size)
        elif mode == "replicate":
            found.append(min(max(place, 0), size - 1))
        else:
            place = abs(place)
            found.append(2 * (size - 1) - place if place >= size else place)
    return found


def _mirrored(fx_node: fx.Node, builder: Builder, name: str, axis: int, indices: list[int]) -> str:
    shape = builder.graph[name].shape
    if indices == list(range(shape[axis])):
        return name
    made = (*shape[:axis], len(indices), *shape[axis + 1 :])
    return builder.insert("take", fx_node, [name], made, axis=axis, indices=tuple(indices))


def _pad_constant(
    fx_node: fx.Node, builder: Builder, padding: tuple[int, ...], value: float
) -> str | None:
    """Append a padding; where it is negative, a slice before it."""
    source = arguments(fx_node)["self"]
    axes = tuple(rank_of(source) - 1 - index for index in range(len(padding) // 2))
    named = tuple(
        axis for index, axis in enumerate(axes) if any(padding[2 * index : 2 * index + 2])
    )
    found = on_axes(source, named, fx_node, builder)
    if found is None:
        return None
    name, _, lifted = found
    for index, axis in enumerate(axes):
        at = axis + lifted
        size = builder.graph[name].shape[at]
        start, stop = max(0, -padding[2 * index]), size - max(0, -padding[2 * index + 1])
        name = piece(fx_node, builder, name, at, (start, stop, 1))
    outside = tuple(max(0, size) for size in padding)
    if not any(outside):
        return builder.settle(fx_node, name)
    if lifted:
        return add_lifted("pad", fx_node, builder, [name], padding=outside, value=value)
    return builder.add("pad", fx_node, [name], padding=outside, value=value)
