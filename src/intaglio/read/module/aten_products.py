"""Products of two tensors, computed or stored, and attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from intaglio.ir.graph import BATCH
from intaglio.read.module.aten import arguments, aten, axis_of, entry, on_axes
from intaglio.read.module.aten_layers import linear_of, stored_as
from intaglio.read.module.aten_values import aligned
from intaglio.read.module.builder import Builder, count

Shape = tuple[int, ...]
LONGEST_SUM = 1024
"""Entries of an axis that is summed up step by step: the weight for it has their square."""


@entry(aten.matmul.default, aten.bmm.default, aten.mm.default)
def _matmul(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    second = a["other"] if "other" in a else a["mat2"]
    return _product(fx_node, builder, a["self"], second)


@entry(aten.addmm.default)
def _addmm(fx_node: fx.Node, builder: Builder) -> str | None:
    """x W + b with a stored W and b."""
    a = arguments(fx_node)
    matrix, bias = builder.tensor(a["mat2"]), builder.tensor(a["self"])
    if matrix is None or bias is None or bias.ndim != 1 or (a["beta"], a["alpha"]) != (1, 1):
        return None
    params = {
        "weight": stored_as(fx_node, builder, matrix.t().contiguous(), "weight"),
        "bias": stored_as(fx_node, builder, bias, "bias"),
    }
    return linear_of(a["mat1"], fx_node, builder, params)


def _product(fx_node: fx.Node, builder: Builder, first: Any, second: Any) -> str | None:
    stored_first, stored_second = builder.tensor(first), builder.tensor(second)
    if stored_second is not None and stored_second.ndim == 2:
        key = stored_as(fx_node, builder, stored_second.t().contiguous(), "weight")
        return linear_of(first, fx_node, builder, {"weight": key})
    if stored_first is not None and stored_first.ndim == 2:
        return _stored_times(fx_node, builder, stored_first, second)
    a = _batched(fx_node, builder, first, stored_first)
    b = _batched(fx_node, builder, second, stored_second)
    if a is None or b is None:
        return None
    return _multiplied(fx_node, builder, a, b)


def _stored_times(fx_node: fx.Node, builder: Builder, matrix: Tensor, value: Any) -> str | None:
    """W x = (x' W')': a linear layer between two transposes."""
    name = _batched(fx_node, builder, value, None)
    if name is None:
        return None
    key = stored_as(fx_node, builder, matrix.contiguous(), "weight")
    shape = builder.graph[name].shape
    columns = (BATCH, count(shape[:-2]), *shape[-2:])
    name = builder.reshaped(fx_node, name, columns)
    name = _turned(fx_node, builder, name)
    made = (*columns[:2], columns[3], matrix.shape[0])
    rows = builder.reshaped(fx_node, name, (BATCH, columns[1] * columns[3], columns[2]))
    rows = builder.insert(
        "linear",
        fx_node,
        [rows],
        (BATCH, columns[1] * columns[3], matrix.shape[0]),
        params={"weight": key},
        activation=None,
    )
    return builder.settle(fx_node, _turned(fx_node, builder, builder.reshaped(fx_node, rows, made)))


def _turned(fx_node: fx.Node, builder: Builder, name: str) -> str:
    """Return a value with its last two axes exchanged."""
    shape = builder.graph[name].shape
    rank = len(shape)
    order = (*range(rank - 2), rank - 1, rank - 2)
    return builder.insert(
        "transpose", fx_node, [name], tuple(shape[axis] for axis in order), order=order
    )


def _batched(fx_node: fx.Node, builder: Builder, value: Any, stored: Tensor | None) -> str | None:
    """Return a factor as [N, ..., M, K], or a stored one as [1, ..., M, K]."""
    if stored is not None:
        return builder.constant(fx_node, stored.reshape(1, *stored.shape))
    if not isinstance(value, fx.Node):
        return None
    sizes = builder.sizes(value)
    if len(sizes) >= 3 and builder.starts_with_batch(value):
        return builder.operand(value, fx_node)
    return builder.lifted(value, fx_node) if len(sizes) >= 2 else None


