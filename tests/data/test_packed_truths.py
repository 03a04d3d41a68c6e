"""Truths that go from process to process as tensors."""

from __future__ import annotations

import numpy as np
import torch

from intaglio.data.packed_truths import PARTS, packed_truths, unpacked_truths
from intaglio.data.truth import Placement, Truth


def truth_of(count, seed, size=None, placement=None):
    generator = np.random.default_rng(seed)
    boxes = generator.normal(size=(count, 4)).astype(np.float32)
    flags = generator.random(count) < 0.5
    return Truth(
        boxes, generator.integers(0, 9, count), flags, generator.random(count), size, placement
    )


TRUTHS = [
    truth_of(3, 0, (480, 640), Placement(1 / 3, 0.1, -7.0, 2.5)),
    truth_of(0, 1, (5, 7)),
    truth_of(2, 2),
    truth_of(1, 3, None, Placement()),
]


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        for part in ("boxes", "classes", "crowd", "areas"):
            assert np.array_equal(getattr(one, part), getattr(other, part))
            assert getattr(one, part).dtype == getattr(other, part).dtype
        assert one.size == other.size
        assert one.placement == other.placement


def test_they_come_back_to_the_last_bit():
    parts = packed_truths(TRUTHS)

    assert len(parts) == PARTS
    assert_same(unpacked_truths(parts), TRUTHS)


def test_batches_joined_are_the_truths_of_all():
    batches = [packed_truths(TRUTHS[:2]), packed_truths([]), packed_truths(TRUTHS[2:])]

    joined = [torch.cat(parts) for parts in zip(*batches, strict=True)]

    assert_same(unpacked_truths(joined), TRUTHS)
