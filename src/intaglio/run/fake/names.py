"""A module whose tensors have the names that they have in the user's network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Slot:
    """Where a tensor hangs; it may be exchanged for another one, as `Module.to` does.

    Attributes:
        owner: The module.
        name: What it calls the tensor.
    """

    owner: nn.Module
    name: str

    @property
    def value(self) -> Tensor:
        """What hangs there by now."""
        found = self.owner._parameters.get(self.name)
        tensor = self.owner._buffers[self.name] if found is None else found
        assert tensor is not None, "a slot is made with its tensor"
        return tensor


def hang(root: nn.Module, name: str, value: Tensor, *, learned: bool) -> Slot:
    """Put a copy of a tensor under a dotted name, as a parameter or a buffer."""
    *path, last = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    copy = value.detach().clone()
    if learned:
        root.register_parameter(last, nn.Parameter(copy))
    else:
        root.register_buffer(last, copy)
    return Slot(root, last)


def found_at(root: nn.Module, name: str) -> Slot | None:
    """Return what hangs under a dotted name; None where nothing does."""
    *path, last = name.split(".")
    for part in path:
        below = root._modules.get(part)
        if below is None:
            return None
        root = below
    return Slot(root, last) if last in root._parameters or last in root._buffers else None


def key_of(name: str) -> str:
    """Return a node's name as a key of an nn.ModuleDict, which takes no points and few words."""
    return ":" + name.replace(".", "/")
