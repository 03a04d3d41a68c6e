"""Faster R-CNN: torchvision's counts, keys and shapes; both stages against the NumPy room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import intaglio
from intaglio.boxes import regions as numpy_regions
from intaglio.errors import RequestError
from intaglio.run.float import run_float
from intaglio.zoo.faster_rcnn import (
    FasterRcnn,
    fasterrcnn_mobilenet_v2_fpn,
    fasterrcnn_mobilenet_v3_large_320_fpn,
    fasterrcnn_mobilenet_v3_large_fpn,
)
from intaglio.zoo.frozen_norm import FrozenNorm
from zoo.torchvision_keys import digest

BUILDS = [
    fasterrcnn_mobilenet_v2_fpn,
    fasterrcnn_mobilenet_v3_large_fpn,
    fasterrcnn_mobilenet_v3_large_320_fpn,
]
SIDE = 128


@pytest.fixture(scope="module")
def lively() -> FasterRcnn:
    """A network whose random weights find several things."""
    torch.manual_seed(0)
    return fasterrcnn_mobilenet_v3_large_320_fpn(4, width=0.25).eval()


@pytest.mark.parametrize(
    ("build", "parameters", "keys"),
    [
        (fasterrcnn_mobilenet_v3_large_fpn, 19_386_354, "03a271adbe12d3ac"),
        (fasterrcnn_mobilenet_v3_large_320_fpn, 19_386_354, "03a271adbe12d3ac"),
        # FasterRCNN(mobilenet_backbone("mobilenet_v2", fpn=True)) with the same anchors
        (fasterrcnn_mobilenet_v2_fpn, 18_710_482, "2f27acb30092f37e"),
    ],
)
def test_parameters_keys_and_shapes_are_torchvisions(build, parameters, keys):
    with torch.device("meta"):
        network = build()

    # without the norms, which are frozen, as in torchvision's trained ones
    assert sum(weight.numel() for weight in network.parameters()) == parameters
    assert digest(network) == keys


def test_norms_of_mobilenet_v3_have_the_epsilon_of_torchvisions_frozen_ones():
    with torch.device("meta"):
        network = fasterrcnn_mobilenet_v3_large_fpn()

    norms = [m for m in network.modules() if isinstance(m, FrozenNorm)]
    assert len(norms) == 46
    assert {norm.eps for norm in norms} == {1e-5}


@pytest.mark.parametrize(
    ("build", "count"), [(BUILDS[0], 1000), (BUILDS[1], 1000), (BUILDS[2], 150)]
)
def test_what_is_kept_is_what_torchvision_keeps(build, count):
    with torch.device("meta"):
        post = build(width=0.25).postprocess((320, 320))

    regions, head = post.regions, post.head
    assert (regions.select.most, regions.most, regions.suppress.overlap) == (count, count, 0.7)
    assert (regions.select.above, regions.smallest) == (0.05, 1e-3)
    assert (head.select.above, head.most, head.suppress.overlap) == (0.05, 100, 0.5)
    assert (head.classes, head.background, head.smallest) == (91, 0, 1e-2)
    assert [len(level.places.anchors) for level in regions.levels] == [15, 15, 15]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("size", [(320, 320), (96, 200)])
def test_the_first_stage_has_maps_then_objectness_then_deltas_where_the_postprocess_says(
    build, size
):
    with torch.device("meta"):
        network = build(width=0.25).eval()
        first, _ = network.stages()
        outputs = first(torch.empty(2, 3, *size))

    post = network.postprocess(size)
    shapes = [tuple(output.shape) for output in outputs]
    assert len(shapes) == 8
    for level in post.regions.levels:
        rows, columns = level.places.rows, level.places.columns
        assert shapes[level.scores.output] == (2, 15, rows, columns)
        assert shapes[level.boxes[0].output] == (2, 60, rows, columns)
    assert [shapes[output][1] for output in post.pooling.maps] == [256, 256]


def test_the_whole_is_its_two_stages_with_the_numpy_room_between_them(lively):
    images = torch.randn(2, 3, SIDE, SIDE)
    post = lively.postprocess((SIDE, SIDE))
    with torch.no_grad():
        whole = lively(images)
        first, second = lively.stages()
        outputs = [one.numpy() for one in first(images)]
        boxes = numpy_regions.proposals(post.regions, outputs)
        # all regions are cut out of the first of two maps of one level, as torchvision does
        first_map = replace(post.pooling, maps=(0,))
        cut = numpy_regions.pooled_regions(first_map, outputs, boxes, (SIDE, SIDE))
        numbers = [one.numpy() for one in second(torch.from_numpy(cut))]

    found = numpy_regions.region_detections(post.head, numbers, boxes)

    assert sum(len(one) for one in found) >= 4  # there is something to compare
    for ours, theirs in zip(whole, found, strict=True):
        np.testing.assert_array_equal(ours["labels"].numpy(), theirs.classes)
        # float32, sums in another order: 1e-3 of a pixel, 1e-4 of a score
        assert_close(ours["boxes"].numpy(), theirs.boxes, rtol=0, atol=1e-3)
        assert_close(ours["scores"].numpy(), theirs.scores, rtol=0, atol=1e-4)


def test_what_is_found_lies_in_the_image_surest_first_and_is_no_background(lively):
    with torch.no_grad():
        found = lively(torch.randn(2, 3, 96, SIDE))

    for one in found:
        scores, boxes = one["scores"], one["boxes"]
        assert len(scores) == len(boxes) == len(one["labels"]) <= 100
        assert (scores > 0.05).all()
        assert (scores.diff() <= 0).all()
        assert ((one["labels"] >= 1) & (one["labels"] < 4)).all()
        assert (boxes >= 0).all()
        assert (boxes[:, [0, 2]] <= SIDE).all()
        assert (boxes[:, [1, 3]] <= 96).all()


def test_an_image_is_found_the_same_alone_and_in_a_batch(lively):
    images = torch.randn(2, 3, SIDE, SIDE)

    with torch.no_grad():
        together, alone = lively(images), lively(images[1:])

    # convolutions of another batch may sum in another order
    assert_close(together[1], alone[0], rtol=1e-3, atol=1e-3)


def test_no_proposal_is_no_detection():
    network = fasterrcnn_mobilenet_v2_fpn(3, width=0.25).eval()
    torch.nn.init.constant_(network.rpn.head.cls_logits.bias, -50.0)

    with torch.no_grad():
        found = network(torch.zeros(1, 3, 64, 64))

    assert {key: tuple(value.shape) for key, value in found[0].items()} == {
        "boxes": (0, 4),
        "labels": (0,),
        "scores": (0,),
    }


def test_gradients_of_what_is_found_reach_the_body_but_not_the_proposals(lively):
    found = lively(torch.randn(1, 3, SIDE, SIDE))

    found[0]["scores"].sum().backward()

    gradients = {key: p.grad for key, p in lively.named_parameters()}
    lively.zero_grad(set_to_none=True)
    assert gradients["backbone.body.0.0.weight"].abs().max() > 0
    assert gradients["rpn.head.bbox_pred.weight"] is None


@pytest.mark.parametrize("build", [BUILDS[0], BUILDS[2]])
def test_both_captured_stages_are_the_stages_bit_for_bit(build):
    torch.manual_seed(0)
    stages = build(4, width=0.25).eval().stages()
    inputs = (torch.randn(2, 3, 64, 64), torch.randn(5, 256, 7, 7))

    for stage, numbers in zip(stages, inputs, strict=True):
        outputs = run_float(intaglio.capture(stage, numbers[:1]), numbers)

        with torch.no_grad():
            expected = stage(numbers)
        assert len(outputs) == len(expected)
        assert all(torch.equal(a, b) for a, b in zip(outputs, expected, strict=True))


@pytest.mark.parametrize("build", BUILDS)
def test_widths_and_class_counts_that_make_no_sense_are_refused(build):
    with pytest.raises(RequestError, match=f"{build.__name__}: width must be a number above 0"):
        build(width=0)
    with pytest.raises(RequestError, match=f"{build.__name__}: num_classes must be an integer"):
        build(num_classes=True)
