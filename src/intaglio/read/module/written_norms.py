"""Batch norms that are written out in a module's own code, as those of detectors are.

Such a norm keeps its four numbers for each channel as buffers of its own, and its forward says

    x * scale + (beta - mean * scale)   or   (x - mean) * scale + beta
    with  scale = gamma / sqrt(var + eps)

in one of a few spellings. Read as a batch norm it folds as one, and what it knows of its values is
not lost in two constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import fx

from intaglio.read.module.aten import arguments, aten
from intaglio.read.module.aten_values import number_of
from intaglio.read.module.builder import Builder

ADD, SUB, MUL, DIV = (getattr(aten, name).Tensor for name in ("add", "sub", "mul", "div"))
NEG, RSQRT, SQRT = aten.neg.default, aten.rsqrt.default, aten.sqrt.default
RECIPROCAL, POW = aten.reciprocal.default, aten.pow.Tensor_Scalar
RESHAPED = tuple(
    getattr(aten, name).default
    for name in ("alias", "clone", "contiguous", "detach", "reshape", "unsqueeze", "view")
)
"""Calls that keep a tensor's numbers in their order."""


@dataclass(frozen=True)
class Scale:
    """A product of stored tensors, divided by the roots of others.

    Attributes:
        factors: Keys of the stored tensors, sorted.
        roots: (Key of a stored tensor, what is added to it) under each root.
    """

    factors: tuple[str, ...] = ()
    roots: tuple[tuple[str, float], ...] = ()

    def times(self, other: Scale | None) -> Scale | None:
        """Return the product of both; None where the other is none."""
        if other is None:
            return None
        return Scale(tuple(sorted(self.factors + other.factors)), self.roots + other.roots)


@dataclass(frozen=True)
class Scaled:
    """A computed value, the node that holds it, and what it is multiplied with behind that."""

    value: fx.Node
    name: str
    scale: Scale = Scale()


def written_norm(fx_node: fx.Node, builder: Builder) -> str | None:
    """Append a batch norm where a call is the last of one that is written out; return its name.

    None where it is none, stores its numbers otherwise than as [C] float32, is not over axis 1 of
    two or four, or a value within it is read elsewhere.
    """
    if not _is(fx_node, ADD) or arguments(fx_node)["alpha"] != 1:
        return None
    for product, shift in (fx_node.args[:2], fx_node.args[1::-1]):
        if not _is_inside(product, builder) or not _is_over_channels(shift, fx_node, builder):
            continue
        scaled = _scaled(product, builder)
        keys = _offset(shift, scaled.scale, builder)
        if keys is None and (centered := _centered(scaled, builder)) is not None:
            scaled, mean = centered
            keys = {"mean": mean, "bias": _leaf(shift, builder)}
        return None if keys is None else _added(fx_node, scaled, keys, builder)
    return None


def _added(
    fx_node: fx.Node, scaled: Scaled, keys: dict[str, str | None], builder: Builder
) -> str | None:
    """Append the batch norm, where there is one for what was found."""
    scale, shape = scaled.scale, builder.graph[scaled.name].shape
    if len(scale.roots) != 1 or len(scale.factors) > 1 or len(shape) not in (2, 4):
        return None
    ((var, eps),) = scale.roots
    found = {**keys, "var": var}
    if scale.factors:
        found["weight"] = scale.factors[0]
    params = {role: key for role, key in found.items() if key is not None}
    sizes = {tuple(builder.graph.params[key].shape) for key in params.values()}
    if len(params) < len(found) or sizes != {(shape[1],)} or shape != builder.shape(fx_node):
        return None
    return builder.add("batch_norm", fx_node, [scaled.name], params=params, eps=eps)


def _scaled(product: fx.Node, builder: Builder) -> Scaled:
    """Return a value of which a product, or a quotient, is made by stored factors alone."""
    found = Scaled(product, str(builder.values[product]))
    while (before := _without_factor(found, builder)) is not None:
        found = before
    return found


def _without_factor(scaled: Scaled, builder: Builder) -> Scaled | None:
    """Return what a value is made of by one stored factor; None where it is not."""
    value, node = scaled.value, builder.graph[scaled.name]
    if not _is_inside(value, builder) or node.op not in ("mul", "div"):
        return None
    for place in (0, 1) if node.op == "mul" else (0,):
        source, factor = value.args[place], value.args[1 - place]
        if isinstance(source, fx.Node) and _is_over_channels(factor, value, builder):
            read = _scale(factor, builder) if node.op == "mul" else _inverse(factor, builder)
            scale = scaled.scale.times(read)
            return None if scale is None else Scaled(source, node.inputs[place], scale)
    return None


