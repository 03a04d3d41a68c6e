"""YOLOv3-Nano: counts, and the darknet file's layers run one by one as a second computation."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.testing import assert_close

from intaglio import capture
from intaglio.errors import RequestError
from intaglio.run.float import run_float
from intaglio.store.weights import load_weights
from intaglio.zoo.catalog import ZOO
from intaglio.zoo.yolov3_nano import Bottleneck, yolov3_nano_mobilenet_v2

WEIGHTS = "weights/mobilenetv2_yolov3_nano_coco.safetensors"
LAYERS = "weights/mobilenetv2_yolov3_nano_coco.layers.json"


@pytest.fixture
def small():
    """A quarter of the width, 4 classes."""
    torch.manual_seed(0)
    return yolov3_nano_mobilenet_v2(0.25, 4).eval()


@pytest.fixture
def trained(data_pack):
    network = yolov3_nano_mobilenet_v2().eval()
    load_weights(network, data_pack / WEIGHTS, layouts=ZOO["yolov3_nano_mobilenet_v2"].layouts)
    return network


def of_darknet(layers: list[dict[str, str]], weights: dict[str, Tensor], images: Tensor):
    """Return what the [yolo] layers of a darknet file get; its layers one by one, by number."""
    made, found = [], []
    for number, layer in enumerate(layers):
        made.append(_one_layer(number, layer, weights, [images, *made]))
        if layer["type"] == "yolo":
            found.append(made[-1])
    return found


def _one_layer(number, layer, weights, made) -> Tensor:
    above, kind = made[-1], layer["type"]  # made[k + 1] is layer k
    if kind == "convolutional":
        return _convolution(number, layer, weights, above)
    if kind == "shortcut":
        return above + made[int(layer["from"])]
    if kind == "maxpool":
        size = int(layer["size"])
        return F.max_pool2d(above, size, int(layer["stride"]), size // 2)
    if kind == "upsample":
        return above.repeat_interleave(2, 2).repeat_interleave(2, 3)
    if kind == "route":
        which = [int(one) for one in layer["layers"].split(",")]
        return torch.cat([made[one if one < 0 else one + 1] for one in which], 1)
    assert kind == "yolo"
    return above


def _convolution(number, layer, weights, above) -> Tensor:
    name = f"L.{number}"
    out = F.conv2d(
        above,
        weights[f"{name}.conv.weight"],
        weights.get(f"{name}.conv.bias"),
        stride=int(layer["stride"]),
        padding=int(layer["size"]) // 2,
        groups=int(layer.get("groups", 1)),
    )
    if "batch_normalize" in layer:
        parts = ("running_mean", "running_var", "weight", "bias")
        out = F.batch_norm(out, *(weights[f"{name}.bn.{part}"] for part in parts), eps=1e-5)
    return out.relu() if layer["activation"] == "relu" else out


def test_it_has_the_parameters_of_the_darknet_file():
    network = yolov3_nano_mobilenet_v2()

    assert sum(parameter.numel() for parameter in network.parameters()) == 873_150
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 59
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 57


def test_the_public_file_has_these_parameters_and_no_others(data_pack):
    file = load_file(data_pack / WEIGHTS)

    counted = sum(t.numel() for k, t in file.items() if "running" not in k and "num_b" not in k)
    assert counted == 873_150


def test_320_pixels_make_1500_boxes_in_two_maps():
    network = yolov3_nano_mobilenet_v2(0.25).eval()

    coarse, fine = network(torch.zeros(2, 3, 320, 320))

    assert coarse.shape == (2, 255, 10, 10)
    assert fine.shape == (2, 255, 20, 20)
    post = network.postprocess((320, 320))
    assert [level.places.count for level in post.levels] == [3 * 10 * 10, 3 * 20 * 20]


def test_with_the_public_weights_it_is_the_darknet_file_layer_by_layer(data_pack, trained):
    layers = json.loads((data_pack / LAYERS).read_text())["layers"]
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        ours = trained(images)
        theirs = of_darknet(layers, load_file(data_pack / WEIGHTS), images)

    for our, their in zip(ours, theirs, strict=True):
        assert torch.equal(our, their)  # the same operations in the same order


def test_anchors_and_stretches_are_those_of_the_darknet_file(data_pack):
    layers = json.loads((data_pack / LAYERS).read_text())["layers"]
    heads = [layer for layer in layers if layer["type"] == "yolo"]
    post = yolov3_nano_mobilenet_v2(0.25).postprocess((320, 320))

    for head, level in zip(heads, post.levels, strict=True):
        numbers = [float(one) for one in head["anchors"].split(",")]
        pairs = [numbers[2 * int(one) : 2 * int(one) + 2] for one in head["mask"].split(",")]
        assert [[b[2] - b[0], b[3] - b[1]] for b in level.places.anchors] == pairs
        assert level.coder.stretch == float(head["scale_x_y"])


def test_a_capture_computes_the_same_bits(small):
    images = torch.rand(2, 3, 64, 64)

    found = run_float(capture(small, images[:1]), images)

    with torch.no_grad():
        expected = small(images)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_without_norms_it_is_what_folding_leaves(small):
    folded = yolov3_nano_mobilenet_v2(0.25, 4, batch_norm=False).eval()
    tensors = small.state_dict()
    for key in [key for key in folded.state_dict() if key not in tensors]:
        tensors[key] = torch.zeros(folded.state_dict()[key].shape)  # the new biases
    for name, norm in small.named_modules():
        if isinstance(norm, nn.BatchNorm2d):  # of mean 0, variance 1, gain 1: only eps divides
            layer = name.rpartition(".")[0]
            tensors[f"{layer}.0.weight"] = tensors[f"{layer}.0.weight"] / (1 + norm.eps) ** 0.5

    folded.load_state_dict(
        {k: v for k, v in tensors.items() if ".1.running" not in k}, strict=False
    )

    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():  # rounding alone differs, over 57 layers
        assert_close(folded(images), small(images), rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


def test_a_bottleneck_adds_its_input_only_where_it_fits():
    def made(in_channels, stride):
        return Bottleneck(in_channels, 8, stride=stride, expansion=6, batch_norm=True)

    assert made(8, 1).adds_input
    assert not made(8, 2).adds_input
    assert not made(4, 1).adds_input


def test_the_two_maps_of_different_images_differ_and_are_finite(small):
    with torch.no_grad():
        maps = small(torch.randn(2, 3, 64, 64))

    for one in maps:
        assert one.isfinite().all()
        assert (one[0] - one[1]).std() > 0.01 * one.std()


def test_a_width_that_leaves_a_layer_no_channel_is_refused():
    with pytest.raises(RequestError, match="leaves the first block no channel"):
        yolov3_nano_mobilenet_v2(width=0.1)


@pytest.mark.parametrize("classes", [0, -1, True, 2.5])
def test_a_class_count_below_one_is_refused(classes):
    with pytest.raises(RequestError, match="yolov3_nano_mobilenet_v2: num_classes must be"):
        yolov3_nano_mobilenet_v2(num_classes=classes)
