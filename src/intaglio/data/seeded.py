"""Generators of random numbers that a few words and integers name, whatever was drawn before."""

from __future__ import annotations

import hashlib

import torch


def generator_of(purpose: str, *numbers: int) -> torch.Generator:
    """Return a generator of its own for a purpose and numbers such as seed and step.

    They are hashed: PyTorch's generator on the CPU keeps 32 bits of its seed, and seeds that lie
    side by side would else be those of other steps.
    """
    text = " ".join((purpose, *map(str, numbers)))
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))
