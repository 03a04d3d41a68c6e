"""The loss of SSD, against its sums written out."""

from __future__ import annotations

import math

import pytest
import torch

from intaglio.tasks.detect.losses.choose import detection_loss
from intaglio.tasks.detect.losses.coding import encoded
from intaglio.tasks.detect.losses.match import matched
from intaglio.tasks.detect.losses.multibox import NEGATIVES, RULE, multibox_loss, worst
from intaglio.tasks.detect.losses.raw import anchored, raw_numbers
from tasks.detect.losses.made import (
    log_softmax,
    outputs_for,
    raw_of,
    smooth,
    ssd_post,
    tf_ssd_post,
    truth_of,
    wanted_boxes,
)

OBJECTS = [
    [[8, 8, 24, 24, 1], [30, 30, 62, 60, 3], [28, 30, 60, 62, 2]],
    [[0, 0, 14, 12, 2]],
    [],
]


def plainly(post, outputs, objects):
    """The loss of one image, a position at a time."""
    raw, places = raw_numbers(post, outputs), anchored(post, outputs[0])
    wanted = wanted_boxes(objects)
    found = matched(places.boxes, wanted, RULE).tolist()
    total, negatives = 0.0, []
    for position, number in enumerate(found):
        scores = raw.scores[0, position].tolist()
        own = 0 if number < 0 else int(wanted.classes[number])
        loss = -log_softmax(scores)[own]
        if number < 0:
            negatives.append(loss)
            continue
        coder = post.levels[0].coder
        target = encoded(coder, wanted.boxes[number], places.boxes[position]).tolist()
        numbers = raw.boxes[0, position].tolist()
        total += loss + sum(smooth(a - b, 1.0) for a, b in zip(numbers, target, strict=True))
    positives = max(1, sum(number >= 0 for number in found))
    total += sum(sorted(negatives, reverse=True)[: NEGATIVES * positives])
    return total / positives


@pytest.mark.parametrize("objects", OBJECTS, ids=len)
def test_the_loss_of_an_image_is_its_sum_written_out(objects):
    post = ssd_post()
    outputs = outputs_for(post, 1, seed=3)

    found = detection_loss(post, outputs, [truth_of(objects)])

    # a few hundred terms of about 1, summed in float32
    assert math.isclose(found.item(), plainly(post, outputs, objects), rel_tol=1e-5)


@pytest.mark.parametrize("make", [ssd_post, tf_ssd_post])
def test_the_loss_of_a_batch_is_the_mean_over_its_images(make):
    """So that processes that share a batch out, each by its images, have the whole one's."""
    post = make()
    outputs = outputs_for(post, 3)
    truths = [truth_of(objects) for objects in OBJECTS]

    whole = detection_loss(post, outputs, truths)
    each = [
        detection_loss(post, [output[n : n + 1] for output in outputs], truths[n : n + 1])
        for n in range(3)
    ]

    assert torch.allclose(whole, torch.stack(each).mean(), rtol=1e-6)


def test_three_negatives_count_for_each_positive_and_they_are_the_worst():
    each = torch.tensor([[5.0, 1, 4, 3, 2, 9, 8, 7]])
    allowed = torch.tensor([[True] * 5 + [False] * 3])

    assert worst(each, allowed, torch.tensor([3])).nonzero()[:, 1].tolist() == [0, 2, 3]
    assert worst(each, allowed, torch.tensor([99])).sum() == 5


@pytest.mark.parametrize("objects", OBJECTS, ids=len)
def test_gradients_reach_three_negatives_for_each_positive(objects):
    post = ssd_post()
    outputs = outputs_for(post, 1)

    detection_loss(post, outputs, [truth_of(objects)]).backward()

    places = anchored(post, outputs[0])
    positives = int((matched(places.boxes, wanted_boxes(objects), RULE) >= 0).sum())
    scores = raw_numbers(post, [output.grad for output in outputs]).scores[0]
    boxes = raw_numbers(post, [output.grad for output in outputs]).boxes[0]
    counted = int((scores != 0).any(1).sum())
    assert counted == positives + NEGATIVES * max(1, positives)
    assert int((boxes != 0).any(1).sum()) == positives


def test_a_network_that_is_right_and_sure_has_no_loss():
    post = ssd_post()
    outputs = outputs_for(post, 1)
    places = anchored(post, outputs[0])
    wanted = wanted_boxes(OBJECTS[0])
    found = matched(places.boxes, wanted, RULE)
    classes = torch.where(found >= 0, wanted.classes[found.clamp(min=0)], 0)
    scores = 50.0 * torch.nn.functional.one_hot(classes, post.classes)
    boxes = encoded(post.levels[0].coder, wanted.boxes[found.clamp(min=0)], places.boxes)

    assert multibox_loss(post, raw_of(boxes[None], scores[None]), places, [wanted]) == 0


def test_a_crowd_is_no_object_and_no_background():
    post = ssd_post()
    outputs = outputs_for(post, 1)
    crowd = truth_of([[-64, -64, 128, 128, 1]], crowd=[0])

    assert detection_loss(post, outputs, [crowd]) == 0
