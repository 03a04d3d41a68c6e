"""Each family against plain loops that know nothing of its description."""

from __future__ import annotations

import math

import numpy as np
import pytest

from boxes.plain import (
    around,
    cells,
    clipped,
    from_deltas,
    highest,
    numbers,
    sigmoid,
    softmax,
    suppressed,
)
from intaglio.boxes.anchors import (
    anchor_grids,
    cell_anchors,
    default_boxes,
    point_grids,
    tf_default_boxes,
    yolo_grids,
)
from intaglio.boxes.detect import detections
from intaglio.boxes.families import centernet, corners, fcos, retinanet, ssd, tf_ssd
from intaglio.boxes.heads import Heads
from intaglio.boxes.limits import Limits
from intaglio.boxes.yolo import yolo_decoded, yolo_free, yolov3, yolov5, yolox

INPUT = (64, 96)
MAPS = ((4, 6), (2, 3))
STRIDES = (16, 32)
CLASSES = 3
WEIGHTS = (10, 10, 5, 5)
PICTURES = 2
PAIRS = (((10, 14), (30, 16)), ((33, 50), (60, 40)))
"""Anchors of YOLO."""


def outputs(seed, widths, *, spread=1.0):
    """Maps of these channels on each level: all levels of the first width first."""
    random = np.random.default_rng(seed)
    shapes = [(PICTURES, width, *size) for width in widths for size in MAPS]
    return [random.normal(0, spread, shape).astype(np.float32) for shape in shapes]


def same(found, expected):
    """Detections equal triples of (score, class, box), to a few roundings of float32."""
    assert len(found) == len(expected)
    assert len(expected) > 3, "too little was found to compare anything"
    assert found.classes.tolist() == [one[1] for one in expected]
    assert found.scores.tolist() == pytest.approx([one[0] for one in expected], abs=1e-6)
    np.testing.assert_allclose(found.boxes, [one[2] for one in expected], rtol=1e-5, atol=1e-4)


def plain_ssd_boxes(level, row, column, anchor):
    scale, after = (0.2, 0.95, 1.0)[level : level + 2]
    root = math.sqrt(2)
    sides = [(scale, scale), (math.sqrt(scale * after),) * 2]
    sides += [(scale * root, scale / root), (scale / root, scale * root)]
    width, height = (min(side, 1) for side in sides[anchor])
    x, y = (column + 0.5) / MAPS[level][1], (row + 0.5) / MAPS[level][0]
    box = around(x, y, width, height)
    return [box[0] * 96, box[1] * 64, box[2] * 96, box[3] * 64]


def test_ssd():
    given = outputs(1, (4 * 4, 4 * CLASSES))
    grids = default_boxes(INPUT, MAPS, ratios=((2.0,), (2.0,)))
    limits = Limits(0.3, 12, 0.45, 15)

    found = detections(ssd(INPUT, grids, classes=CLASSES, limits=limits), given)

    for picture in range(PICTURES):
        of_class = {1: [], 2: []}
        for level, *place in cells(MAPS, 4):
            deltas = numbers(given[level], picture, place, 4)
            scores = softmax(numbers(given[2 + level], picture, place, CLASSES))
            box = from_deltas(plain_ssd_boxes(level, *place), deltas, WEIGHTS)
            for own, some in of_class.items():
                if scores[own] > 0.3:
                    some.append((scores[own], own, clipped(box, *INPUT)))
        some = [one for own in of_class.values() for one in highest(own, 12)]
        same(found[picture], suppressed(some, 0.45)[:15])


