"""The table from ATen calls to the graph's ops; one short function per op.

A function returns the name of the node it made (or pieces), or None where this form of the call has
no op of ours: the call is then kept as an `opaque` node.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import fx
from torch.utils import _pytree as pytree

from intaglio.errors import CaptureError
from intaglio.ops.opaque import BatchSize, Slot
from intaglio.read.module.builder import BatchMarker, Builder, Pieces, module_path

aten = torch.ops.aten
Entry = Callable[[fx.Node, Builder], str | Pieces | None]
ATEN: dict[Any, Entry] = {}
INFINITY = float("inf")

IDENTITY = {
    aten.clone.default,
    aten.contiguous.default,
    aten.detach.default,
    aten.alias.default,
    aten.lift_fresh_copy.default,
    aten.to.dtype,
    aten._to_copy.default,
    aten.expand.default,
    aten.type_as.default,
}
SKIPPED = {aten._assert_tensor_metadata.default, aten._assert_scalar.default}


def _entry(*targets: Any) -> Callable[[Entry], Entry]:
    def add(function: Entry) -> Entry:
        """File the function as the entry of every target; return it."""
        ATEN.update(dict.fromkeys(targets, function))
        return function

    return add


def arguments(fx_node: fx.Node) -> dict[str, Any]:
    """Return the call's arguments by name, defaults filled in."""
    schema = fx_node.target._schema  # type: ignore[union-attr]
    found: dict[str, Any] = {}
    for index, argument in enumerate(schema.arguments):
        if index < len(fx_node.args):
            found[argument.name] = fx_node.args[index]
        else:
            found[argument.name] = fx_node.kwargs.get(argument.name, argument.default_value)
    return found


def pair(value: Any) -> tuple[int, int]:
    """Return (height, width) from a number, or a list of one or two."""
    values = [value] if isinstance(value, int) else list(value)
    return (values[0], values[-1])


def build_opaque(fx_node: fx.Node, builder: Builder) -> str:
    """Keep a call that has no op of ours, with everything needed to run it again."""
    inputs: list[str] = []

    def slot(name: str) -> int:
        """Return the index of a value among the node's inputs; it becomes one if it is none yet."""
        if name not in inputs:
            inputs.append(name)
        return inputs.index(name)

    def store(leaf: Any) -> Any:
        """Return what stands for a leaf of the call: itself, an input, or an input's batch size."""
        if not isinstance(leaf, fx.Node):
            return leaf
        value = builder.values.get(leaf)
        if isinstance(value, int):
            return value
        if isinstance(value, BatchMarker):
            return BatchSize(slot(builder.graph.inputs[0]))
        name = builder.operand(leaf, fx_node)
        if name is None:
            raise builder.not_static(fx_node, leaf.meta.get("val"))
        return Slot(slot(name))

    made, output = fx_node, None
    if fx_node.target is operator.getitem:  # one of several results: the call is made for each
        made, output = fx_node.args  # type: ignore[assignment]
    args, kwargs = pytree.tree_map(store, (made.args, made.kwargs))
    name = builder.add(
        "opaque", made, inputs, call=made.target, args=args, kwargs=dict(kwargs), output=output
    )
    builder.graph[name].shape = builder.shape_or_none(fx_node)
    return name


@_entry(operator.getitem)
def _getitem(fx_node: fx.Node, builder: Builder) -> str | None:
    source, index = fx_node.args
    value = builder.values.get(source)  # type: ignore[arg-type]
    if isinstance(value, Pieces):
        return value.names[index]  # type: ignore[index]
    if isinstance(value, str) and index == 0:  # a batch norm; its other results are for training
        return value
    return None


