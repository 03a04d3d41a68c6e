"""Calls that round: to whole numbers, and quotients to such, with what is left of them.

A quotient is rounded only by a power of two, where x / c is exact: by another number it may round
up to a whole number that torch's own does not reach.
"""

from __future__ import annotations

import math
from typing import Any

from torch import fx

from intaglio.ops.function import Call
from intaglio.read.module.aten import arguments, aten, entry
from intaglio.read.module.aten_values import number_of
from intaglio.read.module.builder import Builder

UP, DOWN = ("clamp", 0.0, math.inf), ("clamp", -math.inf, 0.0)


@entry(aten.trunc.default, aten.fix.default)
def _trunc(fx_node: fx.Node, builder: Builder) -> str | None:
    x = builder.operand(arguments(fx_node)["self"], fx_node)
    return None if x is None else _toward_zero(fx_node, builder, x)


@entry(aten.frac.default)
def _frac(fx_node: fx.Node, builder: Builder) -> str | None:
    x = builder.operand(arguments(fx_node)["self"], fx_node)
    return None if x is None else _less(fx_node, builder, x, _toward_zero(fx_node, builder, x))


@entry(
    aten.div.Tensor_mode,
    aten.div.Scalar_mode,
    aten.divide.Tensor_mode,
    aten.divide.Scalar_mode,
    aten.floor_divide.default,
    aten.floor_divide.Scalar,
)
def _quotient(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    return _rounded(fx_node, builder, is_floored=a.get("rounding_mode", "floor") == "floor")


@entry(aten.remainder.Scalar, aten.remainder.Tensor)
def _remainder(fx_node: fx.Node, builder: Builder) -> str | None:
    return _rest(fx_node, builder, is_floored=True)


@entry(aten.fmod.Scalar, aten.fmod.Tensor)
def _fmod(fx_node: fx.Node, builder: Builder) -> str | None:
    return _rest(fx_node, builder, is_floored=False)


def _rest(fx_node: fx.Node, builder: Builder, *, is_floored: bool) -> str | None:
    """Append x - c times the rounded x / c."""
    a = arguments(fx_node)
    x, rounded = (
        builder.operand(a["self"], fx_node),
        _rounded(fx_node, builder, is_floored=is_floored),
    )
    if x is None or rounded is None:
        return None
    whole = _of(fx_node, builder, rounded, ("mul", float(number_of(a["other"], builder))))
    return _less(fx_node, builder, x, whole)


def _rounded(fx_node: fx.Node, builder: Builder, *, is_floored: bool) -> str | None:
    """Append the quotient of a value and a power of two, floored or toward zero."""
    a = arguments(fx_node)
    x, divisor = builder.operand(a["self"], fx_node), number_of(a["other"], builder)
    if x is None or not _is_power_of_two(divisor):
        return None
    rate: Call = ("mul", 1.0 / float(divisor))
    if is_floored:
        return _of(fx_node, builder, x, rate, ("floor",))
    return _toward_zero(fx_node, builder, x, rate)


def _is_power_of_two(value: Any) -> bool:
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return is_number and abs(math.frexp(float(value))[0]) == 0.5


def _toward_zero(fx_node: fx.Node, builder: Builder, name: str, *before: Call) -> str:
    """Append the whole part: what is above zero floored, and the rest the other way."""
    above = _of(fx_node, builder, name, *before, UP, ("floor",))
    below = _of(fx_node, builder, name, *before, DOWN, ("ceil",))
    shape = builder.graph[name].shape
    return builder.insert("add", fx_node, [above, below], shape, activation=None)


def _less(fx_node: fx.Node, builder: Builder, first: str, second: str) -> str:
    shape = builder.graph[first].shape
    return builder.insert("sub", fx_node, [first, second], shape, activation=None)


def _of(fx_node: fx.Node, builder: Builder, name: str, *chain: Call) -> str:
    shape = builder.graph[name].shape
    return builder.insert("function", fx_node, [name], shape, chain=chain)
