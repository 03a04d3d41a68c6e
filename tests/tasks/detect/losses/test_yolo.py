"""The loss of YOLOv3."""

from __future__ import annotations

import math

import pytest
import torch

from intaglio.tasks.detect.losses.choose import detection_loss
from intaglio.tasks.detect.losses.coding import decoded
from intaglio.tasks.detect.losses.match import BACKGROUND, IGNORED
from intaglio.tasks.detect.losses.nearness import complete_overlaps
from intaglio.tasks.detect.losses.raw import Anchored, anchored, raw_numbers
from intaglio.tasks.detect.losses.yolo import centred
from tasks.detect.losses.made import (
    entropy,
    outputs_for,
    truth_of,
    wanted_boxes,
    yolo_post,
    yolov5_post,
)

FAR = torch.tensor([900.0, 900, 910, 910])
OBJECTS = [[[8, 9, 19, 20, 1], [30, 30, 62, 60, 0]], [[40, 2, 60, 17, 2]], []]


def position(level, row, column, anchor):
    """Levels are of 8 x 8 and 4 x 4 cells, two anchors each."""
    return 128 * level + (row * (8 >> level) + column) * 2 + anchor


def places_of(post):
    places = anchored(post, torch.zeros(1))
    return places, FAR.expand(len(places.boxes), 4)


def test_an_object_belongs_to_the_cell_of_its_centre_and_to_the_anchor_of_its_shape():
    places, boxes = places_of(yolo_post())
    # a centre at (13.5, 14.5), 11 x 11: row 1 and column 1 of the first level, nearest to 10 x 12;
    # one at (46, 45), 32 x 30: row 2 and column 2 of the second level, nearest to 30 x 30
    found = centred(boxes, wanted_boxes(OBJECTS[0]), places)

    positive = {index: number for index, number in enumerate(found.tolist()) if number >= 0}
    assert positive == {position(0, 1, 1, 0): 0, position(1, 2, 2, 0): 1}
    assert set(found.tolist()) == {BACKGROUND, 0, 1}


def test_a_centre_between_two_cells_belongs_to_the_second():
    places, boxes = places_of(yolo_post())

    found = centred(boxes, wanted_boxes([[3, 2, 13, 14, 0]]), places)  # its centre is (8, 8)

    assert found.tolist().index(0) == position(0, 1, 1, 0)


def test_of_two_objects_of_one_position_the_first_keeps_it():
    places, boxes = places_of(yolo_post())
    same = [[8, 9, 19, 20, 1], [8, 8, 18, 20, 2]]

    assert sorted(set(centred(boxes, wanted_boxes(same), places).tolist())) == [BACKGROUND, 0]


def test_a_position_that_finds_a_neighbours_object_is_left_alone():
    places, boxes = places_of(yolo_post())
    boxes = boxes.clone()
    boxes[5], boxes[6] = torch.tensor([8.0, 9, 19, 19]), torch.tensor([8.0, 9, 19, 16])

    found = centred(boxes, wanted_boxes(OBJECTS[0]), places)

    assert found[5] == IGNORED  # it overlaps by 10 / 11, the other by 7 / 11
    assert found[6] == BACKGROUND


def plainly(post, outputs, objects):
    raw, places = raw_numbers(post, outputs), anchored(post, outputs[0])
    wanted = wanted_boxes(objects)
    boxes = []
    for number, level in enumerate(post.levels):
        at = places.levels == number
        own = Anchored(places.boxes[at], places.points[at], places.steps[at], places.levels[at])
        boxes.append(decoded(level.coder, raw.boxes[0, at], own))
    together = torch.cat(boxes).detach()
    found = centred(together, wanted, places).tolist()
    total = 0.0
    for index, number in enumerate(found):
        if number == IGNORED:
            continue
        total += entropy(raw.objectness[0, index].item(), number >= 0)
        if number >= 0:
            own = int(wanted.classes[number])
            scores = raw.scores[0, index].tolist()
            total += sum(entropy(score, index == own) for index, score in enumerate(scores))
            total += 1 - complete_overlaps(together[index], wanted.boxes[number]).item()
    return total / max(1, sum(number >= 0 for number in found))


@pytest.mark.parametrize("make", [yolo_post, yolov5_post])
@pytest.mark.parametrize("objects", OBJECTS, ids=len)
def test_the_loss_of_an_image_is_its_sum_written_out(make, objects):
    post = make()
    outputs = outputs_for(post, 1, seed=4)

    found = detection_loss(post, outputs, [truth_of(objects)])

    # some hundred terms of about 1, summed in float32
    assert math.isclose(found.item(), plainly(post, outputs, objects), rel_tol=1e-5)
