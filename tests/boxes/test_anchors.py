"""Anchors by formula: how many there are, and where."""

from __future__ import annotations

import math

import numpy as np
import pytest

from boxes.plain import around, cells
from intaglio.boxes.anchors import (
    RETINANET_SIZES,
    SSD300_MAPS,
    SSD300_RATIOS,
    SSD300_SCALES,
    SSD300_STEPS,
    anchor_grids,
    cell_anchors,
    default_boxes,
    even_scales,
    map_sizes,
    point_grids,
    tf_default_boxes,
    yolo_grids,
)
from intaglio.boxes.places import anchors_at
from intaglio.boxes.postprocess import Grid, Proposed, Table, Unplaced

SSDLITE_MAPS = tuple((side, side) for side in (20, 10, 5, 3, 2, 1))


def counts(grids):
    return sum(grid.count for grid in grids)


def boxes_of(grid):
    return anchors_at(grid, np.arange(grid.count)).boxes


def ssd300():
    return default_boxes(
        (300, 300),
        SSD300_MAPS,
        ratios=SSD300_RATIOS,
        scales=SSD300_SCALES,
        steps=SSD300_STEPS,
    )


def test_the_usual_detectors_have_as_many_anchors_as_their_papers_say():
    strides = (8, 16, 32, 64, 128)

    assert counts(ssd300()) == 8732
    assert counts(default_boxes((320, 320), SSDLITE_MAPS)) == 3234
    assert counts(tf_default_boxes((300, 300), [(s, s) for s in (19, 10, 5, 3, 2, 1)])) == 1917
    assert counts(point_grids((640, 640), map_sizes((640, 640), (8, 16, 32)), centre=0.5)) == 8400
    retinanet = anchor_grids((800, 800), map_sizes((800, 800), strides), sizes=RETINANET_SIZES)
    assert counts(retinanet) == 9 * (100**2 + 50**2 + 25**2 + 13**2 + 7**2)


def test_maps_of_a_stride_are_rounded_up():
    assert map_sizes((320, 300), (16, 32, 64, 128, 256)) == (
        (20, 19),
        (10, 10),
        (5, 5),
        (3, 3),
        (2, 2),
    )
    assert map_sizes((320, 320), (16, 32, 64, 128, 256, 512)) == SSDLITE_MAPS


def test_positions_run_over_rows_columns_anchors():
    grid = Grid(2, 3, 10, 20, 5, 7, ((-1, -1, 1, 1), (-2, -3, 2, 3)))

    boxes = boxes_of(grid).tolist()

    expected = [
        [7 + 20 * column + left, 5 + 10 * row + top, 7 + 20 * column + right, 5 + 10 * row + bottom]
        for row in range(2)
        for column in range(3)
        for left, top, right, bottom in grid.anchors
    ]
    assert boxes == expected


def test_some_positions_are_those_of_all():
    grid = ssd300()[1]
    some = np.asarray([0, 5, 6, 777, grid.count - 1])

    assert np.array_equal(anchors_at(grid, some).boxes, boxes_of(grid)[some])


def test_default_boxes_are_those_of_the_ssd_paper():
    found = np.concatenate([boxes_of(grid) for grid in ssd300()])

    expected = []
    for level, (size, ratios) in enumerate(zip(SSD300_MAPS, SSD300_RATIOS, strict=True)):
        scale, after = SSD300_SCALES[level], SSD300_SCALES[level + 1]
        shapes = [(scale, scale), (math.sqrt(scale * after),) * 2]
        for ratio in ratios:
            root = math.sqrt(ratio)
            shapes += [(scale * root, scale / root), (scale / root, scale * root)]
        for _, row, column, anchor in cells([size], len(shapes)):
            x, y = ((index + 0.5) * SSD300_STEPS[level] for index in (column, row))
            width, height = (300 * min(side, 1) for side in shapes[anchor])
            expected.append(around(x, y, width, height))
    # coordinates up to 500 in float32 have steps of 3e-5
    np.testing.assert_allclose(found, expected, rtol=0, atol=6e-5)


def test_even_scales_rise_evenly_and_end_with_1():
    assert even_scales(6) == pytest.approx((0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0))