def test_tensorflows_ssd_with_all_outputs_in_rows():
    maps = ((3, 3), (2, 2))
    grids = tf_default_boxes((64, 64), maps, ratios=(1.0, 2.0))
    count = sum(grid.count for grid in grids)
    random = np.random.default_rng(2)
    boxes = random.normal(0, 1, (PICTURES, count, 4)).astype(np.float32)
    scores = random.normal(0, 1, (PICTURES, count, CLASSES)).astype(np.float32)
    limits = Limits(0.5, 8, 0.6, 30)

    found = detections(tf_ssd((64, 64), grids, classes=CLASSES, limits=limits), [boxes, scores])

    assert count == 2 * 3 * 9 // 2 + 3 * 4
    shapes = [[(0.1, 1), (0.2, 2), (0.2, 0.5)], [(0.95, 1), (0.95, 2), (math.sqrt(0.95), 1)]]
    for picture in range(PICTURES):
        of_class = {1: [], 2: []}
        for row, (level, y, x, anchor) in enumerate(cells(maps, 3)):
            scale, ratio = shapes[level][anchor]
            width, height = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            side = maps[level][0]
            ty, tx, th, tw = boxes[picture, row].tolist()
            box = around(
                64 * (tx / 10 * width + (x + 0.5) / side),
                64 * (ty / 10 * height + (y + 0.5) / side),
                64 * width * math.exp(tw / 5),
                64 * height * math.exp(th / 5),
            )
            for own, some in of_class.items():
                score = sigmoid(float(scores[picture, row, own]))
                if score > 0.5:
                    some.append((score, own, clipped(box, 64, 64)))
        some = [one for own in of_class.values() for one in highest(own, 8)]
        same(found[picture], suppressed(some, 0.6)[:30])


SIZES = ((16, 20), (32, 40))


def plain_pyramid_box(level, row, column, anchor):
    left, top, right, bottom = cell_anchors(SIZES[level], (0.5, 1.0, 2.0))[anchor]
    x, y = STRIDES[level] * column, STRIDES[level] * row
    return [x + left, y + top, x + right, y + bottom]


def test_retinanet():
    given = outputs(3, (6 * 4, 6 * CLASSES))
    limits = Limits(0.6, 25, 0.5, 20)

    grids = anchor_grids(INPUT, MAPS, sizes=SIZES)
    found = detections(retinanet(INPUT, grids, classes=CLASSES, limits=limits), given)

    for picture in range(PICTURES):
        levels = [[], []]
        for level, *place in cells(MAPS, 6):
            deltas = numbers(given[level], picture, place, 4)
            box = from_deltas(plain_pyramid_box(level, *place), deltas, (1, 1, 1, 1))
            for own, raw in enumerate(numbers(given[2 + level], picture, place, CLASSES)):
                if sigmoid(raw) > 0.6:
                    levels[level].append((sigmoid(raw), own, clipped(box, *INPUT)))
        some = [one for level in levels for one in highest(level, 25)]
        same(found[picture], suppressed(some, 0.5)[:20])


def test_fcos():
    given = outputs(4, (4, CLASSES, 1))
    limits = Limits(0.5, 12, 0.6, 20)

    grids = point_grids(INPUT, MAPS)
    found = detections(fcos(INPUT, grids, classes=CLASSES, limits=limits), given)

    for picture in range(PICTURES):
        levels = [[], []]
        for level, *place in cells(MAPS, 1):
            distances = [max(number, 0) for number in numbers(given[level], picture, place, 4)]
            left, top, right, bottom = (STRIDES[level] * number for number in distances)
            y, x = (STRIDES[level] * index for index in place[:2])
            box = clipped([x - left, y - top, x + right, y + bottom], *INPUT)
            (centreness,) = numbers(given[4 + level], picture, place, 1)
            for own, raw in enumerate(numbers(given[2 + level], picture, place, CLASSES)):
                score = math.sqrt(sigmoid(raw) * sigmoid(centreness))
                if score > 0.5:
                    levels[level].append((score, own, box))
        some = [one for level in levels for one in highest(level, 12)]
        same(found[picture], suppressed(some, 0.6)[:20])


def v3(numbers, cell, stride, pair, level):
    stretch = (1.1, 1.05)[level]
    x, y = (
        stride * (stretch * sigmoid(t) - (stretch - 1) / 2 + index)
        for t, index in zip(numbers[:2], cell, strict=True)
    )
    return around(x, y, pair[0] * math.exp(numbers[2]), pair[1] * math.exp(numbers[3]))


