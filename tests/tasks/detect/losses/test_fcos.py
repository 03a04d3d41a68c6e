"""The loss of FCOS."""

from __future__ import annotations

import math

import torch

from intaglio.tasks.detect.losses.choose import detection_loss
from intaglio.tasks.detect.losses.fcos import centreness, near_centres
from intaglio.tasks.detect.losses.match import BACKGROUND, IGNORED
from intaglio.tasks.detect.losses.raw import anchored
from tasks.detect.losses.made import fcos_post, outputs_for, truth_of, wanted_boxes

PLACES = anchored(fcos_post(), torch.zeros(1))


def finders(*rows, crowd=()):
    """Level, x and y of the positions that are to find something, with the object's index."""
    found = near_centres(wanted_boxes(rows, crowd), PLACES)
    return {
        (int(PLACES.levels[at]), *PLACES.points[at].tolist()): int(found[at])
        for at in (found >= 0).nonzero()[:, 0].tolist()
    }


def test_places_near_the_centre_of_an_object_find_it():
    # a box of 40 x 40 around (24, 24); places of the first level are multiples of 8, those within
    # 12 pixels of its centre are 16, 24 and 32; its sides are up to 28 away, less than 8 steps
    places = {(0, float(x), float(y)) for x in (16, 24, 32) for y in (16, 24, 32)}

    assert set(finders([4, 4, 44, 44, 1])) == places


def test_large_objects_are_for_the_coarse_level():
    # 63 x 63 around (31.5, 31.5): longest distances from 31.5 on, up to 64 for the first level,
    # above 64 for the second, which no place near the centre has
    found = finders([0, 0, 63, 63, 1])
    assert {level for level, _, _ in found} == {0}
    # beyond the picture, as a part of a larger one
    wide = finders([-80, -80, 143, 143, 1])
    assert {level for level, _, _ in wide} == {1}


def test_of_two_objects_a_place_finds_the_smaller():
    found = finders([4, 4, 44, 44, 1], [14, 14, 34, 34, 2])

    assert found[(0, 24.0, 24.0)] == 1
    assert set(found.values()) == {1}  # the small one reaches as far as places near the centre do


def test_what_lies_in_a_crowd_is_left_alone():
    found = near_centres(wanted_boxes([], crowd=[[0, 0, 64, 64]]), PLACES)

    assert set(found.tolist()) <= {IGNORED, BACKGROUND}
    assert int((found == IGNORED).sum()) > len(found) // 2


def test_the_centre_has_1_and_an_edge_0():
    box = torch.tensor([[0.0, 0, 8, 16]]).expand(3, 4)
    points = torch.tensor([[4.0, 8], [0, 8], [2, 4]])

    found = centreness(points, box)

    # a quarter of the way across and down: sqrt(2 / 6 * 4 / 12)
    assert torch.allclose(found, torch.tensor([1.0, 0.0, 1 / 3]))


def test_an_image_without_objects_is_all_background():
    post = fcos_post()
    outputs = outputs_for(post, 1)

    found = detection_loss(post, outputs, [truth_of([])])

    total = 0.0
    for output in outputs[2:4]:
        for score in output.flatten().tolist():
            p = 1 / (1 + math.exp(-score))
            total -= 0.75 * p**2 * math.log(1 - p)
    assert math.isclose(found.item(), total, rel_tol=1e-5)  # 240 terms in float32
