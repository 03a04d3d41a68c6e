"""Detections that a network gives itself."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.boxes import families
from intaglio.boxes.given import given_detections
from intaglio.boxes.postprocess import Grid, PostProcess

GRID = Grid(1, 1, 100, 200, 50, 100, ((-5.0, -5.0, 5.0, 5.0),))
OUTPUTS = (
    np.asarray([[[0.1, 0.25, 0.5, 0.75], [0, 0, 1, 1], [9, 9, 9, 9]]], np.float32),
    np.asarray([[2, 0, 7]], np.float32),
    np.asarray([[0.75, 0.5, 9.0]], np.float32),
    np.asarray([2], np.float32),
)


def post(*, background: bool) -> PostProcess:
    make = families.ssd if background else families.retinanet
    return make((100, 200), [GRID], classes=4)


def test_boxes_are_turned_into_pixels_left_first_and_only_those_that_count_are_there() -> None:
    found = given_detections(post(background=False), OUTPUTS)

    assert found.boxes.tolist() == [
        [50, np.float32(0.1) * np.float32(100), 150, 50],
        [0, 0, 200, 100],
    ]
    assert found.scores.tolist() == [0.75, 0.5]
    assert found.classes.tolist() == [2, 0]


def test_a_background_that_is_first_is_counted_again() -> None:
    assert given_detections(post(background=True), OUTPUTS).classes.tolist() == [3, 1]


def test_a_picture_without_detections_has_none() -> None:
    nothing = (*OUTPUTS[:3], np.zeros(1, np.float32))

    assert len(given_detections(post(background=False), nothing)) == 0


def test_outputs_that_are_no_detections_are_refused() -> None:
    with pytest.raises(ValueError, match="give boxes, classes, scores and their number"):
        given_detections(post(background=False), OUTPUTS[:2])
