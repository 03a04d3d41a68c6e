"""Maps refined by a field that sees the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intaglio.data.mask import IGNORED, Mask
from intaglio.data.truth import Placement
from intaglio.errors import DataError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.tasks.crf.parameters import DEEPLAB_VOC, WRAPPER
from intaglio.tasks.segment.meter import AFTER
from intaglio.tasks.segment.segment import Segment

POST = MapPostProcess(2)
SIDE = 24


def halves() -> tuple[np.ndarray, np.ndarray]:
    """Return a picture whose right part is bright, and the classes that this means."""
    classes = np.zeros((SIDE, SIDE), np.uint8)
    classes[:, SIDE // 2 :] = 1
    return np.repeat(classes[:, :, None] * np.uint8(200), 3, axis=2), classes


def shifted_scores() -> np.ndarray:
    """Return scores that take the border to be 3 pixels beside where it is, and are not sure."""
    scores = np.zeros((2, SIDE, SIDE), np.float32)
    scores[1, :, SIDE // 2 + 3 :] = 0.8
    scores[0, :, : SIDE // 2 + 3] = 0.8
    return scores


def meter_of(task: Segment, mask: Mask, scores: np.ndarray) -> dict[str, float]:
    meter = task.meter(["maps"])
    meter.add([torch.from_numpy(scores)[None]], [mask])
    return meter.figures()


def test_a_field_moves_a_border_to_where_the_picture_has_it():
    picture, classes = halves()
    mask = Mask(classes, Placement(), picture)

    found = meter_of(Segment(POST, crf=WRAPPER), mask, shifted_scores())

    assert found["miou"] < 90.0
    assert found[f"miou{AFTER}"] == 100.0
    assert found[f"boundary_f{AFTER}"] == 100.0 > found["boundary_f"]


def test_figures_without_a_field_are_the_same_with_one_beside_them():
    picture, classes = halves()
    mask = Mask(classes, Placement(), picture)

    plain = meter_of(Segment(POST), mask, shifted_scores())
    both = meter_of(Segment(POST, crf=DEEPLAB_VOC), mask, shifted_scores())

    assert {name: both[name] for name in plain} == plain
    assert set(both) == {*plain, *(f"{name}{AFTER}" for name in plain)}


def test_without_labels_no_figure_comes_of_a_field():
    picture, classes = halves()
    mask = Mask(np.full_like(classes, IGNORED), Placement(), picture)

    assert meter_of(Segment(POST, crf=DEEPLAB_VOC), mask, shifted_scores()) == {}


def test_a_mask_without_its_picture_is_refused():
    _, classes = halves()

    with pytest.raises(DataError, match="comes without it"):
        meter_of(Segment(POST, crf=DEEPLAB_VOC), Mask(classes, Placement()), shifted_scores())


def test_a_network_that_gives_classes_alone_is_refused():
    picture, classes = halves()
    task = Segment(MapPostProcess(2, rule="index"), crf=DEEPLAB_VOC)

    with pytest.raises(DataError, match="scores"):
        meter_of(task, Mask(classes, Placement(), picture), classes.astype(np.float32))
