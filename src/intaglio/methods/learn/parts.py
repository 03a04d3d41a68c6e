"""Tensors of several parts under one set of names: the part, a point, and the name within it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

Tensors = Mapping[str, Tensor]
"""By name."""


def joined(parts: Mapping[str, Tensors]) -> dict[str, Tensor]:
    """Return the tensors of all parts, each part's name before their own."""
    return {
        f"{part}.{name}": tensor
        for part, tensors in parts.items()
        for name, tensor in tensors.items()
    }


def under(tensors: Tensors, part: str) -> dict[str, Tensor]:
    """Return the tensors of a part by their names within it."""
    start = f"{part}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }


def copied(tensors: Tensors) -> dict[str, Tensor]:
    """Return copies that no step changes."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
