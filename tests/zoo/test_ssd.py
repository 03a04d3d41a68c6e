"""SSD and SSDLite: torchvision's counts, keys and shapes, boxes, capture."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

import intaglio
from intaglio.errors import RequestError
from intaglio.run.float import run_float
from intaglio.zoo.padding import Conv2dSame
from intaglio.zoo.ssd import CONV4_3, ssd300_vgg16
from intaglio.zoo.ssdlite import ssdlite320_mobilenet_v3_large, ssdlite_mobilenet_v2
from zoo.torchvision_keys import digest

NETWORKS = {
    "ssdlite320_mobilenet_v3_large": (ssdlite320_mobilenet_v3_large, 320),
    "ssd300_vgg16": (ssd300_vgg16, 300),
    "ssdlite_mobilenet_v2": (ssdlite_mobilenet_v2, 320),
}
BOXES = {
    "ssdlite320_mobilenet_v3_large": 3234,
    "ssd300_vgg16": 8732,
    "ssdlite_mobilenet_v2": 3234,
}


@pytest.mark.parametrize(
    ("name", "parameters", "keys"),
    [
        ("ssdlite320_mobilenet_v3_large", 3_440_060, "9a051e57b135f563"),
        ("ssd300_vgg16", 35_641_826, "22309163fabc4f6c"),
    ],
)
def test_parameters_keys_and_shapes_are_torchvisions(name, parameters, keys):
    with torch.device("meta"):
        network = NETWORKS[name][0]()

    assert sum(weight.numel() for weight in network.parameters()) == parameters
    assert digest(network) == keys


@pytest.mark.parametrize("name", NETWORKS)
def test_each_level_has_a_map_of_boxes_and_one_of_scores_at_the_places_of_the_postprocess(name):
    build, side = NETWORKS[name]
    with torch.device("meta"):
        network = build(num_classes=7).eval()
        outputs = network(torch.empty(2, 3, side, side))

    post = network.postprocess((side, side))
    places = [level.places for level in post.levels]
    assert sum(place.count for place in places) == BOXES[name]
    sizes = [(len(place.anchors), place.rows, place.columns) for place in places]
    boxes = [(2, boxes * 4, rows, columns) for boxes, rows, columns in sizes]
    scores = [(2, boxes * 7, rows, columns) for boxes, rows, columns in sizes]
    assert [tuple(output.shape) for output in outputs] == boxes + scores


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("ssd300_vgg16", (277, 330)),
        ("ssdlite320_mobilenet_v3_large", (97, 200)),
        ("ssdlite_mobilenet_v2", (97, 200)),
    ],
)
def test_the_postprocess_knows_the_maps_of_images_that_are_not_square(name, size):
    with torch.device("meta"):
        network = NETWORKS[name][0](num_classes=2, width=0.25).eval()
        outputs = network(torch.empty(1, 3, *size))

    places = [level.places for level in network.postprocess(size).levels]
    maps = [tuple(output.shape[2:]) for output in outputs]
    assert [(place.rows, place.columns) for place in places] * 2 == maps


@pytest.mark.parametrize(
    ("name", "thresholds"),
    [
        ("ssdlite320_mobilenet_v3_large", (0.001, 300, 0.55, 300)),
        ("ssd300_vgg16", (0.01, 400, 0.45, 200)),
    ],
)
def test_what_is_kept_is_what_torchvision_keeps(name, thresholds):
    build, side = NETWORKS[name]
    with torch.device("meta"):
        post = build(width=0.25).postprocess((side, side))

    assert (post.select.above, post.select.most, post.suppress.overlap, post.most) == thresholds
    assert (post.activation, post.background, post.classes) == ("softmax", 0, 91)


def test_ssdlites_norms_have_torchvisions_constants():
    norms = [m for m in ssdlite320_mobilenet_v3_large(width=0.25).modules() if is_norm(m)]

    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.03)}


@pytest.mark.parametrize(("backbone", "eps"), [("mobilenet_v2", 1e-5), ("mobilenet_v2_tf", 1e-3)])
def test_the_body_has_the_epsilon_of_its_lineage_and_what_is_new_has_ssdlites(backbone, eps):
    network = ssdlite_mobilenet_v2(width=0.25, backbone=backbone)

    parts = (network.backbone.features, network.backbone.extra, network.head)
    found = [{m.eps for m in part.modules() if is_norm(m)} for part in parts]
    assert found == [{eps}, {1e-3}, {1e-3}]
    strided = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert len(strided) == 5 + 4
    same = backbone == "mobilenet_v2_tf"
    assert all(isinstance(m, Conv2dSame) == same for m in strided)


def is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm2d)


def test_a_prediction_is_depthwise_with_relu6_then_pointwise_with_neither_norm_nor_activation():
    predictor = ssdlite_mobilenet_v2(width=0.25).head.regression_head.module_list[1]

    kinds = [type(m).__name__ for m in predictor.modules() if not isinstance(m, nn.Sequential)]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU6", "Conv2d"]
    assert predictor[0][0].groups == predictor[0][0].in_channels


def test_cells_of_ssd300s_first_map_have_the_norm_of_their_weights():
    torch.manual_seed(0)
    backbone = ssd300_vgg16(width=0.1).backbone.eval()
    nn.init.uniform_(backbone.scale_weight, 1.0, 30.0)
    images = torch.randn(1, 3, 272, 272)

    with torch.no_grad():
        first = backbone(images)[0]
        before = backbone.features(images)

    expected = F.normalize(before) * backbone.scale_weight.view(1, -1, 1, 1)
    assert_close(first, expected, rtol=1e-5, atol=1e-5)  # float32: another order of sums
    assert len(backbone.features) == CONV4_3


def test_a_cell_of_zeros_stays_zeros():
    backbone = ssd300_vgg16(width=0.1).backbone.eval()

    with torch.no_grad():
        first = backbone(torch.zeros(1, 3, 272, 272))[0]  # no layer has a bias but 0

    assert not first.any()


def test_an_image_too_small_for_all_maps_is_refused():
    network = ssd300_vgg16(width=0.1)

    with pytest.raises(ValueError, match="rows of a grid"):
        network.postprocess((160, 300))


CAPTURED = {
    "ssdlite320_mobilenet_v3_large": (lambda: ssdlite320_mobilenet_v3_large(5, width=0.25), 64),
    "ssdlite_mobilenet_v2": (lambda: ssdlite_mobilenet_v2(5, width=0.25), 64),
    "ssdlite_mobilenet_v2_tf": (
        lambda: ssdlite_mobilenet_v2(5, width=0.25, backbone="mobilenet_v2_tf"),
        72,  # odd maps, whose padding is symmetric, and even ones, whose is not
    ),
    "ssd300_vgg16": (lambda: ssd300_vgg16(5, width=0.1), 300),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_a_captured_network_is_the_network_bit_for_bit(name):
    torch.manual_seed(0)
    build, side = CAPTURED[name]
    network = build().eval()
    images = torch.randn(2, 3, side, side)

    outputs = run_float(intaglio.capture(network, images[:1]), images)

    with torch.no_grad():
        expected = network(images)
    assert len(outputs) == len(expected) == 12
    assert all(torch.equal(a, b) for a, b in zip(outputs, expected, strict=True))
    deviations = [float((one[0] - one[1]).std()) for one in expected if one[0].numel() > 1]
    assert all(1e-4 < deviation < 100 for deviation in deviations)  # neither dead nor overflowing


@pytest.mark.parametrize("name", NETWORKS)
def test_widths_and_class_counts_that_make_no_sense_are_refused(name):
    build, _ = NETWORKS[name]

    with pytest.raises(RequestError, match=f"{name}: width must be a number above 0"):
        build(width=0)
    with pytest.raises(RequestError, match=f"{name}: num_classes must be an integer"):
        build(num_classes=0)
