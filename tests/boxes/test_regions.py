"""Faster R-CNN between its cores: proposals, RoIAlign, levels, and what a second stage finds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from boxes.plain import cells, clipped, from_deltas, highest, numbers, sigmoid, softmax, suppressed
from intaglio.boxes.anchors import anchor_grids, cell_anchors
from intaglio.boxes.limits import Limits
from intaglio.boxes.postprocess import Pooling
from intaglio.boxes.regions import (
    level_of,
    pooled_regions,
    proposals,
    region_detections,
    roi_align,
)
from intaglio.boxes.two_stage import fast_rcnn, faster_rcnn, rpn

INPUT = (64, 96)
MAPS = ((16, 24), (8, 12))
STRIDES = (4, 8)
SIZES = ((16,), (32,))
RANDOM = np.random.default_rng(11)


def normal(*shape):
    return RANDOM.normal(0, 1, shape).astype(np.float32)


def test_proposals_are_the_highest_of_each_level_that_stay():
    given = [normal(2, 12, *size) for size in MAPS] + [normal(2, 3, *size) for size in MAPS]
    post = rpn(INPUT, anchor_grids(INPUT, MAPS, sizes=SIZES), limits=Limits(0.0, 60, 0.7, 50))

    found = proposals(post, given)

    for picture in range(2):
        levels = [[], []]
        for level, row, column, anchor in cells(MAPS, 3):
            place, stride = (row, column, anchor), STRIDES[level]
            left, top, right, bottom = cell_anchors(SIZES[level], (0.5, 1.0, 2.0))[anchor]
            x, y = stride * column, stride * row
            box = [x + left, y + top, x + right, y + bottom]
            deltas = numbers(given[level], picture, place, 4)
            (raw,) = numbers(given[2 + level], picture, place, 1)
            box = clipped(from_deltas(box, deltas, (1, 1, 1, 1)), *INPUT)
            levels[level].append((sigmoid(raw), level, box))
        some = [one for own in levels for one in highest(own, 60)]
        some = [one for one in some if min(sides(one[2])) >= 1e-3]
        expected = [box for _, _, box in suppressed(some, 0.7)[:50]]
        np.testing.assert_allclose(found[picture], expected, rtol=1e-5, atol=1e-4)


def sides(box):
    return box[2] - box[0], box[3] - box[1]


def test_roi_align_of_a_ramp_gives_the_middles_of_bins():
    y, x = np.mgrid[0:20, 0:30].astype(np.float32)
    ramp = np.stack([x, y, 3 * x - 2 * y + 1])
    boxes = np.asarray([[8, 4, 36, 32], [5.5, 3.25, 33.5, 17.25]], np.float32)

    pooled = roi_align(ramp, boxes, size=7, sampling=2, scale=0.5)

    for box, own in zip(boxes / 2, pooled, strict=True):
        width, height = sides(box)
        columns = box[0] + (np.arange(7) + 0.5) * width / 7
        rows = box[1] + (np.arange(7) + 0.5) * height / 7
        # values up to 60 in float32 have steps of 4e-6; sixteen products are added
        near = {"rtol": 0, "atol": 3e-5}
        np.testing.assert_allclose(own[0], np.tile(columns, (7, 1)), **near)
        np.testing.assert_allclose(own[1], np.tile(rows[:, None], 7), **near)
        np.testing.assert_allclose(own[2], 3 * own[0] - 2 * own[1] + 1, rtol=0, atol=1e-4)


def bilinear(features, y, x):
    """One sample of a map [H, W], as torchvision defines it."""
    height, width = features.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    above = features[top, left] * (1 - across) + features[top, right] * across
    below = features[bottom, left] * (1 - across) + features[bottom, right] * across
    return above * (1 - down) + below * down


def plainly_aligned(features, box, size, sampling, scale):
    left, top, right, bottom = (float(side) * scale for side in box)
    width, height = max(right - left, 1) / size, max(bottom - top, 1) / size
    pooled = np.zeros((len(features), size, size))
    parts = [(sample + 0.5) / sampling for sample in range(sampling)]
    for own, row, column in np.ndindex(pooled.shape):
        samples = [
            bilinear(features[own], top + (row + y) * height, left + (column + x) * width)
            for y in parts
            for x in parts
        ]
        pooled[own, row, column] = sum(samples) / len(samples)
    return pooled


@pytest.mark.parametrize(("size", "sampling"), [(7, 2), (3, 1), (2, 3)])
def test_roi_align_is_the_mean_of_bilinear_samples_and_zero_outside(size, sampling):
    features = normal(2, 9, 11)
    inside = [[4, 4, 30, 20], [10.3, 2.7, 12.1, 29.9], [5, 5, 5, 5], [0, 0, 44, 36]]
    outside = [[-40, -40, -20, -20], [-6, 20, 8, 60], [30, -3, 70, 10]]
    boxes = np.asarray(inside + outside, np.float32)

    pooled = roi_align(features, boxes, size=size, sampling=sampling, scale=0.25)

    expected = [plainly_aligned(features, box, size, sampling, 0.25) for box in boxes]
    # weights are rounded at coordinates up to 15, to 1e-6; values are a few units
    np.testing.assert_allclose(pooled, expected, rtol=0, atol=1e-5)
    assert (pooled[4] == 0).all()


def test_roi_align_of_many_regions_is_that_of_each():
    features, boxes = normal(3, 9, 11), np.abs(normal(150, 4)) * 10
    boxes[:, 2:] += boxes[:, :2]

    pooled = roi_align(features, boxes, size=2, scale=0.5)

    for number in (0, 63, 64, 149):
        alone = roi_align(features, boxes[number : number + 1], size=2, scale=0.5)
        assert np.array_equal(pooled[number : number + 1], alone)


def test_levels_change_where_regions_are_twice_as_large():
    side = [0, 1, 55, 56, 111.9, 112, 223.9, 224, 447, 448, 10000]
    boxes = np.asarray([[0, 0, own, own] for own in side], np.float32)

    assert level_of(boxes, 2, 5).tolist() == [2, 2, 2, 2, 2, 3, 3, 4, 4, 5, 5]
    assert level_of(boxes, 3, 4).tolist() == [3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4]


def test_a_level_is_that_of_the_area_not_of_a_side():
    assert level_of(np.asarray([[0, 0, 56, 896]], np.float32), 2, 5).tolist() == [4]


@pytest.mark.parametrize("layout", ["map", "map-last"])
def test_a_region_is_cut_out_of_the_map_of_its_level(layout):
    maps = [normal(2, 5, 16, 24), normal(2, 5, 8, 12)]
    given = [np.zeros((2, 1), np.float32), *maps]
    if layout == "map-last":
        given = [given[0], *(own.transpose(0, 2, 3, 1) for own in maps)]
    small, large = [4, 4, 20, 20], [0, 0, 60, 60]
    regions = [np.asarray([small, large], np.float32), np.asarray([large], np.float32)]
    pooling = Pooling((1, 2), canonical=64.0, layout=layout, canonical_level=4)

    pooled = pooled_regions(pooling, given, regions, INPUT)

    assert level_of(regions[0], 2, 3, canonical=64.0).tolist() == [2, 3]
    assert pooled.shape == (3, 5, 7, 7)
    expected = [
        roi_align(maps[0][0], regions[0][:1], scale=1 / 4),
        roi_align(maps[1][0], regions[0][1:], scale=1 / 8),
        roi_align(maps[1][1], regions[1], scale=1 / 8),
    ]
    assert np.array_equal(pooled, np.concatenate(expected))


def test_no_regions_are_cut_out_as_nothing():
    maps = [normal(1, 5, 16, 24)]

    pooled = pooled_regions(Pooling((0,)), maps, [np.empty((0, 4), np.float32)], INPUT)

    assert pooled.shape == (0, 5, 7, 7)


def test_maps_that_do_not_fit_are_refused():
    none = [np.empty((0, 4), np.float32)]

    with pytest.raises(ValueError, match="do not fit the regions of 1 pictures"):
        pooled_regions(Pooling((0,)), [normal(2, 5, 16, 24)], none, INPUT)
    with pytest.raises(ValueError, match="do not fit"):
        pooled_regions(Pooling((0, 1)), [normal(1, 5, 4, 4), normal(1, 6, 2, 2)], none, INPUT)
    with pytest.raises(ValueError, match="output 1 is cut out of"):
        pooled_regions(Pooling((1,)), [normal(1, 5, 4, 4)], none, INPUT)
    with pytest.raises(ValueError, match="output 0 is cut out of"):
        pooled_regions(Pooling((0,)), [normal(1, 5)], none, INPUT)


CLASSES = 4


def regions_of(count):
    corners = np.abs(normal(count, 4)) * 20
    corners[:, 2:] += corners[:, :2] + 4
    return corners


def test_a_second_stage_moves_each_region_for_each_class():
    regions = [regions_of(12), regions_of(0), regions_of(9)]
    scores, deltas = normal(21, CLASSES), normal(21, 4 * CLASSES)
    head = fast_rcnn(INPUT, classes=CLASSES, limits=Limits(0.15, None, 0.5, 10))

    found = region_detections(head, [scores, deltas], regions)

    row = 0
    for own, one in zip(regions, found, strict=True):
        some = []
        for region in own.tolist():
            for number, score in enumerate(softmax(scores[row].tolist())):
                coded = deltas[row, 4 * number : 4 * number + 4].tolist()
                box = clipped(from_deltas(region, coded, (10, 10, 5, 5)), *INPUT)
                if number and score > 0.15 and min(sides(box)) >= 1e-2:
                    some.append((score, number, box))
            row += 1
        expected = suppressed(some, 0.5)[:10]
        assert one.classes.tolist() == [number for _, number, _ in expected]
        assert one.scores.tolist() == pytest.approx([score for score, _, _ in expected], abs=1e-6)
        boxes = np.asarray([box for _, _, box in expected]).reshape(-1, 4)
        np.testing.assert_allclose(one.boxes, boxes, rtol=1e-5, atol=1e-4)
    assert [len(one) > 0 for one in found] == [True, False, True]


def test_rows_that_are_not_those_of_the_regions_are_refused():
    head = fast_rcnn(INPUT, classes=CLASSES)

    with pytest.raises(ValueError, match=r"\[5, 5\] rows, but there are 6 regions"):
        region_detections(head, [normal(5, CLASSES), normal(5, 4 * CLASSES)], [regions_of(6)])


def test_two_stages_must_fit_each_other():
    first = rpn(INPUT, anchor_grids(INPUT, MAPS, sizes=SIZES))
    head = fast_rcnn(INPUT, classes=CLASSES)

    assert faster_rcnn(first, head, (0, 1)).pooling.size == 7
    with pytest.raises(ValueError, match="different sizes"):
        faster_rcnn(first, fast_rcnn((32, 32), classes=CLASSES), (0, 1))
    with pytest.raises(ValueError, match="are of one"):
        faster_rcnn(head, head, (0, 1))
    with pytest.raises(ValueError, match="proposed"):
        faster_rcnn(first, first, (0, 1))