def _centered(scaled: Scaled, builder: Builder) -> tuple[Scaled, str | None] | None:
    """Return what a stored mean is taken off from, and the mean's key; None: it is no difference.

    A node is asked for its input, not the call for its argument: the memory of that may have been
    written over since.
    """
    value, node = scaled.value, builder.graph[scaled.name]
    if not _is(value, SUB) or not _is_inside(value, builder) or node.op != "sub":
        return None
    source, mean = value.args[:2]
    if arguments(value)["alpha"] != 1 or not isinstance(source, fx.Node):
        return None
    if not _is_over_channels(mean, value, builder):
        return None
    return Scaled(source, node.inputs[0], scaled.scale), _leaf(mean, builder)


def _offset(shift: Any, scale: Scale, builder: Builder) -> dict[str, str | None] | None:
    """Return the keys of mean and beta of what says beta - mean * scale; None where it does not."""
    shift = _unshaped(shift)
    if _is(shift, NEG):
        mean = _mean(shift.args[0], scale, builder)
        return None if mean is None else {"mean": mean}
    if not _is(shift, SUB) or arguments(shift)["alpha"] != 1:
        return None
    mean = _mean(shift.args[1], scale, builder)
    return None if mean is None else {"mean": mean, "bias": _leaf(shift.args[0], builder)}


def _mean(product: Any, scale: Scale, builder: Builder) -> str | None:
    """Return the key of the one stored tensor that is multiplied with a scale."""
    found = _scale(product, builder)
    if found is None or found.roots != scale.roots:
        return None
    left = list(found.factors)
    for key in scale.factors:
        if key not in left:
            return None
        left.remove(key)
    return left[0] if len(left) == 1 else None


def _scale(value: Any, builder: Builder) -> Scale | None:
    """Return a stored value as a product of stored tensors and inverse roots; None: it is none."""
    value = _unshaped(value)
    if not isinstance(value, fx.Node):
        return Scale() if value == 1 else None
    key = _leaf(value, builder)
    if key is not None:
        return Scale((key,))
    if _is(value, MUL, DIV):
        first = _scale(value.args[0], builder)
        read = _scale if _is(value, MUL) else _inverse
        return None if first is None else first.times(read(value.args[1], builder))
    if _is(value, RSQRT) or (_is(value, POW) and value.args[1] == -0.5):
        return _over_root(value.args[0], builder)
    if _is(value, RECIPROCAL) or (_is(value, POW) and value.args[1] == -1):
        return _inverse(value.args[0], builder)
    return None


def _inverse(value: Any, builder: Builder) -> Scale | None:
    """Return 1 / value of a stored value that is a root."""
    value = _unshaped(value)
    if _is(value, SQRT) or (_is(value, POW) and value.args[1] == 0.5):
        return _over_root(value.args[0], builder)
    return None


def _over_root(value: Any, builder: Builder) -> Scale | None:
    """Return 1 / sqrt(value) of a stored variance, with or without eps."""
    value, eps = _unshaped(value), 0.0
    if _is(value, ADD) and arguments(value)["alpha"] == 1:
        numbers = [number_of(each, builder) for each in value.args[:2]]
        for place, number in enumerate(numbers):
            if isinstance(number, int | float) and number >= 0:
                value, eps = value.args[1 - place], float(number)
                break
    key = _leaf(value, builder)
    return None if key is None else Scale(roots=((key, eps),))


def _leaf(value: Any, builder: Builder) -> str | None:
    """Return the key of a tensor [C] float32 that the module stores itself; None: it is none."""
    value = _unshaped(value)
    stored = builder.tensor(value)
    if stored is None or value.op != "placeholder" or stored.dtype != torch.float32:
        return None
    return builder.key(value) if stored.ndim == 1 else None


def _unshaped(value: Any) -> Any:
    """Return the tensor whose numbers an argument shows in another shape."""
    while _is(value, *RESHAPED):
        value = value.args[0]
    return value


def _is(value: Any, *calls: Any) -> TypeGuard[fx.Node]:
    return isinstance(value, fx.Node) and value.target in calls


def _is_inside(value: Any, builder: Builder) -> TypeGuard[fx.Node]:
    """Whether an argument is a computed value that a norm's own next call alone reads."""
    return (
        _is(value, MUL, DIV, SUB)
        and len(value.users) == 1
        and isinstance(builder.values.get(value), str)
    )


def _is_over_channels(value: Any, fx_node: fx.Node, builder: Builder) -> bool:
    """Whether an argument is stored, with sizes other than 1 along axis 1 of a call's result."""
    if builder.key(value) is None or not builder.starts_with_batch(fx_node):
        return False
    rank, shape = fx_node.meta["val"].ndim, list(value.meta["val"].shape)
    sizes = [1] * (rank - len(shape)) + shape
    return all(size == 1 for axis, size in enumerate(sizes) if axis != 1)
