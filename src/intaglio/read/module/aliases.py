"""Calls that are others by another name: those that write into their first argument."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from intaglio.read.module.aten import ATEN, IDENTITY

VIEWS = frozenset(
    f"aten::{name}"
    for name in (
        *("alias", "as_strided", "chunk", "detach", "diagonal", "expand", "expand_as", "flatten"),
        *("movedim", "narrow", "permute", "reshape", "reshape_as", "select", "slice", "split"),
        *("split_with_sizes", "squeeze", "swapaxes", "t", "tensor_split", "to", "transpose"),
        *("unbind", "unflatten", "unfold", "unsqueeze", "view", "view_as", "contiguous"),
        *("type_as", "hsplit", "vsplit", "real", "moveaxis", "swapdims", "broadcast_to"),
    )
)
"""Calls whose result may share the memory of their argument."""


def plain_of(target: Any) -> Any:
    """Return the call that computes what an in-place call writes; None where it is none of ours.

    relu_ writes what relu returns; the arguments are the same.
    """
    if not isinstance(target, torch._ops.OpOverload) or not target._schema.is_mutable:
        return None
    packet = target._schema.name.removeprefix("aten::")
    if not packet.endswith("_"):
        return None
    plain = getattr(getattr(torch.ops.aten, packet[:-1], None), target._overloadname, None)
    return plain if plain in ATEN or plain in IDENTITY else None


def writes_alone(fx_node: fx.Node) -> bool:
    """Whether nothing else shows the memory that an in-place call writes into.

    That is so where its first argument is no view of another value, and no view of that is read
    later: whoever reads it afterwards can be given the new value.
    """
    written = fx_node.args[0]
    if not isinstance(written, fx.Node) or written.op == "placeholder" or _is_view(written):
        return False
    views = [user for user in written.users if _is_view(user)]
    for view in views:
        views += [user for user in view.users if _is_view(user)]
        if any(user > fx_node for user in view.users):
            return view > fx_node
    return True


def _is_view(fx_node: fx.Node) -> bool:
    target = fx_node.target
    if isinstance(target, torch._ops.OpOverload):
        return target._schema.name in VIEWS or (
            target._schema.is_mutable
            and isinstance(fx_node.args[0], fx.Node)
            and _is_view(fx_node.args[0])
        )
    return fx_node.op == "call_function"  # one of several results: of a split, mostly


def shown_by(fx_node: fx.Node) -> list[fx.Node]:
    """Return every tensor before an in-place call that shows the memory which it wrote."""
    root = fx_node.args[0]
    while isinstance(root, fx.Node) and _writes(root):
        root = root.args[0]
    found = [root] if isinstance(root, fx.Node) else []
    for node in found:
        found += [user for user in node.users if _writes(user) and user.args[0] is node]
    return [node for node in found if node < fx_node]


def _writes(fx_node: fx.Node) -> bool:
    target = fx_node.target
    return isinstance(target, torch._ops.OpOverload) and bool(target._schema.is_mutable)
