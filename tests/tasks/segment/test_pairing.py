"""Truth and map pixel by pixel: at the picture's pixels, or at the network's input's."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.data.mask import IGNORED, Mask
from intaglio.data.truth import Placement
from intaglio.errors import DataError
from intaglio.maps.class_map import class_map
from intaglio.maps.postprocess import MapPostProcess
from intaglio.maps.sampling import Affine
from intaglio.tasks.segment.pairing import Pairing, paired, seen_classes
from tasks.segment.maps_made import blobs, mask, saying

POST = MapPostProcess(3)


def scores_of(classes: np.ndarray) -> np.ndarray:
    return saying(classes, classes=3)[0].numpy()


def test_at_the_picture_a_map_is_sampled_at_its_own_pixels():
    truth, scores = blobs(30, 50, 3), scores_of(blobs(16, 16, 3))
    place = Placement(16 / 50, 16 / 30)

    pair = paired(Pairing(), POST, scores, Mask(truth, place))

    affine = Affine((16, 16), 16 / 50, 16 / 30)
    assert np.array_equal(pair.found, class_map(POST, scores, affine=affine, size=(30, 50)))
    assert np.array_equal(pair.truth, truth)
    assert pair.seen.shape == (16, 16)


def test_at_the_input_the_mask_is_taken_by_nearest_and_bars_count_for_nothing():
    truth, scores = blobs(8, 16, 3), scores_of(blobs(16, 16, 3))
    place = Placement(1.0, 1.0, 0.0, 4.0)  # a letterbox

    pair = paired(Pairing(scored_at="input"), POST, scores, Mask(truth, place))

    assert np.array_equal(pair.found, scores.argmax(0))
    assert np.array_equal(pair.truth[4:12], truth)
    assert (pair.truth[:4] == IGNORED).all()
    assert (pair.truth[12:] == IGNORED).all()


def test_a_network_that_sees_a_letterbox_is_read_within_it():
    truth = blobs(8, 16, 3)
    scores = np.zeros((3, 16, 16), np.float32)
    scores[:, 4:12] = scores_of(truth)

    pair = paired(Pairing(), POST, scores, Mask(truth, Placement(1.0, 1.0, 0.0, 4.0)))

    assert np.array_equal(pair.found, truth)
    assert (pair.seen[:4] == IGNORED).all()


def test_a_smaller_map_is_of_the_whole_input_where_its_size_is_said():
    truth, scores = blobs(64, 64, 3), scores_of(blobs(8, 8, 3))

    pair = paired(Pairing(input_size=(64, 64)), POST, scores, mask(truth))

    wanted = class_map(POST, scores, affine=Affine((64, 64)), size=(64, 64))
    assert np.array_equal(pair.found, wanted)
    assert pair.seen.shape == (64, 64)


@pytest.mark.parametrize("scored_at", ["picture", "input"])
def test_a_smaller_map_is_of_the_input_that_a_picture_was_stretched_onto(scored_at):
    given = Mask(blobs(60, 90, 3), Placement(64 / 90, 48 / 60))
    scores = scores_of(blobs(6, 8, 3))

    pair = paired(Pairing(scored_at), POST, scores, given)

    said = paired(Pairing(scored_at, (48, 64)), POST, scores, given)
    assert np.array_equal(pair.found, said.found)
    assert np.array_equal(pair.truth, said.truth)


def test_a_smaller_map_is_refused_where_the_size_of_the_input_cannot_be_told():
    given = Mask(blobs(32, 64, 3), Placement(1.0, 1.0, 0.0, 16.0))

    with pytest.raises(DataError, match=r"8x8 places, .* about 64x64 pixels: give the task"):
        paired(Pairing(), POST, scores_of(blobs(8, 8, 3)), given)


def test_an_input_that_is_a_pixel_more_than_the_picture_twice_is_not_refused():
    truth = blobs(9, 16, 3)  # 16 - 9 is odd: 3 rows above, 4 below

    paired(Pairing(), POST, scores_of(blobs(16, 16, 3)), Mask(truth, Placement(1, 1, 0, 3)))


def test_a_mask_without_a_placement_is_refused():
    with pytest.raises(DataError, match="says not where the picture lies"):
        paired(Pairing(), POST, scores_of(blobs(8, 8, 3)), mask(blobs(8, 8, 3), None))


def test_what_training_sees_are_the_input_s_pixels():
    truth = blobs(8, 8, 3)
    large = Mask(truth.repeat(2, 0).repeat(2, 1), Placement(0.5, 0.5))

    found = seen_classes(Pairing(), [mask(truth), large], (8, 8))

    assert np.array_equal(found, np.stack([truth, truth]))
