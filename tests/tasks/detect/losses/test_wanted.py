"""Labels, where the network's input has them and with its classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intaglio.data.truth import Category, Placement
from intaglio.errors import DataError
from intaglio.tasks.detect.losses.wanted import own_classes, wanted_of
from tasks.detect.losses.made import retinanet_post, ssd_post, truth_of

CPU = torch.device("cpu")
THREE = tuple(Category(number, name) for number, name in enumerate("abc"))


def test_boxes_lie_where_the_picture_lies_in_the_input():
    truth = truth_of([[10, 20, 30, 60, 0]], placement=Placement(0.5, 0.25, 4, -2))

    (found,) = wanted_of(ssd_post(), THREE, [truth], CPU)

    assert found.boxes.tolist() == [[9.0, 3.0, 19.0, 13.0]]
    assert found.classes.tolist() == [1]  # the background is 0


def test_classes_are_the_networks_own():
    assert own_classes(ssd_post(), THREE).tolist() == [1, 2, 3]
    assert own_classes(retinanet_post(), THREE).tolist() == [0, 1, 2]
    assert own_classes(ssd_post(), ()).tolist() == [0, 1, 2, 3]


def test_crowds_stand_apart_and_boxes_without_area_are_nothing():
    rows = [[0, 0, 8, 8, 1], [0, 0, 0, 8, 1], [4, 4, 20, 20, 2]]
    (found,) = wanted_of(ssd_post(), (), [truth_of(rows, crowd=[2])], CPU)

    assert found.boxes.tolist() == [[0, 0, 8, 8]]
    assert found.crowd.tolist() == [[4, 4, 20, 20]]


@pytest.mark.parametrize(("number", "categories"), [(4, ()), (0, ()), (3, THREE), (-1, THREE)])
def test_a_class_that_the_network_has_not_and_the_background_are_refused(number, categories):
    with pytest.raises(DataError, match=f"class {number} of a box"):
        wanted_of(ssd_post(), categories, [truth_of([[0, 0, 8, 8, number]])], CPU)


def test_a_truth_that_is_not_placed_is_refused():
    with pytest.raises(DataError, match="placement"):
        wanted_of(ssd_post(), (), [truth_of([[0, 0, 8, 8, 1]], placement=None)], CPU)


def test_a_picture_without_boxes_wants_nothing():
    (found,) = wanted_of(ssd_post(), THREE, [truth_of([])], CPU)

    assert found.boxes.shape == (0, 4)
    assert found.boxes.dtype == torch.float32
    assert found.classes.dtype == torch.int64
    assert np.prod(found.crowd.shape) == 0
