"""Weights in memory of their own, laid out in one way, so that equal graphs compute equal bits.

Float kernels choose their instructions, and with them the order of their sums, by the address and
the strides of what they read: a weight at an odd offset of a mapped file, or one in channels-last
order, gives other last bits than the same numbers in a fresh tensor.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

ALIGNMENT = 64
"""Bytes. What torch's CPU allocator gives every tensor (c10/core/alignment.h), a cache line."""


def settled(tensor: Tensor) -> Tensor:
    """Return `tensor` itself where it lies as a fresh one would, otherwise a fresh copy.

    A fresh tensor starts at a multiple of ALIGNMENT, is the whole of its storage, and has the
    strides of its shape. Strides count on axes of one element too, where torch calls every stride
    contiguous, but takes [C, 1, 3, 3] with the strides of channels last for channels last.
    """
    fresh = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    if (
        tensor.stride() == fresh.stride()
        and tensor.untyped_storage().nbytes() == fresh.nbytes
        and tensor.data_ptr() % ALIGNMENT == 0
    ):
        return tensor
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def settled_all(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return all `tensors`, settled; names of one tensor (tied weights) stay names of one.

    Memory: what is not settled yet once more, while the caller holds the original; nothing for the
    weights of an ordinary module.
    """
    made: dict[tuple[object, ...], Tensor] = {}
    found = {}
    for key, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        if place not in made:
            made[place] = settled(tensor)
        found[key] = made[place]
    return found
