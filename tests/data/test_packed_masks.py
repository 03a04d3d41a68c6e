"""Masks packed into tensors, and back."""

from __future__ import annotations

import numpy as np
import torch

from intaglio.data.mask import Mask
from intaglio.data.packed_masks import packed_masks, unpacked_masks
from intaglio.data.truth import Placement


def masks(*sizes: tuple[int, int]) -> list[Mask]:
    generator = np.random.default_rng(sum(map(sum, sizes)))
    return [
        Mask(
            generator.integers(0, 256, size).astype(np.uint8),
            Placement(*generator.random(4)) if number % 2 else None,
        )
        for number, size in enumerate(sizes)
    ]


def same(one: Mask, other: Mask) -> bool:
    return np.array_equal(one.classes, other.classes) and one.placement == other.placement


def test_masks_of_several_sizes_come_back_as_they_were():
    given = masks((3, 5), (1, 1), (7, 2))

    assert all(map(same, unpacked_masks(packed_masks(given)), given))


def test_those_of_two_batches_joined_are_the_masks_of_both():
    one, other = masks((2, 3), (4, 4)), masks((5, 1))

    joined = [torch.cat(pair) for pair in zip(packed_masks(one), packed_masks(other), strict=True)]

    assert all(map(same, unpacked_masks(joined), one + other))


def test_of_no_mask_nothing_comes_back():
    assert unpacked_masks(packed_masks([])) == []
