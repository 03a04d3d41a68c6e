"""Calls that replace entries of an axis: what `y[:, a:b] = x` writes, without writing."""

from __future__ import annotations

from typing import Any

from torch import fx

from intaglio.ir.graph import BATCH
from intaglio.read.module.aten import arguments, aten, axis_of, entry
from intaglio.read.module.aten_pick import Span, piece
from intaglio.read.module.builder import Builder


@entry(aten.slice_scatter.default, aten.select_scatter.default)
def _scatter(fx_node: fx.Node, builder: Builder) -> str | None:
    """x with a slice of it replaced: what lies before it, the new part, what lies behind it."""
    a = arguments(fx_node)
    sizes = builder.sizes(a["self"])
    axis = axis_of(a["self"], a["dim"])
    if "index" in a:
        start = int(a["index"]) % sizes[axis]
        span: Span = (start, start + 1, 1)
    else:
        span = slice(a["start"], a["end"], a["step"]).indices(sizes[axis])
    if span[2] != 1:
        return None
    plain = axis != 0 and builder.starts_with_batch(fx_node)
    form = builder.operand if plain else builder.lifted
    base, new = form(a["self"], fx_node), form(a["src"], fx_node)
    if base is None or new is None:
        return None
    at = axis if plain else axis + 1
    shape = (BATCH, *(sizes[1:] if plain else sizes))
    part = (*shape[:at], span[1] - span[0], *shape[at + 1 :])
    parts = [_stored_or_shaped(fx_node, builder, new, part)]
    base = _stored_or_shaped(fx_node, builder, base, shape)
    if span[0] > 0:
        parts.insert(0, piece(fx_node, builder, base, at, (0, span[0], 1)))
    if span[1] < sizes[axis]:
        parts.append(piece(fx_node, builder, base, at, (span[1], sizes[axis], 1)))
    if len(parts) == 1:
        return builder.settle(fx_node, parts[0])
    return builder.settle(fx_node, builder.insert("concat", fx_node, parts, shape, axis=at))


def _stored_or_shaped(fx_node: fx.Node, builder: Builder, name: str, shape: tuple[int, ...]) -> str:
    """Return a value, or a stored tensor, in a shape."""
    if builder.graph[name].op != "constant":
        return builder.reshaped(fx_node, name, shape)
    value = builder.graph.param(builder.graph[name], "value")
    return builder.constant(fx_node, value.expand(1, *shape[1:]).clone())


@entry(aten.index_put.default, aten._unsafe_index_put.default)
def _index_put(fx_node: fx.Node, builder: Builder) -> str | None:
    """x[:, indices] = values, with one stored list of indices: entries of both, in a new order."""
    a = arguments(fx_node)
    named = [(axis, index) for axis, index in enumerate(a["indices"]) if index is not None]
    stored = builder.tensor(named[0][1]) if len(named) == 1 else None
    if stored is None or stored.ndim != 1 or a["accumulate"]:
        return None
    axis, sizes = named[0][0], builder.sizes(a["self"])
    chosen = [
        int(each) for each in (stored.nonzero()[:, 0] if stored.dtype.itemsize == 1 else stored)
    ]
    plain = axis != 0 and builder.starts_with_batch(fx_node)
    form = builder.operand if plain else builder.lifted
    base, new = form(a["self"], fx_node), form(a["values"], fx_node)
    at = axis if plain else axis + 1
    shape = (BATCH, *(sizes[1:] if plain else sizes))
    part = (*shape[:at], len(chosen), *shape[at + 1 :])
    if base is None or new is None or not _fits(builder, new, part):
        return None
    pieces = [_stored_or_shaped(fx_node, builder, *each) for each in ((base, shape), (new, part))]
    joined = (*shape[:at], sizes[axis] + len(chosen), *shape[at + 1 :])
    both = builder.insert("concat", fx_node, pieces, joined, axis=at)
    order = list(range(sizes[axis]))
    for place, index in enumerate(chosen):
        order[index] = sizes[axis] + place
    attrs: dict[str, Any] = {"axis": at, "indices": tuple(order)}
    return builder.settle(fx_node, builder.insert("take", fx_node, [both], shape, **attrs))


def _fits(builder: Builder, name: str, shape: tuple[int, ...]) -> bool:
    """Whether a value has a shape, or is a stored one that can be repeated to it."""
    return builder.graph[name].op == "constant" or builder.graph[name].shape == shape
