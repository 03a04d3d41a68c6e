"""The loss of Faster R-CNN."""

from __future__ import annotations

import math

import pytest
import torch

from intaglio.tasks.detect.losses.coding import encoded
from intaglio.tasks.detect.losses.match import IGNORED, matched
from intaglio.tasks.detect.losses.raw import anchored, raw_numbers
from intaglio.tasks.detect.losses.two_stage import (
    BETA,
    REGION_RULE,
    Sampled,
    drawn,
    faster_rcnn_loss,
    region_loss,
)
from intaglio.zoo.faster_rcnn import fasterrcnn_mobilenet_v2_fpn
from tasks.detect.losses.made import SIZE, entropy, smooth, truth_of, wanted_boxes

OBJECTS = [[[6, 8, 40, 44, 1], [20, 30, 60, 62, 2]], [[10, 10, 30, 34, 2]]]
ALL = Sampled(anchors=10**6, anchor_share=1.0)


@pytest.fixture(scope="module")
def module():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return fasterrcnn_mobilenet_v2_fpn(3, width=0.25)


def images(count=2, seed=0):
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("objects", "nothing", "ignored", "left"),
    [(100, 200, 5, (16, 48)), (4, 200, 5, (4, 60)), (100, 10, 5, (16, 10)), (0, 3, 0, (0, 3))],
)
def test_no_more_are_drawn_than_asked_and_background_fills_the_rest(
    objects, nothing, ignored, left
):
    found = torch.tensor([*range(objects), *([-1] * nothing), *([IGNORED] * ignored)])
    torch.manual_seed(0)

    kept = drawn(found, 64, 0.25)

    assert (int((kept >= 0).sum()), int((kept == -1).sum())) == left
    at = kept != IGNORED
    assert torch.equal(kept[at], found[at])


def test_what_is_drawn_comes_from_the_generator_and_from_everywhere():
    found = torch.full((200,), -1)
    seen = torch.zeros(200, dtype=torch.bool)
    for seed in range(40):
        torch.manual_seed(seed)
        first = drawn(found, 20, 0.5)
        torch.manual_seed(seed)
        assert torch.equal(drawn(found, 20, 0.5), first)
        seen |= first != IGNORED

    # each is left out of all forty with a chance of 0.9^40 = 0.015, so of 200 a few are
    assert seen.sum() > 180


def test_the_loss_of_regions_is_its_sum_written_out(module):
    post = module.postprocess(SIZE).regions
    first, _ = module.stages()
    outputs = [output.detach() for output in first(images(1))]
    wanted = wanted_boxes(OBJECTS[0])
    raw, places = raw_numbers(post, outputs), anchored(post, outputs[0])
    found = matched(places.boxes, wanted, REGION_RULE).tolist()
    total = 0.0
    for position, number in enumerate(found):
        if number == IGNORED:
            continue
        total += entropy(raw.scores[0, position, 0].item(), number >= 0)
        if number >= 0:
            coder = post.levels[0].coder
            target = encoded(coder, wanted.boxes[number], places.boxes[position]).tolist()
            numbers = raw.boxes[0, position].tolist()
            total += sum(smooth(a - b, BETA) for a, b in zip(numbers, target, strict=True))

    loss = region_loss(post, outputs, [wanted], ALL)

    counted = sum(number != IGNORED for number in found)
    # some hundred terms of about 1, summed in float32
    assert math.isclose(loss.item(), total / counted, rel_tol=1e-5)


def test_gradients_reach_every_weight(module):
    module.zero_grad()
    torch.manual_seed(0)

    loss = faster_rcnn_loss(module, images(), [truth_of(objects) for objects in OBJECTS])
    loss.backward()

    assert loss.shape == ()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool((parameter.grad != 0).any()), name


def test_pictures_without_objects_are_all_background(module):
    loss = faster_rcnn_loss(module, images(), [truth_of([])] * 2)

    assert bool(loss.isfinite())
    assert loss > 0


def test_the_same_seed_draws_the_same(module):
    truths = [truth_of(objects) for objects in OBJECTS]
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        few = Sampled(anchors=8, regions=8)
        with torch.no_grad():
            losses.append(faster_rcnn_loss(module, images(), truths, sampled=few).item())

    assert losses[0] == losses[1] != losses[2]
