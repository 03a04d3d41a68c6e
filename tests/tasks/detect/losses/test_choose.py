"""Which loss goes with a detector, and what is true of all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from intaglio.boxes import anchors, families, two_stage, yolo
from intaglio.data.truth import Category
from intaglio.errors import RequestError
from intaglio.tasks.detect.detect import Detect
from intaglio.tasks.detect.losses.choose import detection_loss, loss_of
from tasks.detect.losses.made import (
    MAPS,
    POSTS,
    SIZE,
    outputs_for,
    retinanet_post,
    ssd_post,
    tf_ssd_post,
    truth_of,
)

LARGE = [-60, -60, 120, 120, 1]
OBJECTS = [[[8, 8, 24, 24, 1], LARGE], [[20, 10, 34, 22, 2]], []]
GRIDS = anchors.point_grids(SIZE, MAPS)


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("ssd", "multibox_loss"),
        ("tf_ssd", "focal_loss"),
        ("retinanet", "focal_loss"),
        ("yolov3", "yolo_loss"),
        ("yolov5", "yolo_loss"),
        ("fcos", "fcos_loss"),
    ],
)
def test_each_kind_has_the_loss_of_its_paper(name, loss):
    assert loss_of(POSTS[name]()).__name__ == loss


@pytest.mark.parametrize(
    "post",
    [
        families.corners(SIZE, 10, classes=3),
        families.centernet(SIZE, GRIDS[0], classes=3),
        yolo.yolox(SIZE, GRIDS, classes=3),
        yolo.yolo_free(SIZE, GRIDS, classes=3),
        yolo.yolo_decoded(SIZE, 10, classes=3),
        two_stage.fast_rcnn(SIZE, classes=3),
        tf_ssd_post(activation="none"),
        replace(retinanet_post(), activation="softmax"),
    ],
    ids=lambda post: f"{post.family} {post.activation}",
)
def test_other_kinds_are_refused_by_name(post):
    with pytest.raises(RequestError, match=f"family '{post.family}'"):
        loss_of(post)


@pytest.mark.parametrize("name", POSTS)
def test_losses_are_means_over_images_whose_gradients_reach_every_output(name):
    post = POSTS[name]()
    outputs = outputs_for(post, 3)
    truths = [truth_of(objects) for objects in OBJECTS]

    whole = detection_loss(post, outputs, truths)
    whole.backward()
    each = [
        detection_loss(post, [output[n : n + 1] for output in outputs], truths[n : n + 1])
        for n in range(3)
    ]

    assert whole.shape == ()
    assert torch.allclose(whole, torch.stack(each).mean(), rtol=1e-5)  # sums in another order
    for output in outputs:
        assert bool(output.grad.isfinite().all())
    read = {part.output for level in post.levels for part in (level.scores, *level.boxes)}
    assert all(bool((outputs[number].grad != 0).any()) for number in read)


@pytest.mark.parametrize("name", POSTS)
def test_steps_against_the_gradient_make_it_smaller(name):
    post = POSTS[name]()
    outputs = outputs_for(post, 3, scale=0.1)
    truths = [truth_of(objects) for objects in OBJECTS]
    first = detection_loss(post, outputs, truths).item()

    optimizer = torch.optim.Adam(outputs, lr=0.5)
    for _ in range(25):
        optimizer.zero_grad()
        detection_loss(post, outputs, truths).backward()
        optimizer.step()

    assert detection_loss(post, outputs, truths).item() < 0.7 * first


@pytest.mark.parametrize("name", POSTS)
def test_a_batch_without_any_box_has_a_finite_loss(name):
    post = POSTS[name]()
    outputs = outputs_for(post, 2)

    loss = detection_loss(post, outputs, [truth_of([])] * 2)
    loss.backward()

    assert bool(loss.isfinite())
    assert all(bool(o.grad.isfinite().all()) for o in outputs if o.grad is not None)


def test_the_task_asks_with_its_categories_and_refuses_smoothing():
    post = ssd_post()
    outputs = outputs_for(post, 1)
    task = Detect(post, tuple(Category(n, name) for n, name in enumerate("abc")))
    own, theirs = truth_of([[8, 8, 24, 24, 2]]), truth_of([[8, 8, 24, 24, 1]])

    assert torch.equal(task.loss(outputs, [theirs]), detection_loss(post, outputs, [own]))
    with pytest.raises(RequestError, match=r"smoothing = 0\.1"):
        task.loss(outputs, [theirs], smoothing=0.1)
