"""The focal loss, and that of RetinaNet against its sums written out."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given

from intaglio.tasks.detect.losses.choose import detection_loss
from intaglio.tasks.detect.losses.coding import encoded
from intaglio.tasks.detect.losses.focal import BETA, RULE, focal
from intaglio.tasks.detect.losses.match import IGNORED, matched
from intaglio.tasks.detect.losses.raw import anchored, raw_numbers
from tasks.detect.losses.made import (
    outputs_for,
    retinanet_post,
    smooth,
    tf_ssd_post,
    truth_of,
    wanted_boxes,
)

OBJECTS = [[[8, 8, 24, 24, 1], [30, 30, 62, 60, 0]], [[0, 0, 14, 12, 2]], []]


@given(st.floats(-30, 30), st.booleans())
def test_without_focus_it_is_half_of_the_cross_entropy(logit, yes):
    logits, wanted = torch.tensor([logit]), torch.tensor([float(yes)])

    found = focal(logits, wanted, alpha=0.5, gamma=0.0)

    assert torch.equal(found, 0.5 * F.binary_cross_entropy_with_logits(logits, wanted)[None])


@given(st.floats(-12, 12), st.booleans())
def test_it_is_what_the_paper_says(logit, yes):
    p = 1 / (1 + math.exp(-logit))
    right = p if yes else 1 - p
    alpha = 0.25 if yes else 0.75

    found = focal(torch.tensor([logit], dtype=torch.float64), torch.tensor([float(yes)]).double())

    # 1 - p loses digits where p is near 1, in the plain form
    expected = -alpha * (1 - right) ** 2 * math.log(right)
    assert math.isclose(found.item(), expected, rel_tol=1e-6, abs_tol=1e-14)


def test_logits_of_any_size_have_finite_gradients():
    logits = torch.tensor([-500.0, -90.0, 0.0, 90.0, 500.0], requires_grad=True)
    for yes in (0.0, 1.0):
        focal(logits, torch.full_like(logits, yes)).sum().backward()
        assert bool(logits.grad.isfinite().all())


def plainly(post, outputs, objects):
    raw, places = raw_numbers(post, outputs), anchored(post, outputs[0])
    wanted = wanted_boxes(objects)
    found = matched(places.boxes, wanted, RULE).tolist()
    total = 0.0
    for position, number in enumerate(found):
        if number == IGNORED:
            continue
        for index, score in enumerate(raw.scores[0, position].tolist()):
            yes = number >= 0 and index == int(wanted.classes[number])
            p = 1 / (1 + math.exp(-score))
            right, alpha = (p, 0.25) if yes else (1 - p, 0.75)
            total -= alpha * (1 - right) ** 2 * math.log(right)
        if number >= 0:
            coder = post.levels[0].coder
            target = encoded(coder, wanted.boxes[number], places.boxes[position]).tolist()
            numbers = raw.boxes[0, position].tolist()
            total += sum(smooth(a - b, BETA) for a, b in zip(numbers, target, strict=True))
    return total / max(1, sum(number >= 0 for number in found))


@pytest.mark.parametrize("objects", OBJECTS, ids=len)
def test_the_loss_of_an_image_is_its_sum_written_out(objects):
    post = retinanet_post()
    outputs = outputs_for(post, 1, seed=2)

    found = detection_loss(post, outputs, [truth_of(objects)])

    # some thousand terms of about 0.1, summed in float32
    assert math.isclose(found.item(), plainly(post, outputs, objects), rel_tol=1e-5)


def test_positions_between_background_and_object_do_not_count():
    post = retinanet_post()
    outputs = outputs_for(post, 1)
    objects = OBJECTS[0]

    detection_loss(post, outputs, [truth_of(objects)]).backward()

    found = matched(anchored(post, outputs[0]).boxes, wanted_boxes(objects), RULE)
    scores = raw_numbers(post, [output.grad for output in outputs]).scores[0]
    assert bool((found == IGNORED).any())
    assert torch.equal((scores != 0).all(1), found != IGNORED)


def test_a_background_under_sigmoids_teaches_nothing_and_changes_nothing():
    post = tf_ssd_post()
    outputs = outputs_for(post, 1)
    with torch.no_grad():
        others = [output.clone() for output in outputs]
        raw_numbers(post, others).scores[..., post.background] += 7.0
    truths = [truth_of([[8, 8, 24, 24, 1], [30, 30, 62, 60, 3]])]

    found = detection_loss(post, outputs, truths)
    found.backward()

    scores = raw_numbers(post, [output.grad for output in outputs]).scores[0]
    assert torch.equal(found.detach(), detection_loss(post, others, truths).detach())
    assert not bool(scores[:, post.background].any())
    assert bool(scores[:, 1:].any(0).all())
