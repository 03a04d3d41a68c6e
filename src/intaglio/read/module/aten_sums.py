"""Calls that sum over axes: means, sums, largest values, norms and normalisations."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from intaglio.ops.function import Call
from intaglio.read.module.aten import (
    Entry,
    arguments,
    aten,
    axis_of,
    entry,
    holds_questions,
    more_than_first,
    on_axes,
    rank_of,
)
from intaglio.read.module.aten_layers import stored_as
from intaglio.read.module.builder import Builder, Pieces, count

Shape = tuple[int, ...]


def _axes(value: fx.Node, dims: Any) -> tuple[int, ...]:
    """Return the axes that a call names; all where it names none."""
    if dims is None or dims == []:
        return tuple(range(rank_of(value)))
    named = [dims] if isinstance(dims, int) else list(dims)
    return tuple(sorted(axis_of(value, axis) for axis in named))


def reduced(
    op: str, fx_node: fx.Node, builder: Builder, source: Any, axes: tuple[int, ...]
) -> str | None:
    """Append a reduction that keeps its axes, as size 1; None where the batch is among them."""
    found = on_axes(source, axes, fx_node, builder)
    return None if found is None else over(op, fx_node, builder, found[0], found[1])


def over(op: str, fx_node: fx.Node, builder: Builder, name: str, axes: tuple[int, ...]) -> str:
    """Append a reduction of a node over axes, which stay as size 1."""
    shape = builder.graph[name].shape
    axes = tuple(axis for axis in axes if shape[axis] != 1)
    if not axes:
        return name
    made = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return builder.insert(op, fx_node, [name], made, axes=axes, keepdim=True)


@entry(aten.mean.dim, aten.mean.default)
def _mean(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    if a["dtype"] is not None or not isinstance(a["self"], fx.Node):
        return None
    axes = _axes(a["self"], a.get("dim"))
    if 0 not in axes and builder.starts_with_batch(a["self"]):
        x = builder.operand(a["self"], fx_node)
        if x is None:
            return None
        return builder.add("mean", fx_node, [x], axes=axes, keepdim=bool(a.get("keepdim")))
    name = reduced("mean", fx_node, builder, a["self"], axes)
    return None if name is None else builder.settle(fx_node, name)


@entry(aten.sum.dim_IntList, aten.sum.default)
def _sum(fx_node: fx.Node, builder: Builder) -> str | None:
    """n times the mean."""
    a = arguments(fx_node)
    if a["dtype"] is not None or not isinstance(a["self"], fx.Node):
        return None
    name = _total(fx_node, builder, a["self"], _axes(a["self"], a.get("dim")))
    return None if name is None else builder.settle(fx_node, name)


def _total(fx_node: fx.Node, builder: Builder, source: Any, axes: tuple[int, ...]) -> str | None:
    name = reduced("mean", fx_node, builder, source, axes)
    if name is None:
        return None
    number = math.prod(builder.sizes(source)[axis] for axis in axes)
    return _times(fx_node, builder, name, float(number))


def _times(fx_node: fx.Node, builder: Builder, name: str, factor: float) -> str:
    constant = builder.operand(factor, fx_node)
    assert constant is not None, "a number is a constant"
    if factor == 1.0:
        return name
    shape = builder.graph[name].shape
    return builder.insert("mul", fx_node, [name, constant], shape, activation=None)


@entry(aten.amax.default, aten.max.default)
def _amax(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    if not isinstance(a["self"], fx.Node):
        return None
    name = reduced("reduce_max", fx_node, builder, a["self"], _axes(a["self"], a.get("dim")))
    return None if name is None else builder.settle(fx_node, name)


@entry(aten.logsumexp.default)
def _logsumexp(fx_node: fx.Node, builder: Builder) -> str | None:
    """m + log(sum(exp(x - m))), m the largest."""
    a = arguments(fx_node)
    axes = _axes(a["self"], a["dim"])
    found = on_axes(a["self"], axes, fx_node, builder)
    if found is None:
        return None
    name, at, _ = found
    number = float(math.prod(builder.sizes(a["self"])[axis] for axis in axes))
    largest = over("reduce_max", fx_node, builder, name, at)
    shape = builder.graph[name].shape
    below = builder.insert("sub", fx_node, [name, largest], shape, activation=None)
    mean = over("mean", fx_node, builder, _of(fx_node, builder, below, ("exp",)), at)
    rest = _of(fx_node, builder, mean, ("mul", number), ("log",))
    made = builder.graph[largest].shape
    return builder.settle(
        fx_node, builder.insert("add", fx_node, [largest, rest], made, activation=None)
    )


@entry(aten.amin.default, aten.min.default)
def _amin(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    name = _least(fx_node, builder, a["self"], _axes(a["self"], a.get("dim")))
    return None if name is None else builder.settle(fx_node, name)


def _least(
    fx_node: fx.Node, builder: Builder, source: fx.Node, axes: tuple[int, ...]
) -> str | None:
    """Append the largest of -x over axes, with the sign turned back."""
    found = on_axes(source, axes, fx_node, builder)
    if found is None:
        return None
    turned = _times(fx_node, builder, found[0], -1.0)
    largest = over("reduce_max", fx_node, builder, turned, found[1])
    return _times(fx_node, builder, largest, -1.0)


@entry(aten.any.default, aten.any.dim, aten.any.dims, aten.all.default, aten.all.dim, aten.all.dims)
def _any(fx_node: fx.Node, builder: Builder) -> str | None:
    """Of yes and no, 1 and 0, the largest is whether any is yes; the least, whether all are."""
    a = arguments(fx_node)
    if not holds_questions(a["self"]):
        return None
    axes = _axes(a["self"], a.get("dim"))
    if "all" in str(fx_node.target):
        name = _least(fx_node, builder, a["self"], axes)
    else:
        name = reduced("reduce_max", fx_node, builder, a["self"], axes)
    return None if name is None else builder.settle(fx_node, name)


@entry(aten.max.dim, aten.min.dim)
def _extreme_with_place(fx_node: fx.Node, builder: Builder) -> Pieces | None:
    """The values alone: where their places are read too, nothing is held."""
    a = arguments(fx_node)
    if more_than_first(fx_node):
        return None
    axes = _axes(a["self"], a["dim"])
    if fx_node.target is aten.max.dim:
        name = reduced("reduce_max", fx_node, builder, a["self"], axes)
    else:
        name = _least(fx_node, builder, a["self"], axes)
    if name is None:
        return None
    return Pieces((builder.reshaped(fx_node, name, builder.piece_shape(fx_node, 0)),))


def _varied(
    fx_node: fx.Node, builder: Builder, name: str, axes: tuple[int, ...]
) -> tuple[str, str]:
    """Return (x minus its mean, the mean of the squares of that) over axes of a node."""
    shape = builder.graph[name].shape
    mean = over("mean", fx_node, builder, name, axes)
    apart = builder.insert("sub", fx_node, [name, mean], shape, activation=None)
    return apart, _mean_square(fx_node, builder, apart, axes)


def _mean_square(fx_node: fx.Node, builder: Builder, name: str, axes: tuple[int, ...]) -> str:
    shape = builder.graph[name].shape
    square = builder.insert("mul", fx_node, [name, name], shape, activation=None)
    return over("mean", fx_node, builder, square, axes)


def _of(fx_node: fx.Node, builder: Builder, name: str, *chain: Call) -> str:
    shape = builder.graph[name].shape
    return builder.insert("function", fx_node, [name], shape, chain=chain)


def _spread(fx_node: fx.Node, builder: Builder) -> tuple[str, str] | None:
    """Append the variance and the mean that a call asks for, axes kept; None where it cannot be."""
    a = arguments(fx_node)
    axes = _axes(a["self"], a.get("dim"))
    found = on_axes(a["self"], axes, fx_node, builder)
    if found is None:
        return None
    number = math.prod(builder.sizes(a["self"])[axis] for axis in axes)
    correction = 1.0 if a.get("correction") is None else float(a["correction"])
    if a.get("unbiased") is False:
        correction = 0.0
    if number <= correction:
        return None
    _, square = _varied(fx_node, builder, found[0], found[1])
    mean = over("mean", fx_node, builder, found[0], found[1])
    return _times(fx_node, builder, square, number / (number - correction)), mean


def _variance(*chain: Call) -> Entry:
    def build(fx_node: fx.Node, builder: Builder) -> str | Pieces | None:
        """Add the variance over axes, and what functions make of it; the mean where asked for."""
        found = _spread(fx_node, builder)
        if found is None:
            return None
        square, mean = found
        square = _of(fx_node, builder, square, *chain) if chain else square
        if isinstance(fx_node.meta["val"], Tensor):
            return builder.settle(fx_node, square)
        return Pieces(
            tuple(
                builder.reshaped(fx_node, name, builder.piece_shape(fx_node, index))
                for index, name in enumerate((square, mean))
            )
        )

    return build


for _word, _after in {"var": (), "std": (("sqrt",),)}.items():
    for _name in (_word, f"{_word}_mean"):
        _packet = getattr(aten, _name)
        entry(_packet.correction, _packet.dim, _packet.default)(_variance(*_after))


@entry(aten.linalg_vector_norm.default, aten.norm.ScalarOpt_dim, aten.norm.Scalar)
def _norm(fx_node: fx.Node, builder: Builder) -> str | None:
    """Square root of the sum of squares; the sum, or the largest, of the sizes."""
    a = arguments(fx_node)
    order = a["ord"] if "ord" in a else a["p"]
    order = 2 if order is None else order
    axes = _axes(a["self"], a.get("dim"))
    found = on_axes(a["self"], axes, fx_node, builder)
    if found is None or order not in (1, 2, math.inf) or a.get("dtype") is not None:
        return None
    name, at, _ = found
    number = float(math.prod(builder.sizes(a["self"])[axis] for axis in axes))
    if order == 2:
        square = _mean_square(fx_node, builder, name, at)
        made = _of(fx_node, builder, square, ("mul", number), ("sqrt",))
    elif order == 1:
        mean = over("mean", fx_node, builder, _of(fx_node, builder, name, ("abs",)), at)
        made = _times(fx_node, builder, mean, number)
    else:
        made = over("reduce_max", fx_node, builder, _of(fx_node, builder, name, ("abs",)), at)
    return builder.settle(fx_node, made)


def _normalized(
    fx_node: fx.Node, builder: Builder, name: str, axes: tuple[int, ...], eps: float
) -> str:
    """Return (x - mean) / sqrt(variance + eps) over axes of a node."""
    apart, square = _varied(fx_node, builder, name, axes)
    return _divided(fx_node, builder, apart, square, eps)


def _divided(fx_node: fx.Node, builder: Builder, name: str, square: str, eps: float) -> str:
    shape = builder.graph[name].shape
    rate = _of(fx_node, builder, square, ("add", eps), ("rsqrt",))
    return builder.insert("mul", fx_node, [name, rate], shape, activation=None)


def _scaled(
    fx_node: fx.Node, builder: Builder, name: str, a: dict[str, Any], shape: Shape
) -> str | None:
    """Return weight * x + bias, each in a shape beside x; None where one is computed."""
    for role, op in (("weight", "mul"), ("bias", "add")):
        if a.get(role) is None:
            continue
        stored = builder.tensor(a[role])
        if stored is None:
            return None
        beside = builder.constant(fx_node, stored.reshape(shape))
        inputs = [name, beside]
        name = builder.insert(op, fx_node, inputs, builder.graph[name].shape, activation=None)
    return name


@entry(aten.layer_norm.default, aten.native_layer_norm.default)
def _layer_norm(fx_node: fx.Node, builder: Builder) -> str | Pieces | None:
    a = arguments(fx_node)
    size = tuple(a["normalized_shape"])
    rank = rank_of(a["input"])
    found = on_axes(a["input"], tuple(range(rank - len(size), rank)), fx_node, builder)
    if found is None:
        return None
    name, axes, _ = found
    made = _normalized(fx_node, builder, name, axes, float(a["eps"]))
    scaled = _scaled(fx_node, builder, made, a, size)
    if scaled is None:
        return None
    if isinstance(fx_node.meta["val"], Tensor):
        return builder.settle(fx_node, scaled)
    return Pieces((builder.reshaped(fx_node, scaled, builder.graph[name].shape),))


@entry(aten.rms_norm.default)
def _rms_norm(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    size, rank = tuple(a["normalized_shape"]), rank_of(a["input"])
    found = on_axes(a["input"], tuple(range(rank - len(size), rank)), fx_node, builder)
    if found is None:
        return None
    name, axes, _ = found
    eps = 2.0**-23 if a["eps"] is None else float(a["eps"])
    square = _mean_square(fx_node, builder, name, axes)
    made = _divided(fx_node, builder, name, square, eps)
    scaled = _scaled(fx_node, builder, made, a, size)
    return None if scaled is None else builder.settle(fx_node, scaled)


@entry(aten.group_norm.default)
def _group_norm(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["input"], fx_node)
    if x is None or not builder.starts_with_batch(a["input"]):
        return None
    shape = builder.graph[x].shape
    groups = int(a["num_groups"])
    grouped = (shape[0], groups, count(shape) // groups)
    name = builder.reshaped(fx_node, x, grouped)
    name = _normalized(fx_node, builder, name, (2,), float(a["eps"]))
    name = builder.reshaped(fx_node, name, shape)
    return _channel_affine(fx_node, builder, name, a)


def _channel_affine(fx_node: fx.Node, builder: Builder, name: str, a: dict[str, Any]) -> str | None:
    """Append weight * x + bias per channel, as the layer that it is."""
    if a["weight"] is None:
        return builder.settle(fx_node, name)
    weight = builder.key(a["weight"])
    if weight is None:
        return None
    if a["bias"] is None:
        bias: str | None = stored_as(
            fx_node, builder, torch.zeros_like(builder.graph.params[weight]), "bias"
        )
    else:
        bias = builder.key(a["bias"])
    if bias is None:
        return None
    params = {"weight": weight, "bias": bias}
    shape = builder.graph[name].shape
    if len(shape) != 4:
        return builder.settle(
            fx_node,
            builder.insert("affine", fx_node, [name], shape, params=params, activation=None),
        )
    return builder.add("affine", fx_node, [name], params=params, activation=None)


@entry(aten.instance_norm.default)
def _instance_norm(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["input"], fx_node)
    if x is None or not a["use_input_stats"] or not builder.starts_with_batch(a["input"]):
        return None
    axes = tuple(range(2, len(builder.graph[x].shape)))
    name = _normalized(fx_node, builder, x, axes, float(a["eps"]))
    return _channel_affine(fx_node, builder, name, a)
