"""Calls that compute each value by itself: activations, functions, arithmetic of two values."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from intaglio.ops.function import Call
from intaglio.read.module.aten import (
    ATEN,
    Entry,
    add_lifted,
    arguments,
    aten,
    axis_of,
    entry,
    holds_questions,
    on_axes,
)
from intaglio.read.module.builder import Builder, Pieces

INFINITY = float("inf")


def clamped(
    fx_node: fx.Node, builder: Builder, low: float | None, high: float | None
) -> str | None:
    """Append a clamp of the call's first argument; None where a bound is no number."""
    x = builder.operand(fx_node.args[0], fx_node)
    if x is None or isinstance(low, fx.Node) or isinstance(high, fx.Node):
        return None
    least = -INFINITY if low is None else float(low)
    most = INFINITY if high is None else float(high)
    if math.isnan(least) or math.isnan(most):
        return None
    # torch gives `high` where the bounds are the wrong way round
    return builder.add("clamp", fx_node, [x], activation=(min(least, most), most))


@entry(
    aten.dropout.default,
    aten.feature_dropout.default,
    aten.alpha_dropout.default,
    aten.feature_alpha_dropout.default,
)
def _dropout(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    return None if a["train"] else builder.operand(a["self"], fx_node)


@entry(aten.relu.default)
def _relu(fx_node: fx.Node, builder: Builder) -> str | None:
    return clamped(fx_node, builder, 0.0, None)


@entry(aten.relu6.default)
def _relu6(fx_node: fx.Node, builder: Builder) -> str | None:
    return clamped(fx_node, builder, 0.0, 6.0)


@entry(aten.hardtanh.default)
def _hardtanh(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    return clamped(fx_node, builder, a["min_val"], a["max_val"])


@entry(
    aten.clamp.default,
    aten.clamp.Tensor,
    aten.clip.default,
    aten.clip.Tensor,
    aten.clamp_min.default,
    aten.clamp_min.Tensor,
    aten.clamp_max.default,
    aten.clamp_max.Tensor,
)
def _clamps(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    low, high = (number_of(a.get(name), builder) for name in ("min", "max"))
    return clamped(fx_node, builder, low, high)


def number_of(value: Any, builder: Builder) -> Any:
    """Return the number that an argument is, also as a stored tensor of one; else the argument."""
    if isinstance(value, fx.Node) and isinstance(builder.values.get(value), int | float):
        return builder.values[value]
    tensor = builder.tensor(value)
    return float(tensor) if tensor is not None and tensor.numel() == 1 else value


def _unary(op: str) -> Entry:
    def build(fx_node: fx.Node, builder: Builder) -> str | None:
        """Add the op on the call's first argument; None where that is no value."""
        x = builder.operand(fx_node.args[0], fx_node)
        return None if x is None else builder.add(op, fx_node, [x])

    return build


ATEN[aten.hardswish.default] = _unary("hard_swish")
ATEN[aten.hardsigmoid.default] = _unary("hard_sigmoid")
ATEN[aten.sigmoid.default] = _unary("sigmoid")
ATEN[aten.tanh.default] = _unary("tanh")
ATEN[aten.silu.default] = _unary("silu")


@entry(aten.leaky_relu.default, aten.rrelu.default)
def _leaky_relu(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None or a.get("training"):
        return None
    slope = a["negative_slope"] if "negative_slope" in a else (a["lower"] + a["upper"]) / 2
    return builder.add("leaky_relu", fx_node, [x], slope=float(slope))


def function_of(fx_node: fx.Node, builder: Builder, *chain: Call) -> str | None:
    """Append functions of the call's first argument; None where that is no value."""
    x = builder.operand(arguments(fx_node)["self"], fx_node)
    return None if x is None else builder.add("function", fx_node, [x], chain=chain)


def _function(name: str, *settings: str) -> Entry:
    def build(fx_node: fx.Node, builder: Builder) -> str | None:
        """Add one function; its settings are the call's arguments of these names."""
        a = arguments(fx_node)
        values = [number_of(a[each], builder) for each in settings]
        if any(isinstance(value, fx.Node) for value in values):
            return None
        return function_of(fx_node, builder, (name, *map(float, values)))

    return build


for _name in (
    *("abs", "atan", "ceil", "cos", "erf", "exp", "expm1", "floor", "log", "log1p", "log_sigmoid"),
    *("mish", "reciprocal", "round", "rsqrt", "sign", "sin", "sqrt", "tan"),
):
    ATEN[getattr(aten, _name).default] = _function(_name)
ATEN[aten.elu.default] = _function("elu", "alpha", "scale", "input_scale")
ATEN[aten.softplus.default] = _function("softplus", "beta", "threshold")
ATEN[aten.hardshrink.default] = _function("hardshrink", "lambd")
ATEN[aten.softshrink.default] = _function("softshrink", "lambd")
ATEN[aten.threshold.default] = _function("threshold", "threshold", "value")


def _chain(*calls: Call) -> Entry:
    return lambda fx_node, builder: function_of(fx_node, builder, *calls)


ATEN[aten.exp2.default] = _chain(("mul", math.log(2.0)), ("exp",))
ATEN[aten.log2.default] = _chain(("log",), ("mul", 1.0 / math.log(2.0)))
ATEN[aten.log10.default] = _chain(("log",), ("mul", 1.0 / math.log(10.0)))
ATEN[aten.erfc.default] = _chain(("erf",), ("mul", -1.0), ("add", 1.0))


@entry(aten.gelu.default)
def _gelu(fx_node: fx.Node, builder: Builder) -> str | None:
    exact = arguments(fx_node)["approximate"] == "none"
    return function_of(fx_node, builder, ("gelu" if exact else "gelu_tanh",))


@entry(aten.celu.default)
def _celu(fx_node: fx.Node, builder: Builder) -> str | None:
    alpha = float(arguments(fx_node)["alpha"])
    return function_of(fx_node, builder, ("elu", alpha, 1.0, 1.0 / alpha))


@entry(aten.selu.default)
def _selu(fx_node: fx.Node, builder: Builder) -> str | None:
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return function_of(fx_node, builder, ("elu", alpha, scale, 1.0))


@entry(aten.square.default)
def _square(fx_node: fx.Node, builder: Builder) -> str | None:
    return squared(fx_node, builder)


def squared(fx_node: fx.Node, builder: Builder) -> str | None:
    """Append the product of the call's first argument and itself; None where that is no value."""
    x = builder.operand(arguments(fx_node)["self"], fx_node)
    return None if x is None else builder.add("mul", fx_node, [x, x], activation=None)


@entry(aten.pow.Tensor_Scalar, aten.pow.Tensor_Tensor)
def _pow(fx_node: fx.Node, builder: Builder) -> str | Pieces | None:
    exponent = number_of(arguments(fx_node)["exponent"], builder)
    if isinstance(exponent, fx.Node):
        return None
    named = {0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if exponent == 2:
        return squared(fx_node, builder)
    if exponent == 1:
        return builder.operand(arguments(fx_node)["self"], fx_node)
    if float(exponent) in named:
        return function_of(fx_node, builder, (named[float(exponent)],))
    return function_of(fx_node, builder, ("pow", float(exponent)))


@entry(aten.pow.Scalar)
def _exponential(fx_node: fx.Node, builder: Builder) -> str | None:
    """c ** x = exp(x log c)."""
    a = arguments(fx_node)
    x, base = builder.operand(a["exponent"], fx_node), float(a["self"])
    if x is None or base <= 0:
        return None
    return builder.add("function", fx_node, [x], chain=(("mul", math.log(base)), ("exp",)))


def aligned(values: list[Any], fx_node: fx.Node, builder: Builder) -> tuple[list[str], bool] | None:
    """Return what broadcasts to the result as torch's tensors do, and whether that is lifted.

    None where one is no value.
    """
    values = [builder.unrepeated(value) for value in values]
    computed = [value for value in values if isinstance(value, fx.Node) and not builder.key(value)]
    sizes = builder.sizes(fx_node)
    plain = builder.starts_with_batch(fx_node) and all(
        len(builder.sizes(value)) == len(sizes) and builder.starts_with_batch(value)
        for value in computed
    )
    names = [
        builder.operand(value, fx_node) if plain else builder.lifted(value, fx_node, len(sizes))
        for value in values
    ]
    return None if None in names else ([name for name in names if name], not plain)


def add_aligned(
    op: str, values: list[Any], fx_node: fx.Node, builder: Builder, **attrs: Any
) -> str | None:
    """Append an op on values that broadcast to its result; None where one is no value."""
    found = aligned(values, fx_node, builder)
    if found is None:
        return None
    names, lifted = found
    if lifted:
        return add_lifted(op, fx_node, builder, names, **attrs)
    return builder.add(op, fx_node, names, **attrs)


def _binary(op: str, *, swap: bool = False, names: tuple[str, str] = ("self", "other")) -> Entry:
    def build(fx_node: fx.Node, builder: Builder) -> str | None:
        """Add the op on both operands; None where one is no value."""
        a = arguments(fx_node)
        first, second = a[names[0]], a[names[1]]
        alpha = a.get("alpha", 1)
        attrs: dict[str, Any] = {} if op not in ("add", "sub", "mul") else {"activation": None}
        values = [second, first] if swap else [first, second]
        if op == "add" and holds_questions(fx_node):  # of yes and no it is "or"
            return add_aligned("maximum", values, fx_node, builder)
        if alpha == 1:
            return add_aligned(op, values, fx_node, builder, **attrs)
        return _scaled_sum(op, values, fx_node, builder, float(alpha), swap)

    return build


def _scaled_sum(
    op: str, values: list[Any], fx_node: fx.Node, builder: Builder, alpha: float, swap: bool
) -> str | None:
    """Append a + alpha b, or a - alpha b."""
    found = aligned(values, fx_node, builder)
    if found is None:
        return None
    names, lifted = found
    at = 0 if swap else 1
    factor = builder.operand(alpha, fx_node)
    assert factor is not None, "a number is a constant"
    shape = builder.graph[names[at]].shape
    scaled = builder.insert("mul", fx_node, [names[at], factor], shape, activation=None)
    names[at] = scaled
    if lifted:
        return add_lifted(op, fx_node, builder, names, activation=None)
    return builder.add(op, fx_node, names, activation=None)


for _op, _targets in {
    "add": (aten.add.Tensor, aten.add.Scalar),
    "sub": (aten.sub.Tensor, aten.sub.Scalar, aten.subtract.Tensor, aten.subtract.Scalar),
    "mul": (aten.mul.Tensor, aten.mul.Scalar, aten.multiply.Tensor, aten.multiply.Scalar),
    "div": (
        *(aten.div.Tensor, aten.div.Scalar, aten.divide.Tensor, aten.divide.Scalar),
        *(aten.true_divide.Tensor, aten.true_divide.Scalar),
    ),
    "maximum": (aten.maximum.default, aten.max.other, aten.fmax.default),
    "minimum": (aten.minimum.default, aten.min.other, aten.fmin.default),
}.items():
    entry(*_targets)(_binary(_op))
entry(aten.rsub.Scalar, aten.rsub.Tensor)(_binary("sub", swap=True))


@entry(aten.neg.default, aten.negative.default)
def _negative(fx_node: fx.Node, builder: Builder) -> str | None:
    x, minus_one = builder.operand(fx_node.args[0], fx_node), builder.operand(-1.0, fx_node)
    if x is None or minus_one is None:
        return None
    return builder.add("mul", fx_node, [x, minus_one], activation=None)


@entry(aten.softmax.int, aten._softmax.default)
def _softmax(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    found = on_axes(a["self"], (axis_of(a["self"], a["dim"]),), fx_node, builder)
    if found is None or a.get("dtype") not in (None, torch.float32):
        return None
    name, axes, lifted = found
    if lifted:
        return add_lifted("softmax", fx_node, builder, [name], axis=axes[0])
    return builder.add("softmax", fx_node, [name], axis=axes[0])


@entry(aten.log_softmax.int, aten._log_softmax.default)
def _log_softmax(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    found = on_axes(a["self"], (axis_of(a["self"], a["dim"]),), fx_node, builder)
    if found is None or a.get("dtype") not in (None, torch.float32):
        return None
    name, axes, _ = found
    shape = builder.graph[name].shape
    soft = builder.insert("softmax", fx_node, [name], shape, axis=axes[0])
    return builder.settle(
        fx_node, builder.insert("function", fx_node, [soft], shape, chain=(("log",),))
    )
