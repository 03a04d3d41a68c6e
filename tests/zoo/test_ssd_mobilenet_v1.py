"""SSD MobileNetV1: counts, and the file's operators run one by one as a second computation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.testing import assert_close

from intaglio import capture
from intaglio.boxes.places import anchors_at
from intaglio.errors import RequestError
from intaglio.run.float import run_float
from intaglio.store.weights import load_weights
from intaglio.zoo.catalog import ZOO
from intaglio.zoo.ssd_mobilenet_v1 import ssd_mobilenet_v1

WEIGHTS = "weights/ssd_mobilenet_v1_coco_300_dequant.safetensors"
GRAPH = "weights/ssd_mobilenet_v1_coco_300_dequant.graph.json"


@pytest.fixture
def small():
    torch.manual_seed(0)
    return ssd_mobilenet_v1(0.25, 5).eval()


@pytest.fixture
def trained(data_pack):
    network = ssd_mobilenet_v1().eval()
    load_weights(network, data_pack / WEIGHTS, layouts=ZOO["ssd_mobilenet_v1"].layouts)
    return network


@pytest.fixture
def picture(data_pack):
    """One picture of COCO, made as the network takes it: [1, 3, 300, 300]."""
    path = min((data_pack / "coco128" / "images").iterdir())
    image = Image.open(path).convert("RGB").resize((300, 300), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 127.5 - 1


def of_graph(graph, weights, images, *, clamps: bool) -> tuple[Tensor, Tensor]:
    """Return boxes and scores, each operator of the file by itself, maps as [N, H, W, C].

    With `clamps`, each value is held within the range that the file's 8 bits have; else a range
    that begins at 0 is read as ReLU6, and the others are left out.
    """
    made = {graph["inputs"][0]["id"]: images.permute(0, 2, 3, 1)}
    for one in graph["ops"]:
        if one["op"] == "custom":
            boxes, scores = (made[number] for number in one["in"][:2])
            return boxes, scores
        made[one["out"][0]] = _operator(one, weights, made, clamps)
    raise AssertionError("no custom operator at the end")


def _operator(one, weights, made, clamps) -> Tensor:
    first = made[one["in"][0]]
    if one["op"] == "reshape":
        return first.reshape(first.shape[0], *one["shape"][1:])
    if one["op"] == "concatenation":
        return torch.cat([made[number] for number in one["in"]], one["axis"])
    if one["op"] == "logistic":
        return first.sigmoid()
    weight, bias = (weights[place["const"]] for place in one["in"][1:])
    size, stride, kernel = first.shape[1], one["stride"][0], weight.shape[2]
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    padded = F.pad(first.permute(0, 3, 1, 2), (total // 2, total - total // 2) * 2)
    groups = first.shape[3] if one["op"] == "depthwise_conv_2d" else 1
    out = F.conv2d(padded, weight, bias, stride=stride, groups=groups)
    low, high = one["clamp"]
    if one["act"] == "relu6" or (low == 0 and not clamps):
        out = out.clamp(0, 6)
    return (out.clamp(low, high) if clamps else out).permute(0, 2, 3, 1)


def test_it_has_the_parameters_of_the_file():
    network = ssd_mobilenet_v1()

    assert sum(parameter.numel() for parameter in network.parameters()) == 4_101_231
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 47
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_the_file_has_these_parameters_and_its_anchors(data_pack):
    file = load_file(data_pack / WEIGHTS)

    assert sum(tensor.numel() for tensor in file.values()) == 4_101_231 + 1917 * 4


def in_rows(outputs) -> tuple[Tensor, Tensor]:
    """Return boxes [N, P, 4] and scores [N, P, classes], as a TensorFlow Lite file has them."""
    half = len(outputs) // 2
    anchors = (3, 6, 6, 6, 6, 6)
    rows = [
        one.permute(0, 2, 3, 1).reshape(len(one), -1, one.shape[1] // count)
        for one, count in zip(outputs, anchors * 2, strict=True)
    ]
    return torch.cat(rows[:half], 1), torch.cat(rows[half:], 1)


def test_300_pixels_make_1917_boxes(small):
    boxes, scores = in_rows(small(torch.zeros(2, 3, 300, 300)))

    assert boxes.shape == (2, 1917, 4)
    assert scores.shape == (2, 1917, 5)
    places = [level.places.count for level in small.postprocess((300, 300)).levels]
    assert places == [19 * 19 * 3, 10 * 10 * 6, 5 * 5 * 6, 3 * 3 * 6, 2 * 2 * 6, 6]


@pytest.mark.parametrize("size", [(300, 300), (320, 320), (200, 333)])
def test_boxes_and_places_are_as_many_at_any_size(small, size):
    boxes, _ = in_rows(small(torch.zeros(1, 3, *size)))

    assert boxes.shape[1] == sum(level.places.count for level in small.postprocess(size).levels)


def test_with_the_public_weights_it_is_the_file_operator_by_operator(data_pack, trained, picture):
    graph = json.loads((data_pack / GRAPH).read_text())

    with torch.no_grad():
        boxes, scores = in_rows(trained(picture))
        theirs = of_graph(graph, load_file(data_pack / WEIGHTS), picture, clamps=True)
    ours = boxes, scores.sigmoid()

    for our, their in zip(ours, theirs, strict=True):
        assert_close(our, their.reshape(our.shape), rtol=0, atol=1e-3)  # its ranges end at 5.9998


def test_the_ends_of_the_files_ranges_are_relu6_and_little_else(data_pack, trained, picture):
    graph = json.loads((data_pack / GRAPH).read_text())

    with torch.no_grad():
        ours = in_rows(trained(picture))[1].sigmoid()
        _, theirs = of_graph(graph, load_file(data_pack / WEIGHTS), picture, clamps=True)

    # the ranges end at a score of sigmoid(1.2) to sigmoid(1.6), at which ours may go on
    sure = theirs > 0.65
    assert (ours >= theirs - 0.02)[sure].all()
    assert (ours - theirs)[~sure].abs().max() < 0.02


def test_places_are_the_files_anchors_but_for_its_8_bits(data_pack):
    file = load_file(data_pack / WEIGHTS)["anchors"].numpy()  # (yc, xc, h, w), parts of a side
    step = np.diff(np.unique(file)).min()
    post = ssd_mobilenet_v1().postprocess((300, 300))

    found = [anchors_at(level.places, np.arange(level.places.count)) for level in post.levels]
    corners = np.concatenate([one.boxes for one in found]) / 300
    left, top, right, bottom = corners.T
    ours = np.stack([(top + bottom) / 2, (left + right) / 2, bottom - top, right - left], 1)

    assert np.abs(ours - file).max() <= step / 2 + 1e-6  # and float32's rounding


def test_a_capture_computes_the_same_bits(small):
    images = torch.rand(2, 3, 96, 96)

    found = run_float(capture(small, images[:1]), images)

    with torch.no_grad():
        expected = small(images)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_norms_stand_behind_all_convolutions_but_the_predictions():
    network = ssd_mobilenet_v1(0.25, batch_norm=True)

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 47 - 12
    assert {norm.eps for norm in norms} == {1e-3}
    biased = [
        n for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.bias is not None
    ]
    assert all(name.startswith(("boxes.", "scores.")) for name in biased)


def test_the_outputs_of_different_images_differ_and_are_finite(small):
    with torch.no_grad():
        outputs = small(torch.randn(2, 3, 96, 96))

    for one in outputs:
        assert one.isfinite().all()
        assert (one[0] - one[1]).std() > 0.01 * one.std()


def test_a_width_that_leaves_a_layer_no_channel_is_refused():
    with pytest.raises(RequestError, match="leaves the first layer no channel"):
        ssd_mobilenet_v1(width=0.03)


@pytest.mark.parametrize("classes", [0, -1, True, 2.5])
def test_a_class_count_below_one_is_refused(classes):
    with pytest.raises(RequestError, match="ssd_mobilenet_v1: num_classes must be"):
        ssd_mobilenet_v1(num_classes=classes)
