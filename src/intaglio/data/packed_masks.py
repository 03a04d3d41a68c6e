"""Masks as tensors, which several processes can send each other, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from intaglio.data.mask import Mask
from intaglio.data.packed_truths import place_row
from intaglio.data.truth import Placement

MASK_PARTS = 2
"""Tensors that masks are packed into."""


def packed_masks(masks: Sequence[Mask]) -> list[Tensor]:
    """Return the masks of N images with T pixels together, as MASK_PARTS tensors.

    Those of two batches, joined one behind the other, are the masks of both.

    Returns:
        Classes [T] uint8, and of each image its size and placement, float64 [N, 7]: height, width,
        whether it is placed, scales, offset.
    """
    pixels = [mask.classes.reshape(-1) for mask in masks]
    classes = np.concatenate([np.empty(0, np.uint8), *pixels])
    rows = [place_row(mask.size, mask.placement) for mask in masks]
    return [torch.from_numpy(classes), torch.tensor(rows, dtype=torch.float64).reshape(-1, 7)]


def unpacked_masks(parts: Sequence[Tensor]) -> list[Mask]:
    """Return the masks that `packed_masks` made these of, equal to the last bit."""
    pixels, places = parts[0].numpy(), parts[1].tolist()
    found, begin = [], 0
    for height, width, is_placed, *place in places:
        size = int(height), int(width)
        end = begin + size[0] * size[1]
        classes = pixels[begin:end].reshape(size)
        found.append(Mask(classes, Placement(*place) if is_placed else None))
        begin = end
    return found
