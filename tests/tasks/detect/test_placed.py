"""Boxes go back into the picture exactly, and into the data set's classes or away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.detect.scenes import detections, truth

from intaglio.data.truth import Placement
from intaglio.errors import DataError
from intaglio.tasks.detect.placed import of_classes, placed_back


def test_a_letterbox_is_undone():
    # a picture of 640x480 on 320x320: half the size, 40 pixels of bar above
    there = replace(truth(size=(480, 640)), placement=Placement(0.5, 0.5, 0.0, 40.0))

    placed = placed_back(detections(((10, 50, 110, 200), 0.9, 3)), there)

    assert placed.boxes.tolist() == [[20, 20, 220, 320]]
    assert (placed.classes.tolist(), placed.scores.tolist()) == ([3], [np.float32(0.9)])


def test_boxes_are_clipped_to_the_picture_and_one_in_the_bar_keeps_its_place():
    there = replace(truth(size=(480, 640)), placement=Placement(0.5, 0.5, 0.0, 40.0))
    found = detections(((-5, 30, 400, 300), 0.9, 0), ((10, 0, 20, 30), 0.8, 0))

    placed = placed_back(found, there)

    assert placed.boxes.tolist() == [[0, 0, 640, 480], [20, 0, 40, 0]]


def test_without_a_size_boxes_are_held_at_the_left_and_the_top():
    placed = placed_back(detections(((-5, -5, 9000, 9000), 0.9, 0)), truth())

    assert placed.boxes.tolist() == [[0, 0, 9000, 9000]]


@given(
    scale=st.floats(0.05, 20),
    offset=st.floats(-300, 300),
    corner=st.floats(0, 1000),
    side=st.floats(1, 1000),
)
def test_the_placement_and_its_inverse_are_one(scale, offset, corner, side):
    box = np.array([corner, corner, corner + side, corner + side])
    there = replace(truth(), placement=Placement(scale, scale, offset, offset))

    placed = placed_back(detections((box * scale + offset, 0.9, 0)), there)

    # the box in the network's input is float32: half a step of its largest number, scaled back
    step = np.spacing(np.float32(np.abs(box * scale + offset).max())) / scale
    assert np.abs(placed.boxes[0] - box).max() <= step + np.spacing(np.float32(box.max()))


def test_a_truth_without_a_placement_is_refused():
    with pytest.raises(DataError, match=r"give it a placement, Placement\(\) where"):
        placed_back(detections(), replace(truth(), placement=None))


def test_classes_of_the_data_set_replace_those_of_the_network():
    box = (0, 0, 1, 1)
    found = detections((box, 0.9, 2), (box, 0.8, 0), (box, 0.7, 1))

    named = of_classes(found, np.array([-1, 5, 4]))

    assert named.classes.tolist() == [4, 5]
    assert named.scores.tolist() == [np.float32(0.9), np.float32(0.7)]


@pytest.mark.parametrize("wrong", [3, -1])
def test_a_class_beyond_those_that_are_mapped_is_refused(wrong):
    with pytest.raises(DataError, match=rf"finds class {wrong}, and 3 classes \(0..2\)"):
        of_classes(detections(((0, 0, 1, 1), 0.9, wrong)), np.array([0, 1, 2]))


def test_nothing_found_is_nothing_placed():
    assert len(of_classes(placed_back(detections(), truth()), np.array([], np.int64))) == 0
