"""Which class of a network each class of a mask is."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.data.mask import IGNORED
from intaglio.data.truth import Category
from intaglio.errors import DataError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.tasks.segment.classes import (
    class_names,
    label_table,
    own_masks,
    refuse_beyond,
)
from tasks.segment.maps_made import mask

VOC = MapPostProcess(4, names=("background", "cat", "dog", "sofa"))
GIVEN = mask([[1, 2, 3, IGNORED]])
COCO = tuple(Category(n, name) for n, name in enumerate(("background", "dog", "cup", "couch")))


def test_categories_have_the_classes_of_their_names_and_others_are_background():
    assert label_table(VOC, COCO).tolist() == [0, 2, 0, 3]
    assert own_masks([GIVEN], VOC, COCO)[0].classes.tolist() == [[2, 0, 3, IGNORED]]
    assert GIVEN.classes.tolist() == [[1, 2, 3, IGNORED]]  # it is not changed


def test_without_categories_labels_are_the_networks_classes():
    assert own_masks([GIVEN], VOC, ()) == [GIVEN]


def test_classes_without_names_are_in_order_where_there_are_as_many():
    assert label_table(MapPostProcess(4), COCO).tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match=r"5 classes apart, .* have 4 categories: which is which"):
        label_table(MapPostProcess(5), COCO)


def test_a_class_beyond_those_there_are_is_refused_with_how_many_pixels():
    with pytest.raises(DataError, match=r"class 11 .* are 11 \(0..10\); 2 of its 4 pixels"):
        refuse_beyond(np.array([11, 3, 11, 255], np.uint8), 11)
    with pytest.raises(DataError, match=r"class 4 of a mask is out of range: there are 4"):
        own_masks([GIVEN, mask([[4]])], VOC, COCO)


def test_ignored_pixels_are_beyond_nothing():
    refuse_beyond(np.full((2, 2), IGNORED, np.uint8), 1)
    assert own_masks([mask([[255]])], VOC, COCO)[0].classes.tolist() == [[IGNORED]]


def test_names_are_the_networks_or_else_those_of_as_many_categories():
    assert class_names(VOC, COCO) == VOC.names
    assert class_names(MapPostProcess(4), COCO) == ("background", "dog", "cup", "couch")
    assert class_names(MapPostProcess(5), COCO) == ()
