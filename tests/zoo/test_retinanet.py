"""RetinaNet: torchvision's counts, keys and shapes, anchors, capture."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import intaglio
from intaglio.errors import RequestError
from intaglio.run.float import run_float
from intaglio.zoo.frozen_norm import FrozenNorm
from intaglio.zoo.retinanet import retinanet_mobilenet_v2_fpn, retinanet_resnet50_fpn
from zoo.torchvision_keys import digest


def test_parameters_keys_and_shapes_are_torchvisions():
    with torch.device("meta"):
        network = retinanet_resnet50_fpn()

    # without the norms, which are frozen, as in torchvision's trained one
    assert sum(weight.numel() for weight in network.parameters()) == 34_014_999
    assert digest(network) == "abeb608050ce4785"


def test_every_norm_is_frozen_with_the_epsilon_that_is_asked_for():
    with torch.device("meta"):
        network = retinanet_resnet50_fpn(norm_eps=0.0)

    norms = [m for m in network.modules() if isinstance(m, FrozenNorm)]
    assert len(norms) == 53
    assert {norm.eps for norm in norms} == {0.0}
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


@pytest.mark.parametrize("build", [retinanet_resnet50_fpn, retinanet_mobilenet_v2_fpn])
@pytest.mark.parametrize("size", [(320, 320), (100, 260)])
def test_each_level_has_a_map_of_boxes_and_one_of_scores_at_the_places_of_the_postprocess(
    build, size
):
    with torch.device("meta"):
        network = build(num_classes=3).eval()
        outputs = network(torch.empty(2, 3, *size))

    places = [level.places for level in network.postprocess(size).levels]
    maps = [(place.rows, place.columns) for place in places]
    assert len(maps) == 5
    assert {len(place.anchors) for place in places} == {9}
    expected = [(2, 9 * 4, *one) for one in maps] + [(2, 9 * 3, *one) for one in maps]
    assert [tuple(output.shape) for output in outputs] == expected


def test_what_is_kept_is_what_torchvision_keeps():
    with torch.device("meta"):
        post = retinanet_mobilenet_v2_fpn(width=0.25).postprocess((320, 320))

    kept = (post.select.above, post.select.most, post.suppress.overlap, post.most)
    assert kept == (0.05, 1000, 0.5, 300)
    assert (post.activation, post.background, post.classes) == ("sigmoid", None, 91)
    sides = [a[2] - a[0] for a in post.levels[0].places.anchors[3:6]]  # the ratio 1
    assert sides == [32, 40, 50]


def test_an_untrained_network_gives_every_box_about_a_hundredth():
    torch.manual_seed(0)
    network = retinanet_mobilenet_v2_fpn(num_classes=2, width=0.25).eval()

    with torch.no_grad():
        scores = network(torch.randn(1, 3, 64, 64))[5].sigmoid()

    bias = network.head.classification_head.cls_logits.bias
    assert float(bias[0].detach()) == pytest.approx(-math.log(99), abs=1e-4)
    assert 0.005 < float(scores.mean()) < 0.02  # the other summand is around zero and about 0.3


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "mobilenet_v2_tf"])
def test_the_pyramid_stands_on_the_last_layers_of_three_strides(backbone):
    with torch.device("meta"):
        body = retinanet_mobilenet_v2_fpn(backbone=backbone).backbone.body
        maps = body(torch.empty(1, 3, 96, 96))

    shapes = [tuple(one.shape[1:]) for one in maps]
    assert shapes == [(32, 12, 12), (96, 6, 6), (1280, 3, 3)]
    eps = {"mobilenet_v2": 1e-5, "mobilenet_v2_tf": 1e-3}[backbone]
    assert {m.eps for m in body.modules() if isinstance(m, FrozenNorm)} == {eps}


@pytest.mark.parametrize(
    ("build", "side"),
    [
        (lambda: retinanet_mobilenet_v2_fpn(3, width=0.25), 64),
        # maps of 13, 7 and 4 pixels: enlarged by no whole number
        (lambda: retinanet_mobilenet_v2_fpn(3, width=0.25, backbone="mobilenet_v2_tf"), 100),
        (lambda: retinanet_resnet50_fpn(3, width=0.25), 33),
    ],
)
def test_a_captured_network_is_the_network_bit_for_bit(build, side):
    torch.manual_seed(0)
    network = build().eval()
    images = torch.randn(2, 3, side, side)

    outputs = run_float(intaglio.capture(network, images[:1]), images)

    with torch.no_grad():
        expected = network(images)
    assert len(outputs) == len(expected) == 10
    assert all(torch.equal(a, b) for a, b in zip(outputs, expected, strict=True))
    assert all(float((one[0] - one[1]).abs().max()) > 1e-4 for one in expected)  # none is dead


def test_widths_and_class_counts_that_make_no_sense_are_refused():
    for build in (retinanet_mobilenet_v2_fpn, retinanet_resnet50_fpn):
        with pytest.raises(RequestError, match=r"retinanet_.*_fpn: width must be"):
            build(width=-1)
        with pytest.raises(RequestError, match=r"retinanet_.*_fpn: num_classes must be"):
            build(num_classes=0)
