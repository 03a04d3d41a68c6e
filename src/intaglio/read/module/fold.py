"""What depends on stored tensors alone is computed at capture: masks, weight norms, anchors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from intaglio.read.module.builder import Builder, module_path

aten = torch.ops.aten
FILLED = {
    aten.zeros_like.default,
    aten.ones_like.default,
    aten.full_like.default,
    aten.empty_like.default,
    aten.new_zeros.default,
    aten.new_ones.default,
    aten.new_full.default,
    aten.new_empty.default,
    aten.fill.Scalar,
    aten.zero.default,
}
"""Calls that read of their first argument its sizes and type alone."""
LARGEST_BYTES = 2**30
"""Of one tensor that is computed; a larger one is left to be refused by name."""


def fold_stored(fx_node: fx.Node, builder: Builder) -> bool:
    """Compute a call all of whose tensors are stored, and store its result; return whether it was.

    A random call is left alone, and one that writes into its arguments.
    """
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
    if isinstance(made, Tensor):
        _store(fx_node, builder, made)
        return True
    return False


def _is_fixed(fx_node: fx.Node, builder: Builder) -> bool:
    target = fx_node.target
    if not isinstance(target, torch._ops.OpOverload) or target._schema.is_mutable:
        return False
    if torch.Tag.nondeterministic_seeded in target.tags:
        return False
    value = fx_node.meta.get("val")
    if not isinstance(value, Tensor) or not all(isinstance(size, int) for size in value.shape):
        return False
    if value.numel() * value.dtype.itemsize > LARGEST_BYTES:
        return False
    return target in FILLED or all(
        builder.key(source) is not None or isinstance(builder.values.get(source), int)
        for source in fx_node.all_input_nodes
    )


def _value(leaf: Any, builder: Builder, fx_node: fx.Node) -> Any:
    if not isinstance(leaf, fx.Node):
        return leaf
    if fx_node.target in FILLED and isinstance(leaf.meta.get("val"), Tensor):
        value = leaf.meta["val"]
        return torch.zeros([int(size) for size in value.shape], dtype=value.dtype)
    stored = builder.tensor(leaf)
    return builder.values[leaf] if stored is None else stored


def _store(fx_node: fx.Node, builder: Builder, made: Tensor) -> None:
    path = module_path(fx_node)
    key = wish = f"{path}.{fx_node.name}" if path else fx_node.name
    number = 0
    while key in builder.graph.params:
        number += 1
        key = f"{wish}:{number}"
    builder.graph.params[key] = made.detach().contiguous()
    builder.stored[fx_node.name] = key
