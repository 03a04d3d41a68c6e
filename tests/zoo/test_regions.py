"""Boxes and regions in torch: closed forms, slow loops, and the NumPy room beside it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from intaglio.boxes import regions as numpy_regions
from intaglio.boxes.anchors import anchor_grids, default_boxes
from intaglio.boxes.coders import Deltas
from intaglio.boxes.nms import suppressed_by as numpy_suppressed_by
from intaglio.boxes.postprocess import Pooling
from intaglio.zoo.regions import (
    anchors_of,
    clipped,
    decoded,
    level_of,
    overlaps,
    pooled,
    roi_align,
    suppressed,
    suppressed_by,
)

POOLING = Pooling(maps=(0, 1))


def some_boxes(count: int, seed: int, side: float = 64.0) -> torch.Tensor:
    """Return [count, 4] float64 boxes within a square."""
    draw = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(count, 2, generator=draw, dtype=torch.float64) * side for _ in range(2))
    return torch.cat((torch.minimum(a, b), torch.maximum(a, b)), dim=1)


def bilinear(features: torch.Tensor, y: float, x: float) -> torch.Tensor:
    """Return [C]: one sample of [C, H, W], by the four cells around it."""
    _, height, width = features.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros(len(features), dtype=features.dtype)
    y, x = (min(max(v, 0.0), size - 1.0) for v, size in ((y, height), (x, width)))
    top, left = math.floor(y), math.floor(x)
    total = torch.zeros(len(features), dtype=features.dtype)
    for row, down in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, across in ((left, 1 - (x - left)), (left + 1, x - left)):
            if down * across > 0:
                total += features[:, row, column] * (down * across)
    return total


def slow_roi_align(features, boxes, *, scale, size, sampling):
    result = torch.zeros(len(boxes), len(features), size, size, dtype=features.dtype)
    for number, box in enumerate(boxes.tolist()):
        left, top, right, bottom = (value * scale for value in box)
        high, wide = (max(length, 1.0) / size for length in (bottom - top, right - left))
        for i in range(size):
            for j in range(size):
                samples = [
                    bilinear(
                        features,
                        top + high * (i + (p + 0.5) / sampling),
                        left + wide * (j + (q + 0.5) / sampling),
                    )
                    for p in range(sampling)
                    for q in range(sampling)
                ]
                result[number, :, i, j] = sum(samples) / sampling**2
    return result


@pytest.mark.parametrize(("size", "sampling"), [(7, 2), (3, 1), (2, 3)])
def test_roi_align_is_the_mean_of_bilinear_samples(size, sampling):
    features = torch.randn(3, 6, 9, dtype=torch.float64)
    beyond = torch.tensor([[-40.0, -9.0, 80.0, 90.0], [70.0, 40.0, 70.0, 40.0]])
    boxes = torch.cat((some_boxes(10, 0), beyond.double()))
    settings = {"scale": 1 / 8, "size": size, "sampling": sampling}

    ours = roi_align(features, boxes, **settings)

    # float64: sums of at most 36 products of numbers near 1
    assert_close(ours, slow_roi_align(features, boxes, **settings), rtol=0, atol=1e-12)


def test_roi_align_of_a_ramp_gives_the_middles_of_the_bins():
    ramp = torch.arange(16.0).expand(1, 12, 16).contiguous()  # the value of a cell is its column
    boxes = torch.tensor([[16.0, 8.0, 72.0, 64.0]])  # columns 2 to 9 of cells of 8 pixels

    regions = roi_align(ramp, boxes, scale=1 / 8, size=7)

    middles = 2 + (torch.arange(7.0) + 0.5)
    assert_close(regions, middles.expand(1, 1, 7, 7), rtol=0, atol=1e-5)  # float32 near 10


def test_roi_align_gives_features_the_gradients_of_its_means():
    features = torch.randn(2, 5, 5, dtype=torch.float64, requires_grad=True)
    boxes = some_boxes(3, 1, side=40.0)

    assert torch.autograd.gradcheck(lambda f: roi_align(f, boxes, scale=1 / 8, size=2), features)


def test_regions_are_those_of_the_numpy_room():
    maps = [torch.randn(1, 4, 20, 16), torch.randn(1, 4, 10, 8)]
    boxes = some_boxes(40, 2, side=300.0).float()
    pooling = Pooling(maps=(0, 1), canonical=60.0)  # so that both maps are cut out of

    ours = pooled([one[0] for one in maps], boxes, pooling=pooling, input_size=(320, 256))

    theirs = numpy_regions.pooled_regions(
        pooling, [one.numpy() for one in maps], [boxes.numpy()], (320, 256)
    )
    assert_close(ours.numpy(), theirs, rtol=0, atol=1e-5)  # float32, another order of sums
    levels = level_of(boxes, pooling, finest=4, coarsest=5)
    assert levels.unique().tolist() == [4, 5]
    theirs = numpy_regions.level_of(boxes.numpy(), 4, 5, canonical=60.0)
    np.testing.assert_array_equal(levels.numpy(), theirs)


def test_a_region_of_224_pixels_belongs_to_level_4_and_one_of_448_to_level_5():
    sides = torch.tensor([111.9, 112.0, 224.0, 447.9, 448.0])
    boxes = torch.stack((sides * 0, sides * 0, sides, sides), dim=1)

    assert level_of(boxes, POOLING, finest=2, coarsest=5).tolist() == [2, 3, 4, 4, 5]


def test_anchors_are_the_cells_places_plus_the_anchors_of_a_cell():
    grid = anchor_grids((96, 128), [(3, 4)], sizes=[(32, 64)])[0]

    found = anchors_of(grid, like=torch.zeros(1))

    slow = [
        [
            column * 32 + anchor[0],
            row * 32 + anchor[1],
            column * 32 + anchor[2],
            row * 32 + anchor[3],
        ]
        for row in range(3)
        for column in range(4)
        for anchor in grid.anchors
    ]
    assert_close(found, torch.tensor(slow), rtol=0, atol=0)


def test_anchors_of_default_boxes_stand_around_the_middles_of_the_cells():
    grid = default_boxes((320, 320), [(2, 2)], ratios=[(2.0,)])[0]

    found = anchors_of(grid, like=torch.zeros(1)).unflatten(0, (2, 2, 4))

    middles = (found[..., :2] + found[..., 2:]) / 2
    assert_close(middles[:, :, 0, 0], torch.tensor([[80.0, 240.0], [80.0, 240.0]]))
    assert_close(middles[:, :, 0, 1], torch.tensor([[80.0, 80.0], [240.0, 240.0]]))


def test_decoding_undoes_encoding():
    anchors, boxes = some_boxes(50, 3) + 1.0, some_boxes(50, 4)
    anchors[:, 2:] += 4.0  # no side is 0, so that none is divided by
    boxes[:, 2:] += 4.0
    coder = Deltas((10.0, 10.0, 5.0, 5.0), limit=None)
    own, other = anchors[:, 2:] - anchors[:, :2], boxes[:, 2:] - boxes[:, :2]
    shift = (boxes[:, :2] + other / 2 - anchors[:, :2] - own / 2) / own
    deltas = torch.cat((shift, (other / own).log()), dim=1) * torch.tensor(coder.weights)

    assert_close(decoded(deltas, anchors, coder), boxes, rtol=1e-10, atol=1e-10)  # float64


def test_a_box_grows_no_further_than_the_limit():
    anchors = torch.tensor([[0.0, 0.0, 2.0, 2.0]])

    box = decoded(torch.tensor([[0.0, 0.0, 99.0, 0.0]]), anchors, Deltas())

    assert_close(box, torch.tensor([[1 - 62.5, 0.0, 1 + 62.5, 2.0]]))


def test_boxes_are_cut_off_at_the_border_of_the_image():
    boxes = torch.tensor([[-3.0, 4.0, 500.0, 8.0], [1.0, -2.0, 3.0, 90.0]])

    assert clipped(boxes, (20, 30)).tolist() == [[0.0, 4.0, 30.0, 8.0], [1.0, 0.0, 3.0, 20.0]]


def test_a_box_that_overlaps_by_exactly_the_threshold_stays():
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0]])  # one half of the other

    assert overlaps(boxes, boxes).tolist() == [[1.0, 0.5], [0.5, 1.0]]
    assert suppressed(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0, 1]
    assert suppressed(boxes, torch.tensor([0.9, 0.8]), 0.49).tolist() == [0]
    assert suppressed(boxes, torch.tensor([0.8, 0.8]), 0.49).tolist() == [0]  # a tie: the first


@given(st.integers(0, 30), st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_suppression_is_that_of_the_numpy_room(count, seed, overlap):
    boxes = some_boxes(count, seed).float().round()  # whole pixels: many ties of overlaps
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 8, (count,), generator=draw) / 8  # many ties of scores
    groups = torch.randint(0, 3, (count,), generator=draw)

    ours = suppressed_by(boxes, scores, groups, overlap)

    theirs = numpy_suppressed_by(boxes.numpy(), scores.numpy(), groups.numpy(), overlap)
    assert ours.tolist() == theirs.tolist()


def test_nothing_in_nothing_out():
    none = torch.empty(0, 4)

    assert suppressed(none, torch.empty(0), 0.5).shape == (0,)
    assert suppressed_by(none, torch.empty(0), torch.empty(0, dtype=torch.long), 0.5).shape == (0,)
    assert roi_align(torch.randn(3, 4, 4), none, scale=0.1).shape == (0, 3, 7, 7)
    maps = [torch.randn(3, 4, 4)]
    assert pooled(maps, none, pooling=POOLING, input_size=(64, 64)).shape == (0, 3, 7, 7)


def test_of_two_maps_of_one_level_the_first_is_cut_out_of():
    maps = [torch.full((1, 4, 4), 1.0), torch.full((1, 4, 4), 2.0)]  # both of stride 32
    boxes = some_boxes(5, 5, side=120.0).float()

    regions = pooled(maps, boxes, pooling=POOLING, input_size=(128, 128))

    assert_close(regions, torch.ones(5, 1, 7, 7))  # torchvision's pyramids on MobileNets are so
