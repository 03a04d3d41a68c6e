"""Calls that pick entries of an axis, or repeat them: slices, splits, indices, copies."""

from __future__ import annotations

import itertools
from typing import Any

from torch import fx

from intaglio.read.module.aten import arguments, aten, axis_of, entry, on_axes, rank_of
from intaglio.read.module.builder import Builder, Pieces, canonical

Span = tuple[int, int, int]
"""(start, stop, step)."""
AXES_BY_NAME = {"vsplit": 0, "hsplit": 1, "dsplit": 2}


def piece(fx_node: fx.Node, builder: Builder, name: str, axis: int, span: Span) -> str:
    """Append the slice of one axis of a node; the node itself where it is all of it."""
    shape = builder.graph[name].shape
    start, stop, step = span
    if span == (0, shape[axis], 1):
        return name
    made = (*shape[:axis], len(range(start, stop, step)), *shape[axis + 1 :])
    attrs: dict[str, Any] = {"axis": axis, "start": start, "stop": stop, "step": step}
    return builder.insert("slice", fx_node, [name], made, **attrs)


@entry(aten.slice.Tensor, aten.narrow.default, aten.narrow_copy.default)
def _slice(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    axis = axis_of(a["self"], a["dim"])
    start, stop = a["start"], a["end"] if "end" in a else a["start"] + a["length"]
    whole = (start in (None, 0)) and (stop is None or (isinstance(stop, int) and stop >= 2**62))
    if whole and a.get("step", 1) == 1:
        return builder.operand(a["self"], fx_node)
    if isinstance(start, fx.Node) or isinstance(stop, fx.Node):
        return None
    found = on_axes(a["self"], (axis,), fx_node, builder)
    if found is None:
        return None
    name, axes, lifted = found
    size = builder.sizes(a["self"])[axis]
    span = slice(start, stop, a.get("step", 1)).indices(size)
    if span[1] <= span[0]:
        return None
    if span == (0, size, 1):
        return builder.operand(a["self"], fx_node)
    if lifted:
        return builder.settle(fx_node, piece(fx_node, builder, name, axes[0], span))
    attrs: dict[str, Any] = {"axis": axis, "start": span[0], "stop": span[1], "step": span[2]}
    return builder.add("slice", fx_node, [name], **attrs)


@entry(aten.select.int)
def _select(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    axis, index = axis_of(a["self"], a["dim"]), a["index"]
    found = on_axes(a["self"], (axis,), fx_node, builder)
    if found is None or not isinstance(index, int):
        return None
    name, axes, _ = found
    index %= builder.sizes(a["self"])[axis]
    picked = piece(fx_node, builder, name, axes[0], (index, index + 1, 1))
    return builder.settle(fx_node, picked)


@entry(
    aten.split.Tensor,
    aten.split.sizes,
    aten.split_with_sizes.default,
    aten.chunk.default,
    aten.tensor_split.sections,
    aten.tensor_split.indices,
    aten.unbind.int,
    aten.unsafe_chunk.default,
    aten.unsafe_split.Tensor,
    aten.unsafe_split_with_sizes.default,
    *(getattr(getattr(aten, name), kind) for name in AXES_BY_NAME for kind in ("int", "array")),
)
def _split(fx_node: fx.Node, builder: Builder) -> Pieces | None:
    a = arguments(fx_node)
    axis = axis_of(a["self"], a["dim"]) if "dim" in a else _named_axis(fx_node)
    found = on_axes(a["self"], (axis,), fx_node, builder)
    if found is None:
        return None
    name, axes, lifted = found
    names, start = [], 0
    for value in fx_node.meta["val"]:
        is_picked = value.ndim < rank_of(a["self"])  # unbind takes the axis away
        size = 1 if is_picked else int(value.shape[axis])
        part = piece(fx_node, builder, name, axes[0], (start, start + size, 1))
        if lifted or is_picked:
            sizes = tuple(int(each) for each in value.shape) if lifted else ()
            shape = canonical(sizes) if lifted else _without(builder.graph[part].shape, axis)
            part = builder.reshaped(fx_node, part, shape)
        names.append(part)
        start += size
    return Pieces(tuple(names))


def _named_axis(fx_node: fx.Node) -> int:
    """Return the axis that hsplit and its like split; of a single axis, that."""
    word = str(fx_node.target).split(".")[1]
    return min(AXES_BY_NAME[word], rank_of(arguments(fx_node)["self"]) - 1)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def taken(
    fx_node: fx.Node, builder: Builder, source: Any, axis: int, indices: list[int]
) -> str | None:
    """Append the entries of one axis of a tensor, in this order."""
    found = on_axes(source, (axis,), fx_node, builder)
    if found is None or not indices:
        return None
    name, axes, _ = found
    at, shape = axes[0], builder.graph[name].shape
    steps = {second - first for first, second in itertools.pairwise(indices)}
    if len(steps) <= 1 and (steps or {1}) <= set(range(1, shape[at] + 1)):
        span = (indices[0], indices[-1] + 1, steps.pop() if steps else 1)
        return builder.settle(fx_node, piece(fx_node, builder, name, at, span))
    made = (*shape[:at], len(indices), *shape[at + 1 :])
    attrs: dict[str, Any] = {"axis": at, "indices": tuple(indices)}
    return builder.settle(fx_node, builder.insert("take", fx_node, [name], made, **attrs))


@entry(aten.index.Tensor, aten._unsafe_index.Tensor)
def _index(fx_node: fx.Node, builder: Builder) -> str | None:
    """x[:, indices] with one stored list of indices, or one yes and no for each."""
    a = arguments(fx_node)
    named = [(axis, index) for axis, index in enumerate(a["indices"]) if index is not None]
    if len(named) == 2:
        return _index_grid(fx_node, builder, named)
    if len(named) != 1:
        return None
    axis, index = named[0]
    stored = builder.tensor(index)
    if stored is None or stored.ndim != 1:
        return None
    chosen = stored.nonzero()[:, 0] if stored.dtype.itemsize == 1 else stored
    size = builder.sizes(a["self"])[axis]
    return taken(fx_node, builder, a["self"], axis, [int(each) % size for each in chosen])


def _index_grid(fx_node: fx.Node, builder: Builder, named: list[tuple[int, Any]]) -> str | None:
    """x[:, rows[:, None], columns[None]]: rows, then columns."""
    source = arguments(fx_node)["self"]
    rows, columns = (builder.tensor(index) for _, index in named)
    axis = named[0][0]
    if rows is None or columns is None or named[1][0] != axis + 1:
        return None
    if rows.ndim < 2 or rows.numel() != rows.shape[-2] or columns.numel() != columns.shape[-1]:
        return None
    found = on_axes(source, (axis, axis + 1), fx_node, builder)
    if found is None:
        return None
    name, axes, _ = found
    for at, stored in zip(axes, (rows, columns), strict=True):
        shape = builder.graph[name].shape
        indices = tuple(int(each) % shape[at] for each in stored.flatten())
        made = (*shape[:at], len(indices), *shape[at + 1 :])
        name = builder.insert("take", fx_node, [name], made, axis=at, indices=indices)
    return builder.settle(fx_node, name)


@entry(aten.index_select.default)
def _index_select(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    stored = builder.tensor(a["index"])
    if stored is None:
        return None
    axis = axis_of(a["self"], a["dim"])
    return taken(fx_node, builder, a["self"], axis, [int(each) for each in stored.flatten()])


@entry(aten.flip.default)
def _flip(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    axes = tuple(axis_of(a["self"], axis) for axis in a["dims"])
    found = on_axes(a["self"], axes, fx_node, builder)
    if found is None:
        return None
    name, axes, _ = found
    for axis in axes:
        shape = builder.graph[name].shape
        indices = tuple(reversed(range(shape[axis])))
        name = builder.insert("take", fx_node, [name], shape, axis=axis, indices=indices)
    return builder.settle(fx_node, name)


@entry(aten.roll.default)
def _roll(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    shifts = [a["shifts"]] if isinstance(a["shifts"], int) else list(a["shifts"])
    dims = [a["dims"]] if isinstance(a["dims"], int) else list(a["dims"])
    axes = tuple(axis_of(a["self"], axis) for axis in dims)
    found = on_axes(a["self"], axes, fx_node, builder) if axes else None
    if found is None:
        return None
    name, axes, _ = found
    for axis, shift in zip(axes, shifts, strict=True):
        shape = builder.graph[name].shape
        at = -shift % shape[axis]
        if at:
            parts = [(at, shape[axis], 1), (0, at, 1)]
            pieces = [piece(fx_node, builder, name, axis, part) for part in parts]
            name = builder.insert("concat", fx_node, pieces, shape, axis=axis)
    return builder.settle(fx_node, name)


@entry(aten.copy.default, aten.copy_.default)
def _copy(fx_node: fx.Node, builder: Builder) -> str | None:
    """What is copied over a tensor, repeated to its sizes."""
    return repeated_as(fx_node, builder, arguments(fx_node)["src"])


@entry(aten.expand.default, aten.expand_as.default, aten.broadcast_to.default)
def _expand(fx_node: fx.Node, builder: Builder) -> str | None:
    return repeated_as(fx_node, builder, arguments(fx_node)["self"])


def repeated_as(fx_node: fx.Node, builder: Builder, source: Any) -> str | None:
    """Let a call stand for a tensor repeated to its sizes; few readers need that written out."""
    source = builder.unrepeated(source)
    name = builder.operand(source, fx_node)
    if name is None or not isinstance(source, fx.Node) or builder.graph[name].op == "constant":
        return None
    if builder.sizes(source) != builder.sizes(fx_node):
        if not builder.starts_with_batch(source) and not builder.has_one_image:
            return None
        builder.broadcast[fx_node] = source
    return name


@entry(aten.repeat.default, aten.tile.default)
def _repeat(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    repeats = tuple(a["repeats"] if "repeats" in a else a["dims"])
    sizes = builder.sizes(fx_node)
    repeats = (1,) * (len(sizes) - len(repeats)) + repeats
    plain = (
        builder.starts_with_batch(a["self"])
        and repeats[0] == 1
        and rank_of(a["self"]) == len(sizes)
    )
    name = (
        builder.operand(a["self"], fx_node)
        if plain
        else builder.lifted(a["self"], fx_node, len(sizes))
    )
    if name is None:
        return None
    for axis, times in enumerate(repeats):
        at, shape = axis + (not plain), builder.graph[name].shape
        if times > 1:
            made = (*shape[:at], shape[at] * times, *shape[at + 1 :])
            name = builder.insert("concat", fx_node, [name] * times, made, axis=at)
    return builder.settle(fx_node, name)


@entry(aten.repeat_interleave.self_int)
def _repeat_interleave(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    if a["dim"] is None:
        return None
    axis, times = axis_of(a["self"], a["dim"]), int(a["repeats"])
    size = builder.sizes(a["self"])[axis]
    return taken(
        fx_node, builder, a["self"], axis, [index for index in range(size) for _ in range(times)]
    )


@entry(aten.diagonal.default, aten.linalg_diagonal.default)
def _diagonal(fx_node: fx.Node, builder: Builder) -> str | None:
    """Entries of two axes that are joined."""
    a = arguments(fx_node)
    source = a["self"]
    pair = tuple(axis_of(source, a[name]) for name in ("dim1", "dim2"))
    found = on_axes(source, pair, fx_node, builder)
    if found is None:
        return None
    name, (first, second), _ = found
    shape = builder.graph[name].shape
    rest = tuple(axis for axis in range(len(shape)) if axis not in (first, second))
    rows, columns, offset = shape[first], shape[second], int(a["offset"])
    indices = tuple(
        row * columns + row + offset for row in range(rows) if 0 <= row + offset < columns
    )
    if not indices:
        return None
    order = (*rest, first, second)
    turned = tuple(shape[axis] for axis in order)
    name = builder.insert("transpose", fx_node, [name], turned, order=order)
    joined = (*turned[:-2], rows * columns)
    name = builder.reshaped(fx_node, name, joined)
    attrs: dict[str, Any] = {"axis": len(joined) - 1, "indices": indices}
    made = (*joined[:-1], len(indices))
    return builder.settle(fx_node, builder.insert("take", fx_node, [name], made, **attrs))


@entry(aten.unfold.default)
def _windows(fx_node: fx.Node, builder: Builder) -> str | None:
    """Windows along one axis, which becomes their number; their entries are a new last axis."""
    a = arguments(fx_node)
    axis, size, step = axis_of(a["self"], a["dimension"]), int(a["size"]), int(a["step"])
    found = on_axes(a["self"], (axis,), fx_node, builder)
    if found is None:
        return None
    name, axes, _ = found
    at, shape = axes[0], builder.graph[name].shape
    windows = (shape[at] - size) // step + 1
    indices = tuple(window * step + place for window in range(windows) for place in range(size))
    if indices != tuple(range(shape[at])):
        made = (*shape[:at], len(indices), *shape[at + 1 :])
        name = builder.insert("take", fx_node, [name], made, axis=at, indices=indices)
    split = (*shape[:at], windows, size, *shape[at + 1 :])
    name = builder.reshaped(fx_node, name, split)
    rank = len(split)
    order = (*(axis for axis in range(rank) if axis != at + 1), at + 1)
    turned = tuple(split[axis] for axis in order)
    name = builder.insert("transpose", fx_node, [name], turned, order=order)
    return builder.settle(fx_node, name)