def _multiplied(fx_node: fx.Node, builder: Builder, first: str, second: str) -> str | None:
    """Append the product of factors whose leading axes are, or are made, the same."""
    leading = [_leading(builder, name) for name in (first, second)]
    wanted = _broadcast(*leading)
    if wanted is None:
        return None
    a = _with_leading(fx_node, builder, first, wanted)
    b = _with_leading(fx_node, builder, second, wanted)
    shape = (BATCH, *wanted, builder.graph[a].shape[-2], builder.graph[b].shape[-1])
    made = builder.insert("matmul", fx_node, [a, b], shape, transposed=False)
    return builder.settle(fx_node, made)


def _leading(builder: Builder, name: str) -> Shape:
    return builder.graph[name].shape[1:-2]


def _broadcast(first: Shape, second: Shape) -> Shape | None:
    rank = max(len(first), len(second))
    pairs = zip(
        (1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second, strict=True
    )
    sizes = [(max(pair), min(pair)) for pair in pairs]
    if any(small not in (1, large) for large, small in sizes):
        return None
    return tuple(large for large, _ in sizes)


def _with_leading(fx_node: fx.Node, builder: Builder, name: str, wanted: Shape) -> str:
    """Return a factor with these leading axes, repeated where they were of size 1."""
    node = builder.graph[name]
    if node.op == "constant":
        value = builder.graph.param(node, "value")
        return builder.constant(fx_node, value.expand(1, *wanted, *value.shape[-2:]).clone())
    ones = (1,) * (len(wanted) - len(node.shape[1:-2]))
    name = builder.reshaped(fx_node, name, (BATCH, *ones, *node.shape[1:]))
    for axis, size in enumerate(wanted, start=1):
        shape = builder.graph[name].shape
        if shape[axis] != size:
            made = (*shape[:axis], size, *shape[axis + 1 :])
            name = builder.insert("concat", fx_node, [name] * size, made, axis=axis)
    return name


@entry(aten.scaled_dot_product_attention.default)
def _attention(fx_node: fx.Node, builder: Builder) -> str | None:
    """softmax(q k' / sqrt(d) + mask) v."""
    a = arguments(fx_node)
    if a["is_causal"] or a["dropout_p"] or a.get("enable_gqa"):
        return None
    names = [
        _batched(fx_node, builder, a[role], builder.tensor(a[role]))
        for role in ("query", "key", "value")
    ]
    if None in names:
        return None
    query, key, value = (str(name) for name in names)
    wanted = _leading(builder, query)
    if {_broadcast(wanted, _leading(builder, name)) for name in (key, value)} != {wanted}:
        return None
    key, value = (_with_leading(fx_node, builder, name, wanted) for name in (key, value))
    width = builder.graph[query].shape[-1]
    scale = 1.0 / math.sqrt(width) if a["scale"] is None else float(a["scale"])
    factor = builder.operand(scale, fx_node)
    assert factor is not None, "a number is a constant"
    shape = builder.graph[query].shape
    query = builder.insert("mul", fx_node, [query, factor], shape, activation=None)
    tokens = builder.graph[key].shape[-2]
    shape = (*builder.graph[query].shape[:-1], tokens)
    logits = builder.insert("matmul", fx_node, [query, key], shape, transposed=True)
    if a["attn_mask"] is not None:
        masked = _masked(fx_node, builder, logits, a["attn_mask"])
        if masked is None:
            return None
        logits = masked
    weights = builder.insert("softmax", fx_node, [logits], shape, axis=len(shape) - 1)
    made = (*shape[:-1], builder.graph[value].shape[-1])
    return builder.settle(
        fx_node, builder.insert("matmul", fx_node, [weights, value], made, transposed=False)
    )


def _masked(fx_node: fx.Node, builder: Builder, logits: str, mask: Any) -> str | None:
    stored, shape = builder.tensor(mask), builder.graph[logits].shape
    if stored is None:
        beside = builder.lifted(mask, fx_node, len(shape) - 1)
    elif stored.is_floating_point() and stored.ndim < len(shape):
        beside = builder.constant(fx_node, stored)
    else:
        return None
    if beside is None:
        return None
    return builder.insert("add", fx_node, [logits, beside], shape, activation=None)


@entry(aten.cumsum.default)
def _cumsum(fx_node: fx.Node, builder: Builder) -> str | None:
    """A fully connected layer over the axis, whose weight is a triangle of ones."""
    a = arguments(fx_node)
    found = on_axes(a["self"], (axis_of(a["self"], a["dim"]),), fx_node, builder)
    if found is None:
        return None
    name, (axis,), _ = found
    shape = builder.graph[name].shape
    if shape[axis] > LONGEST_SUM:
        return None
    order = (*(each for each in range(len(shape)) if each != axis), axis)
    turned = tuple(shape[each] for each in order)
    name = builder.insert("transpose", fx_node, [name], turned, order=order)
    rows = (BATCH, count(turned[:-1]), turned[-1])
    name = builder.reshaped(fx_node, name, rows)
    ones = torch.ones(turned[-1], turned[-1])
    params = {"weight": stored_as(fx_node, builder, ones.tril(), "weight")}
    name = builder.insert("linear", fx_node, [name], rows, params=params, activation=None)
    name = builder.reshaped(fx_node, name, turned)
    back = tuple(order.index(each) for each in range(len(shape)))
    return builder.settle(fx_node, builder.insert("transpose", fx_node, [name], shape, order=back))


@entry(aten.cdist.default, aten._cdist_forward.default)
def _distances(fx_node: fx.Node, builder: Builder) -> str | None:
    """Square roots of the sums of squares of all differences of two rows."""
    a = arguments(fx_node)
    factors = [
        _batched(fx_node, builder, a[name], builder.tensor(a[name])) for name in ("x1", "x2")
    ]
    if a["p"] != 2 or None in factors:
        return None
    names = [str(name) for name in factors]
    wanted = _broadcast(*(_leading(builder, name) for name in names))
    if wanted is None:
        return None
    rows, spread = [], []
    for name in names:
        whole = _with_leading(fx_node, builder, name, wanted)
        rows.append(builder.graph[whole].shape[-2])
        spread.append(whole)
    width = builder.graph[spread[0]].shape[-1]
    sides = ((BATCH, *wanted, rows[0], 1, width), (BATCH, *wanted, 1, rows[1], width))
    beside = [_shaped(fx_node, builder, *each) for each in zip(spread, sides, strict=True)]
    shape = (BATCH, *wanted, *rows, width)
    apart = builder.insert("sub", fx_node, beside, shape, activation=None)
    square = builder.insert("mul", fx_node, [apart, apart], shape, activation=None)
    axes = (len(shape) - 1,)
    mean = builder.insert("mean", fx_node, [square], shape[:-1], axes=axes, keepdim=False)
    chain = (("mul", float(width)), ("sqrt",))
    root = builder.insert("function", fx_node, [mean], shape[:-1], chain=chain)
    return builder.settle(fx_node, root)


def _shaped(fx_node: fx.Node, builder: Builder, name: str, shape: Shape) -> str:
    if builder.graph[name].op != "constant":
        return builder.reshaped(fx_node, name, shape)
    value = builder.graph.param(builder.graph[name], "value")
    return builder.constant(fx_node, value.reshape(1, *shape[1:]))


@entry(aten.hypot.default)
def _hypot(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    found = aligned([a["self"], a["other"]], fx_node, builder)
    if found is None:
        return None
    squares = [
        builder.insert("mul", fx_node, [name, name], builder.graph[name].shape, activation=None)
        for name in found[0]
    ]
    shape = (BATCH, *builder.sizes(fx_node)) if found[1] else builder.shape(fx_node)
    total = builder.insert("add", fx_node, squares, shape, activation=None)
    root = builder.insert("function", fx_node, [total], shape, chain=(("sqrt",),))
    return builder.settle(fx_node, root)
