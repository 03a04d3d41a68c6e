"""Calls that ask for yes or no of each value, and those that choose by the answer.

The graph has no type for answers: yes is 1 and no is 0, in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from intaglio.read.module.aten import Entry, arguments, aten, entry, holds_questions
from intaglio.read.module.aten_values import add_aligned
from intaglio.read.module.builder import Builder

LARGEST = float(torch.finfo(torch.float32).max)


def _relation(name: str) -> Entry:
    def build(fx_node: fx.Node, builder: Builder) -> str | None:
        """Add the comparison of both operands."""
        a = arguments(fx_node)
        return add_aligned("compare", [a["self"], a["other"]], fx_node, builder, relation=name)

    return build


for _name, _word in {
    **{"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal"},
    **{"gt": "greater", "ge": "greater_equal"},
}.items():
    entry(getattr(aten, _name).Tensor, getattr(aten, _name).Scalar)(_relation(_word))


@entry(aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf, aten.where.Scalar)
def _where(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    values = [a["condition"], *list(a.values())[1:3]]
    chosen = builder.tensor(a["condition"])
    if chosen is not None and bool((chosen == chosen.flatten()[0]).all()):
        value = values[1] if bool(chosen.flatten()[0]) else values[2]
        if isinstance(value, fx.Node) and builder.sizes(value) == builder.sizes(fx_node):
            return builder.operand(value, fx_node)
    return add_aligned("where", values, fx_node, builder)


@entry(aten.masked_fill.Scalar, aten.masked_fill.Tensor)
def _masked_fill(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    return add_aligned("where", [a["mask"], a["value"], a["self"]], fx_node, builder)


def _logic(op: str, **attrs: Any) -> Entry:
    def build(fx_node: fx.Node, builder: Builder) -> str | None:
        """Add the op on two tensors of yes and no; None where one holds other values."""
        a = arguments(fx_node)
        values = [a["self"], a["other"]]
        if not all(map(holds_questions, values)):
            return None
        return add_aligned(op, values, fx_node, builder, **attrs)

    return build


entry(aten.logical_and.default, aten.bitwise_and.Tensor, aten.__and__.Tensor)(_logic("minimum"))
entry(aten.logical_or.default, aten.bitwise_or.Tensor, aten.__or__.Tensor)(_logic("maximum"))
entry(aten.logical_xor.default, aten.bitwise_xor.Tensor, aten.__xor__.Tensor)(
    _logic("compare", relation="not_equal")
)


@entry(aten.logical_not.default, aten.bitwise_not.default)
def _logical_not(fx_node: fx.Node, builder: Builder) -> str | None:
    value = arguments(fx_node)["self"]
    if fx_node.target is aten.bitwise_not.default and not holds_questions(value):
        return None
    return add_aligned("compare", [value, 0.0], fx_node, builder, relation="equal")


@entry(aten.to.dtype, aten._to_copy.default)
def _is_not_zero(fx_node: fx.Node, builder: Builder) -> str | None:
    """x.bool()."""
    value = arguments(fx_node)["self"]
    if not holds_questions(fx_node) or value.meta["val"].dtype != torch.float32:
        return None
    return add_aligned("compare", [value, 0.0], fx_node, builder, relation="not_equal")


@entry(aten.isnan.default)
def _isnan(fx_node: fx.Node, builder: Builder) -> str | None:
    """Only NaN is not itself."""
    value = arguments(fx_node)["self"]
    return add_aligned("compare", [value, value], fx_node, builder, relation="not_equal")


@entry(aten.nan_to_num.default)
def _nan_to_num(fx_node: fx.Node, builder: Builder) -> str | None:
    """A number where x is not itself, else x between the least and the largest float32."""
    a = arguments(fx_node)
    x, number = builder.operand(a["self"], fx_node), builder.operand(a["nan"] or 0.0, fx_node)
    if x is None or number is None or (a["neginf"], a["posinf"]) != (None, None):
        return None
    limits = (-LARGEST, LARGEST)
    shape = builder.graph[x].shape
    asked = builder.insert("compare", fx_node, [x, x], shape, relation="not_equal")
    chosen = builder.insert("where", fx_node, [asked, number, x], shape)
    return builder.insert("clamp", fx_node, [chosen], shape, activation=limits)