def v5(numbers, cell, stride, pair, level):
    x, y, width, height = (2 * sigmoid(t) for t in numbers)
    x, y = stride * (x - 0.5 + cell[0]), stride * (y - 0.5 + cell[1])
    return around(x, y, width**2 * pair[0], height**2 * pair[1])


def vx(numbers, cell, stride, pair, level):
    x, y = stride * (numbers[0] + cell[0]), stride * (numbers[1] + cell[1])
    return around(x, y, stride * math.exp(numbers[2]), stride * math.exp(numbers[3]))


@pytest.mark.parametrize(("decode", "anchors"), [(v3, 2), (v5, 2), (vx, 1)])
def test_yolo_with_objectness(decode, anchors):
    width = 5 + CLASSES
    given = outputs(5, (anchors * width,))
    limits = Limits(0.3, 40, 0.45, 25)
    grids = yolo_grids(INPUT, STRIDES, PAIRS)
    if decode is v3:
        post = yolov3(INPUT, grids, classes=CLASSES, stretches=(1.1, 1.05), limits=limits)
    elif decode is v5:
        post = yolov5(INPUT, grids, classes=CLASSES, limits=limits)
    else:
        post = yolox(INPUT, point_grids(INPUT, MAPS), classes=CLASSES, limits=limits)

    found = detections(post, given)

    for picture in range(PICTURES):
        some = []
        for level, row, column, anchor in cells(MAPS, anchors):
            own = numbers(given[level], picture, (row, column, anchor), width)
            box = decode(own[:4], (column, row), STRIDES[level], PAIRS[level][anchor], level)
            for number, raw in enumerate(own[5:]):
                score = sigmoid(own[4]) * sigmoid(raw)
                if score > 0.3:
                    some.append((score, number, box))
        same(found[picture], suppressed(highest(some, 40), 0.45)[:25])


def test_yolo_without_anchors():
    given = outputs(6, (4 * 8 + CLASSES,), spread=1.5)
    limits = Limits(0.5, 40, 0.7, 25)
    grids = point_grids(INPUT, MAPS, centre=0.5)

    found = detections(yolo_free(INPUT, grids, classes=CLASSES, bins=8, limits=limits), given)

    for picture in range(PICTURES):
        some = []
        for level, row, column, _ in cells(MAPS, 1):
            own = numbers(given[level], picture, (row, column, 0), 4 * 8 + CLASSES)
            sides = [softmax(own[8 * side : 8 * side + 8]) for side in range(4)]
            means = [sum(bin * share for bin, share in enumerate(side)) for side in sides]
            x, y, stride = column + 0.5, row + 0.5, STRIDES[level]
            box = [x - means[0], y - means[1], x + means[2], y + means[3]]
            for number, raw in enumerate(own[32:]):
                if sigmoid(raw) > 0.5:
                    some.append((sigmoid(raw), number, [stride * side for side in box]))
        same(found[picture], suppressed(highest(some, 40), 0.7)[:25])


@pytest.mark.parametrize("objectness", [False, True])
def test_decoded_yolo_in_columns_and_in_rows(objectness):
    random = np.random.default_rng(7)
    rows = random.uniform(0, 1, (PICTURES, 30, 4 + objectness + CLASSES)).astype(np.float32)
    rows[..., :4] *= 60
    limits = Limits(0.2, 40, 0.3, 25)

    found = {}
    for layout, whole in (("rows", rows), ("columns", rows.transpose(0, 2, 1))):
        post = yolo_decoded(
            INPUT, 30, classes=CLASSES, objectness=objectness, layout=layout, limits=limits
        )
        found[layout] = detections(post, [whole])

    for picture in range(PICTURES):
        some = []
        for row in rows[picture].tolist():
            factor = row[4] if objectness else 1
            for number, score in enumerate(row[4 + objectness :]):
                if score * factor > 0.2:
                    some.append((score * factor, number, around(*row[:4])))
        for own in found.values():
            same(own[picture], suppressed(highest(some, 40), 0.3)[:25])


