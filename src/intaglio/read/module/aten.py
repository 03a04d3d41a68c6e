"""The table from ATen calls to the graph's ops, and what its entries are written with.

An entry returns the name of the node it made (or pieces), or None where this form of the call has
no op of ours: the call is then kept as an `opaque` node. Each family of calls is a file: layers,
values, pools, shapes, picks (slices and copies), sums, products.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from intaglio.ir.graph import BATCH
from intaglio.ops.opaque import BatchSize, Slot
from intaglio.read.module.builder import BatchMarker, Builder, Pieces

aten = torch.ops.aten
Entry = Callable[[fx.Node, Builder], str | Pieces | None]
ATEN: dict[Any, Entry] = {}

IDENTITY = {
    aten.clone.default,
    aten.contiguous.default,
    aten.detach.default,
    aten.detach_.default,
    aten.alias.default,
    aten.lift_fresh_copy.default,
    aten.to.dtype,
    aten.to.dtype_layout,
    aten.to.device,
    aten.to.other,
    aten._to_copy.default,
    aten.expand.default,
    aten.expand_as.default,
    aten.type_as.default,
    aten.real.default,
    aten.positive.default,
    aten.resolve_conj.default,
    aten.resolve_neg.default,
    aten.conj.default,
    aten.conj_physical.default,
    aten.pin_memory.default,
}
"""Calls that return their first argument where they leave sizes and type as they are."""
SKIPPED = {
    aten._assert_tensor_metadata.default,
    aten._assert_scalar.default,
    aten.sym_constrain_range_for_size.default,
    aten.sym_constrain_range.default,
}


def entry(*targets: Any) -> Callable[[Entry], Entry]:
    """Return a decorator that files a function as the entry of every target."""

    def add(function: Entry) -> Entry:
        """File the function; return it."""
        ATEN.update(dict.fromkeys(targets, function))
        return function

    return add


def arguments(fx_node: fx.Node) -> dict[str, Any]:
    """Return the call's arguments by name, defaults filled in; the first one also as "self"."""
    schema = fx_node.target._schema  # type: ignore[union-attr]
    found: dict[str, Any] = {}
    for index, argument in enumerate(schema.arguments):
        if index < len(fx_node.args):
            found[argument.name] = fx_node.args[index]
        else:
            found[argument.name] = fx_node.kwargs.get(argument.name, argument.default_value)
    if schema.arguments and "self" not in found:
        found["self"] = found[schema.arguments[0].name]
    return found


def pair(value: Any) -> tuple[int, int]:
    """Return (height, width) from a number, or a list of one or two."""
    values = [value] if isinstance(value, int) else list(value)
    return (values[0], values[-1])


def axis_of(value: fx.Node, axis: int) -> int:
    """Return an axis of a tensor, counted from the front."""
    return int(axis % max(1, value.meta["val"].ndim))


def rank_of(value: fx.Node) -> int:
    """Return how many axes a tensor has."""
    return int(value.meta["val"].ndim)


def holds_questions(value: Any) -> bool:
    """Whether an argument is a tensor of yes and no; in the graph they are 1 and 0."""
    made = value.meta.get("val") if isinstance(value, fx.Node) else None
    return isinstance(made, Tensor) and made.dtype == torch.bool


def more_than_first(fx_node: fx.Node) -> bool:
    """Whether more is read than the first of several results: places of largest values, mostly."""
    return any(user.args[1:] != (0,) and bool(user.users) for user in fx_node.users)


def on_axes(
    value: Any, axes: tuple[int, ...], fx_node: fx.Node, builder: Builder
) -> tuple[str, tuple[int, ...], bool] | None:
    """Return a value, the axes of its node that `axes` of the tensor are, and whether it is lifted.

    None where that cannot be said: the batch is among the axes, or the argument is no value.
    """
    if not isinstance(value, fx.Node):
        return None
    if builder.starts_with_batch(value) and 0 not in axes:
        name = builder.operand(value, fx_node)
        return None if name is None else (name, axes, False)
    name = builder.lifted(value, fx_node)
    return None if name is None else (name, tuple(axis + 1 for axis in axes), True)


def add_lifted(op: str, fx_node: fx.Node, builder: Builder, inputs: list[str], **attrs: Any) -> str:
    """Append a node whose inputs are lifted, and bring its value into the graph's form."""
    sizes = builder.sizes(fx_node)
    return builder.settle(fx_node, builder.insert(op, fx_node, inputs, (BATCH, *sizes), **attrs))


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
        if isinstance(value, int | float):
            return value
        if isinstance(value, BatchMarker):
            return BatchSize(slot(builder.graph.inputs[0]))
        stored = builder.tensor(leaf)
        if stored is not None and stored.dtype != torch.float32:  # indices, masks
            return stored
        name = builder.operand(leaf, fx_node)
        if name is None:
            raise builder.not_static(fx_node, leaf.meta.get("val"))
        leaves[name] = leaf
        return Slot(slot(name), holds_questions(leaf))

    leaves: dict[str, fx.Node] = {}
    made, output = fx_node, None
    if fx_node.target is operator.getitem:  # one of several results: the call is made for each
        made, output = fx_node.args  # type: ignore[assignment]
    args, kwargs = pytree.tree_map(store, (made.args, made.kwargs))
    attrs = {"call": made.target, "args": args, "kwargs": dict(kwargs), "output": output}
    name = builder.add("opaque", made, inputs, sizes=_sizes_of(inputs, leaves, builder), **attrs)
    builder.graph[name].shape = builder.shape_or_none(fx_node)
    return name


def _sizes_of(
    inputs: list[str], leaves: dict[str, fx.Node], builder: Builder
) -> tuple[tuple[int, ...] | None, ...] | None:
    """Return the sizes of inputs in a program of one image; None for those that are stored."""
    if not builder.has_one_image:
        return None
    return tuple(
        builder.sizes(leaves[name]) if name in leaves and not builder.key(leaves[name]) else None
        for name in inputs
    )


@entry(operator.getitem)
def _getitem(fx_node: fx.Node, builder: Builder) -> str | None:
    source, index = fx_node.args
    value = builder.values.get(source)  # type: ignore[arg-type]
    if isinstance(value, Pieces):
        return value.names[index]  # type: ignore[index]
    if isinstance(value, str) and index == 0:  # the other results are for training
        return value
    return None