@_entry(aten.dropout.default, aten.feature_dropout.default, aten.alpha_dropout.default)
def _dropout(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    return None if a["train"] else builder.operand(a["input"], fx_node)


@_entry(aten.conv2d.default, aten.conv2d.padding)
def _conv2d(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x, params = builder.operand(a["input"], fx_node), _weights(a, builder)
    if x is None or params is None:
        return None
    dilation = pair(a["dilation"])
    return builder.add(
        "conv2d",
        fx_node,
        [x],
        params=params,
        stride=pair(a["stride"]),
        padding=_conv_padding(a, builder.graph.params[params["weight"]].shape, dilation),
        dilation=dilation,
        groups=a["groups"],
        activation=None,
    )


def _conv_padding(
    a: dict[str, Any], weight_shape: torch.Size, dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    if a["padding"] == "valid":
        return (0, 0, 0, 0)
    if a["padding"] == "same":
        total = [step * (size - 1) for step, size in zip(dilation, weight_shape[2:], strict=True)]
        top, left = total[0] // 2, total[1] // 2
        return (top, total[0] - top, left, total[1] - left)
    height, width = pair(a["padding"])
    return (height, height, width, width)


def _weights(a: dict[str, Any], builder: Builder) -> dict[str, str] | None:
    """Return roles to keys; None where a weight is computed and not stored."""
    params: dict[str, str] = {}
    for role in ("weight", "bias"):
        if a[role] is not None:
            key = builder.key(a[role])
            if key is None:
                return None
            params[role] = key
    return params


@_entry(aten.conv_transpose2d.input)
def _conv_transpose2d(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x, params = builder.operand(a["input"], fx_node), _weights(a, builder)
    if x is None or params is None:
        return None
    return builder.add(
        "conv_transpose2d",
        fx_node,
        [x],
        params=params,
        stride=pair(a["stride"]),
        padding=pair(a["padding"]),
        output_padding=pair(a["output_padding"]),
        dilation=pair(a["dilation"]),
        groups=a["groups"],
        activation=None,
    )


@_entry(aten.linear.default)
def _linear(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x, params = builder.operand(a["input"], fx_node), _weights(a, builder)
    if x is None or params is None:
        return None
    return builder.add("linear", fx_node, [x], params=params, activation=None)


@_entry(aten.batch_norm.default, aten._native_batch_norm_legit_no_training.default)
def _batch_norm(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    if a.get("training"):
        _batch_statistics(fx_node, builder)
    roles = {"weight": "weight", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    keys = {role: builder.key(a[name]) for name, role in roles.items() if a[name] is not None}
    x = builder.operand(a["input"], fx_node)
    if x is None or None in keys.values():
        return None
    params = {role: key for role, key in keys.items() if key is not None}
    return builder.add("batch_norm", fx_node, [x], params=params, eps=float(a["eps"]))


@_entry(aten._native_batch_norm_legit_functional.default, aten._native_batch_norm_legit.no_stats)
def _batch_statistics(fx_node: fx.Node, builder: Builder) -> NoReturn:
    raise CaptureError(
        f"layer '{module_path(fx_node) or fx_node.name}' normalizes with the statistics of the"
        " batch, so that images mix: call .eval() before torch.export, and give batch norms"
        " stored statistics (track_running_stats=True)"
    )


def _clamp(fx_node: fx.Node, builder: Builder, low: float | None, high: float | None) -> str | None:
    x = builder.operand(fx_node.args[0], fx_node)
    if x is None or isinstance(low, fx.Node) or isinstance(high, fx.Node):
        return None
    least = -INFINITY if low is None else float(low)
    most = INFINITY if high is None else float(high)
    if math.isnan(least) or math.isnan(most):
        return None
    # torch gives `high` where the bounds are the wrong way round
    return builder.add("clamp", fx_node, [x], activation=(min(least, most), most))


@_entry(aten.relu.default)
def _relu(fx_node: fx.Node, builder: Builder) -> str | None:
    return _clamp(fx_node, builder, 0.0, None)


@_entry(aten.relu6.default)
def _relu6(fx_node: fx.Node, builder: Builder) -> str | None:
    return _clamp(fx_node, builder, 0.0, 6.0)


@_entry(aten.hardtanh.default)
def _hardtanh(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    return _clamp(fx_node, builder, a["min_val"], a["max_val"])


@_entry(aten.clamp.default, aten.clamp_min.default, aten.clamp_max.default)
def _clamps(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    return _clamp(fx_node, builder, a.get("min"), a.get("max"))


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


@_entry(aten.leaky_relu.default)
def _leaky_relu(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    if x is None:
        return None
    return builder.add("leaky_relu", fx_node, [x], slope=float(a["negative_slope"]))


@_entry(aten.softmax.int, aten._softmax.default)
def _softmax(fx_node: fx.Node, builder: Builder) -> str | None:
    a = arguments(fx_node)
    x = builder.operand(a["self"], fx_node)
    axis = _axis(fx_node, a["dim"])
    if x is None or a.get("dtype") is not None or axis == 0:
        return None
    return builder.add("softmax", fx_node, [x], axis=axis)


def _binary(op: str, *, swap: bool = False) -> Entry:
    def build(fx_node: fx.Node, builder: Builder) -> str | None:
        """Add the op on both operands; None where one is no value, or scaled, or rounded."""
        a = arguments(fx_node)
        first = builder.operand(a["self"], fx_node)
        second = builder.operand(a["other"], fx_node)
        if first is None or second is None or a.get("alpha", 1) != 1:
            return None
        if a.get("rounding_mode") is not None:
            return None
        inputs = [second, first] if swap else [first, second]
        attrs = {} if op == "div" else {"activation": None}
        return builder.add(op, fx_node, inputs, **attrs)

    return build


for _name, _targets in {
    "add": (aten.add.Tensor, aten.add.Scalar),
    "sub": (aten.sub.Tensor, aten.sub.Scalar),
    "mul": (aten.mul.Tensor, aten.mul.Scalar),
    "div": (aten.div.Tensor, aten.div.Scalar),
}.items():
    _entry(*_targets)(_binary(_name))
_entry(aten.rsub.Scalar, aten.rsub.Tensor)(_binary("sub", swap=True))


@_entry(aten.neg.default)
def _negative(fx_node: fx.Node, builder: Builder) -> str | None:
    x, minus_one = builder.operand(fx_node.args[0], fx_node), builder.operand(-1.0, fx_node)
    if x is None or minus_one is None:
        return None
    return builder.add("mul", fx_node, [x, minus_one], activation=None)


def _axis(fx_node: fx.Node, axis: int) -> int:
    source = next(arg for arg in fx_node.all_input_nodes)
    return int(axis % source.meta["val"].ndim)