def test_tensorflows_first_map_has_three_boxes_and_the_others_six():
    grids = tf_default_boxes((300, 300), [(19, 19), (10, 10)], largest=0.35)

    first, second = (boxes_of(grid)[: len(grid.anchors)] / 300 for grid in grids)

    root, between = math.sqrt(2), math.sqrt(0.35 * 1.0)
    cell = 0.5 / 19
    sides = [(0.1, 0.1), (0.2 * root, 0.2 / root), (0.2 / root, 0.2 * root)]
    np.testing.assert_allclose(first, [around(cell, cell, *own) for own in sides], atol=1e-6)
    last = around(0.05, 0.05, between, between)
    assert second.shape == (6, 4)
    np.testing.assert_allclose(second[-1], last, atol=1e-6)


def test_anchors_of_a_cell_are_rounded_with_halves_to_even():
    assert cell_anchors((32,), (0.5, 1, 2)) == (
        (-23, -11, 23, 11),
        (-16, -16, 16, 16),
        (-11, -23, 11, 23),
    )
    assert cell_anchors((5, 7), (1,)) == ((-2, -2, 2, 2), (-4, -4, 4, 4))


def test_all_sizes_of_a_ratio_come_before_the_next_ratio():
    widths = [right - left for left, _, right, _ in cell_anchors((10, 100), (0.25, 1))]

    assert widths == [20, 200, 10, 100]


def test_pyramid_anchors_lie_on_whole_steps_from_0():
    (grid,) = anchor_grids((65, 97), [(4, 6)], sizes=[(8,)], ratios=(1.0,))

    assert (grid.step_y, grid.step_x) == (16, 16)
    assert boxes_of(grid)[7].tolist() == [16 - 4, 16 - 4, 16 + 4, 16 + 4]


def test_points_without_anchors_count_in_steps_or_in_given_sides():
    (steps,) = point_grids((65, 97), [(4, 6)], centre=0.5)
    (sides,) = point_grids((65, 97), [(4, 6)], sides=(20,))

    assert boxes_of(steps)[7].tolist() == [16, 16, 32, 32]
    assert boxes_of(sides)[7].tolist() == [6, 6, 26, 26]


def test_yolo_anchors_lie_at_the_middle_of_cells():
    coarse, _ = yolo_grids((64, 96), (32, 16), [[(10, 14)], [(1, 2)]])

    assert (coarse.rows, coarse.columns) == (2, 3)
    assert boxes_of(coarse)[4].tolist() == [48 - 5, 48 - 7, 48 + 5, 48 + 7]


def test_places_that_are_not_known_before():
    given = np.asarray([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)

    assert anchors_at(Proposed(), np.asarray([1]), given).boxes.tolist() == [[5, 6, 7, 8]]
    with pytest.raises(ValueError, match="region_detections"):
        anchors_at(Proposed(), np.asarray([0]))
    assert anchors_at(Unplaced(3), np.asarray([2])).boxes.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda: Grid(0, 1, 1, 1, 0, 0, ((0, 0, 1, 1),)),
        lambda: Grid(1, 1, 0, 1, 0, 0, ((0, 0, 1, 1),)),
        lambda: Grid(1, 1, 1, 1, 0, 0, ()),
        lambda: Grid(1, 1, 1, 1, math.nan, 0, ((0, 0, 1, 1),)),
        lambda: Grid(1, 1, 1, 1, 0, 0, ((2, 0, 1, 1),)),
        lambda: Grid(60000, 60000, 1, 1, 0, 0, ((0, 0, 1, 1),)),
        lambda: Table(()),
        lambda: Table(((0, 0, math.inf, 1),)),
        lambda: Unplaced(0),
    ],
)
def test_places_refuse_nonsense(nonsense):
    with pytest.raises(ValueError, match="must"):
        nonsense()


@pytest.mark.parametrize(
    "call",
    [
        lambda: default_boxes((300, 300), [(3, 3)]),
        lambda: anchor_grids((300, 300), [(3, 3)], sizes=[(1,), (2,)]),
        lambda: point_grids((300, 300), [(3, 3)], sides=(1, 2)),
    ],
)
def test_anchors_need_as_many_sizes_as_maps(call):
    with pytest.raises(ValueError, match="maps"):
        call()