def test_centernet():
    random = np.random.default_rng(8)
    shapes = [(PICTURES, width, 8, 12) for width in (CLASSES, 2, 2)]
    heat, size, offset = (random.normal(0, 2, shape).astype(np.float32) for shape in shapes)
    (grid,) = point_grids(INPUT, [(8, 12)])

    found = detections(centernet(INPUT, grid, classes=CLASSES, most=9), [heat, size, offset])

    for picture in range(PICTURES):
        some = []
        for _, row, column, _ in cells([(8, 12)], 1):
            width, height = size[picture, :, row, column].tolist()
            dx, dy = offset[picture, :, row, column].tolist()
            box = around(8 * (column + dx), 8 * (row + dy), 8 * width, 8 * height)
            for own in range(CLASSES):
                score = heat[picture, own, row, column]
                rows = slice(max(row - 1, 0), row + 2)
                columns = slice(max(column - 1, 0), column + 2)
                near = heat[picture, own, rows, columns]
                if score >= near.max():
                    some.append((sigmoid(float(score)), own, box))
        same(found[picture], highest(some, 9))


def test_whole_boxes():
    random = np.random.default_rng(9)
    boxes = random.uniform(0, 60, (PICTURES, 20, 4)).astype(np.float32)
    boxes[..., 2:] += boxes[..., :2]
    scores = random.uniform(0, 1, (PICTURES, 20, CLASSES)).astype(np.float32)
    limits = Limits(0.2, 40, 0.3, 25)

    found = detections(corners(INPUT, 20, classes=CLASSES, limits=limits), [boxes, scores])

    for picture in range(PICTURES):
        some = [
            (score, own, clipped(box, *INPUT))
            for box, row in zip(boxes[picture].tolist(), scores[picture].tolist(), strict=True)
            for own, score in enumerate(row)
            if score > 0.2
        ]
        same(found[picture], suppressed(highest(some, 40), 0.3)[:25])


LAYOUTS = {
    "map": lambda rows: rows.transpose(0, 3, 4, 1, 2).reshape(PICTURES, -1, *rows.shape[1:3]),
    "map-last": lambda rows: rows.reshape(*rows.shape[:3], -1),
    "anchor-maps": lambda rows: rows.transpose(0, 3, 1, 2, 4),
    "rows": lambda rows: rows.reshape(PICTURES, -1, rows.shape[-1]),
    "columns": lambda rows: rows.reshape(PICTURES, -1, rows.shape[-1]).transpose(0, 2, 1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", [10, 11])
def test_a_family_finds_the_same_in_every_layout(layout, seed):
    random = np.random.default_rng(seed)
    # [N, rows, columns, anchors, numbers] of boxes, then of scores
    split = [random.normal(0, 1, (PICTURES, *m, 6, 4)).astype(np.float32) for m in MAPS]
    split += [random.normal(0, 1, (PICTURES, *m, 6, CLASSES)).astype(np.float32) for m in MAPS]
    grids = anchor_grids(INPUT, MAPS, sizes=SIZES)
    limits = Limits(0.6, 25, 0.5, 20)
    own = Heads((0, 1), (2, 3), layout=layout)
    one = Heads((0,), (1,), layout="rows")
    rows = [LAYOUTS["rows"](part) for part in split]
    joined = [np.concatenate(rows[:2], axis=1), np.concatenate(rows[2:], axis=1)]

    first = retinanet(INPUT, grids, classes=CLASSES, heads=own, limits=limits)
    second = retinanet(INPUT, grids, classes=CLASSES, heads=one, limits=limits)
    found = detections(first, [LAYOUTS[layout](part) for part in split])
    again = detections(second, joined)

    for a, b in zip(found, again, strict=True):
        assert np.array_equal(a.boxes, b.boxes)
        assert np.array_equal(a.scores, b.scores)
        assert np.array_equal(a.classes, b.classes)


def test_heads_that_do_not_fit_the_levels_are_refused():
    grids = anchor_grids(INPUT, MAPS, sizes=SIZES)

    with pytest.raises(ValueError, match="3 outputs of 2 levels"):
        retinanet(INPUT, grids, classes=3, heads=Heads((0, 1, 2), (3, 4, 5)))
