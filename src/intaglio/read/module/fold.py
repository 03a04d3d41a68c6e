"""What depends on stored tensors alone is computed at capture: masks, weight norms, anchors."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from intaglio.read.module.builder import Builder, module_path

aten = torch.ops.aten
EMPTY = {
    aten.empty.memory_format,
    aten.empty_like.default,
    aten.empty_strided.default,
    aten.new_empty.default,
    aten.new_empty_strided.default,
}
"""Calls that make tensors of whatever stands in memory."""
FILLED = {
    aten.zeros_like.default,
    aten.ones_like.default,
    aten.full_like.default,
    aten.empty_like.default,
    aten.new_zeros.default,
    aten.new_ones.default,
    aten.new_full.default,
    aten.new_empty.default,
    aten.new_empty_strided.default,
    aten.fill.Scalar,
    aten.zero.default,
}
"""Calls that read of their first argument its sizes and type alone."""
LIKE = {
    aten.type_as.default,
    aten.to.other,
    aten.expand_as.default,
    aten.view_as.default,
    aten.reshape_as.default,
}
"""Calls that read of their second argument its sizes and type alone."""
LARGEST_BYTES = 2**30
"""Of one tensor that is computed; a larger one is left to be refused by name."""


def fold_stored(fx_node: fx.Node, builder: Builder) -> bool:
    """Compute a call all of whose tensors are stored, and store its result; return whether it was.

    A random call is left alone, and one that writes into its arguments.
    """
    if fx_node.target in (aten.item.default, aten._local_scalar_dense.default):
        stored = builder.tensor(fx_node.args[0])
        if stored is not None:
            builder.values[fx_node] = stored.item()
        return stored is not None
    if fx_node.target is operator.getitem:
        return _pick(fx_node, builder)
    if not _is_fixed(fx_node, builder):
        return False
    args, kwargs = pytree.tree_map(
        lambda leaf: _value(leaf, builder, fx_node), (fx_node.args, dict(fx_node.kwargs))
    )
    kwargs = {name: value for name, value in kwargs.items() if name not in ("device", "layout")}
    try:
        with torch.no_grad():
            made = fx_node.target(*args, **kwargs)  # type: ignore[operator]
    except Exception:  # what torch cannot compute now it could not at run time; refused by name
        return False
    if fx_node.target in EMPTY:  # any numbers will do, but the same ones in every run
        made = torch.zeros_like(made)
    if isinstance(made, Tensor):
        builder.stored[fx_node.name] = _store(fx_node, builder, made)
    else:
        builder.several[fx_node] = tuple(_store(fx_node, builder, each) for each in made)
    return True


def _pick(fx_node: fx.Node, builder: Builder) -> bool:
    """Take one of several results that are stored."""
    source, index = fx_node.args
    keys = builder.several.get(source)  # type: ignore[arg-type]
    if keys is not None:
        builder.stored[fx_node.name] = keys[index]  # type: ignore[index]
    return keys is not None


def _is_fixed(fx_node: fx.Node, builder: Builder) -> bool:
    target = fx_node.target
    if not isinstance(target, torch._ops.OpOverload) or target._schema.is_mutable:
        return False
    if torch.Tag.nondeterministic_seeded in target.tags:
        return False
    value = fx_node.meta.get("val")
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values or not all(map(_is_small, values)):
        return False
    return all(_is_stored(source, builder) for source in read_by(fx_node))


def _is_small(value: Any) -> bool:
    """Whether it is a tensor of known sizes that can be held."""
    if not isinstance(value, Tensor) or not all(isinstance(size, int) for size in value.shape):
        return False
    return value.numel() * value.dtype.itemsize <= LARGEST_BYTES


def _is_stored(fx_node: fx.Node, builder: Builder) -> bool:
    return builder.key(fx_node) is not None or isinstance(builder.values.get(fx_node), int | float)


def read_by(fx_node: fx.Node) -> list[fx.Node]:
    """Return the arguments of a call of which it reads more than sizes and type."""
    if fx_node.target in FILLED:
        return []
    sources = list(fx_node.all_input_nodes)
    if fx_node.target is aten.copy.default:  # of what is written over, its sizes
        return [source for source in sources if source is fx_node.args[1]]
    if fx_node.target in LIKE:
        return [source for source in sources if source is fx_node.args[0]]
    return sources


def _value(leaf: Any, builder: Builder, fx_node: fx.Node) -> Any:
    if not isinstance(leaf, fx.Node):
        return leaf
    value = leaf.meta.get("val")
    if leaf not in read_by(fx_node) and isinstance(value, Tensor):
        return torch.zeros([int(size) for size in value.shape], dtype=value.dtype)
    stored = builder.tensor(leaf)
    return builder.values[leaf] if stored is None else stored


def _store(fx_node: fx.Node, builder: Builder, made: Tensor) -> str:
    """Store a tensor for a call; return its key."""
    path = module_path(fx_node)
    wish = f"{path}.{fx_node.name}" if path else fx_node.name
    return builder.store(wish, made.detach().contiguous())
