"""PAN: counts, sizes, the parts that can be left out, capture and integers."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import nn

from intaglio import zoo
from intaglio.errors import RequestError
from intaglio.zoo.bodies import load_backbone
from intaglio.zoo.pan import Pan, pan_mobilenet_v2, pan_resnet101
from intaglio.zoo.pyramid_attention import UPSAMPLINGS, Design
from intaglio.zoo.resnet import resnet101_layers
from zoo.compressed_maps import BOTH, DELEGATE, differences

MOBILENET_V2 = 3_504_872 - 1_281_000 - 412_160
"""torchvision's, without the classifier and the layer of 1280 channels."""
RESNET101 = 44_549_160 - 2_049_000
DESIGN = {field.name for field in fields(Design)}


def unit(in_channels: int, channels: int, size: int) -> int:
    """Count the weights of a convolution and its norm."""
    return in_channels * channels * size**2 + 2 * channels


def pyramid(last: int, channels: int, sizes: tuple[int, int, int]) -> int:
    """Count the weights of pyramid attention without its global branch."""
    inner = channels // 4
    down = unit(last, inner, sizes[0]) + sum(unit(inner, inner, size) for size in sizes[1:])
    lateral = sum(unit(inner, inner, size) for size in sizes)
    return unit(last, channels, 1) + down + lateral + unit(inner, channels, 1)


def led(lows: tuple[int, ...], channels: int) -> int:
    """Count the weights of led upsampling."""
    return sum(unit(low, channels, 3) + unit(channels, channels, 1) for low in lows)


def pan(num_classes: int = 21, **arguments) -> Pan:
    """Return a PAN on MobileNetV2, whose design has those of the arguments that are its own."""
    own = {name: arguments.pop(name) for name in DESIGN & set(arguments)}
    return pan_mobilenet_v2(num_classes, design=Design(**own), **arguments)


def parameters(build, *args, **arguments) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in build(*args, **arguments).parameters())


def test_the_networks_have_the_parameters_of_their_parts():
    mobile = pyramid(320, 128, (7, 5, 3)) + unit(320, 128, 1) + led((96, 32, 24), 128)
    resnet = pyramid(2048, 256, (7, 5, 3)) + unit(2048, 256, 1) + led((1024, 512, 256), 256)

    assert parameters(pan_mobilenet_v2) == MOBILENET_V2 + mobile + 129 * 21 == 2_748_949
    assert parameters(pan_resnet101) == RESNET101 + resnet + 257 * 21 == 54_803_029
    assert parameters(pan_mobilenet_v2, 11) == 2_747_659


@pytest.mark.parametrize(
    ("arguments", "fewer"),
    [
        ({"global_branch": False}, unit(320, 128, 1)),
        ({"pyramid": (3, 3, 3)}, pyramid(320, 128, (7, 5, 3)) - pyramid(320, 128, (3, 3, 3))),
        ({"gau": False}, led((96, 32, 24), 128)),
        ({"fpa": False}, pyramid(320, 128, (7, 5, 3))),  # one 1x1 convolution stays
        ({"pooling": "max"}, 0),
        ({"pooling": "strided"}, 0),
        # three in the pyramid, two in front of finer maps
        ({"upsampling": "transposed"}, -3 * (9 * 128**2 + 128) - 2 * (9 * 32**2 + 32)),
        ({"output_stride": 8}, 0),
        ({"backbone": "mobilenet_v2_tf"}, 0),
    ],
)
def test_what_is_left_out_or_exchanged_has_the_weights_that_are_missing(arguments, fewer):
    assert parameters(pan_mobilenet_v2) - parameters(pan, **arguments) == fewer


@pytest.mark.parametrize(
    ("arguments", "size", "map_of_logits"),
    [
        ({}, (192, 256), (48, 64)),
        ({"output_stride": 8}, (192, 256), (48, 64)),
        ({"output_stride": 32}, (192, 256), (48, 64)),
        ({"backbone": "mobilenet_v2_tf"}, (90, 67), (23, 17)),
        ({"upsampling": "transposed"}, (90, 67), (23, 17)),
        ({"gau": False}, (192, 256), (12, 16)),
        ({"gau": False, "output_stride": 8}, (192, 256), (24, 32)),
        ({"fpa": False}, (33, 32), (9, 8)),
    ],
)
def test_logits_are_made_at_a_quarter_of_the_size_and_enlarged(arguments, size, map_of_logits):
    found = []
    with torch.device("meta"):
        network = pan(5, width=0.25, **arguments).eval()
        network.classifier.register_forward_hook(lambda *call: found.append(call[2].shape))
        logits = network(torch.empty(2, 3, *size))

    assert logits.shape == (2, 5, *size)
    assert found == [(2, 5, *map_of_logits)]


@pytest.mark.parametrize("build", [pan_mobilenet_v2, pan_resnet101])
@pytest.mark.parametrize(("output_stride", "last"), [(8, 12), (16, 6), (32, 3)])
def test_the_last_map_has_the_output_stride(build, output_stride, last):
    with torch.device("meta"):
        network = build(width=0.25, output_stride=output_stride).eval()
        maps = network.backbone(torch.empty(1, 3, 96, 96))

    sides = [one.shape[-1] for one in maps]
    assert sides == [24, 12, max(6, last), last]


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "mobilenet_v2_tf"])
def test_a_classifiers_weights_go_into_the_body_and_nowhere_else(backbone):
    network, classifier = pan_mobilenet_v2(width=0.25, backbone=backbone), zoo.mobilenet_v2(0.25)
    before = {key: weight.clone() for key, weight in network.state_dict().items()}

    taken = load_backbone(network, classifier.state_dict())

    features = {key for key in classifier.state_dict() if key.startswith("features.")}
    left = {key for key in features - set(taken) if not key.endswith("num_batches_tracked")}
    assert {key.split(".")[1] for key in left} == {"18"}
    after = network.state_dict()
    assert torch.equal(after["backbone.17.conv.2.weight"], classifier.features[17].conv[2].weight)
    same = {key for key in after if torch.equal(after[key], before[key])}
    assert {key for key in after if not key.startswith("backbone.")} <= same


def test_resnets_keys_are_torchvisions():
    network = pan_resnet101(width=0.05)
    weights = nn.Sequential(resnet101_layers(0.05)).state_dict()

    taken = load_backbone(network, weights)

    assert set(taken) == {key for key in weights if not key.endswith("num_batches_tracked")}
    assert "layer3.22.conv2.weight" in taken
    assert "layer3.23.conv2.weight" not in weights


def test_a_transposed_one_learns_every_enlargement_but_the_last():
    with torch.device("meta"):
        networks = [pan_mobilenet_v2(design=Design(upsampling=kind)) for kind in UPSAMPLINGS]

    found = [[isinstance(m, nn.ConvTranspose2d) for m in n.modules()] for n in networks]
    assert [sum(one) for one in found] == [0, 5]  # the last map and the one before have one size


def test_the_highest_logit_says_the_class_and_21_classes_are_vocs():
    with torch.device("meta"):
        voc, other = pan_mobilenet_v2(width=0.1), pan_mobilenet_v2(11, width=0.1)

    post = voc.postprocess((192, 256))
    assert (post.classes, post.rule, post.scores, post.channels) == (21, "highest", "logits", 21)
    assert (post.names[0], post.names[15]) == ("background", "person")
    assert (other.postprocess((64, 64)).classes, other.postprocess((64, 64)).names) == (11, ())


KINDS = {
    "the paper's parts": ({}, (32, 32), BOTH),
    # maps are odd and even, and those of the pyramid end early
    "TensorFlow's padding": ({"backbone": "mobilenet_v2_tf"}, (66, 40), DELEGATE),
    "transposed": ({"upsampling": "transposed"}, (66, 40), DELEGATE),
    "others": ({"pooling": "max", "pyramid": (3, 3, 3), "output_stride": 8}, (32, 48), DELEGATE),
    "no led upsampling": ({"gau": False, "pooling": "strided"}, (32, 48), DELEGATE),
}


@pytest.mark.parametrize("name", KINDS)
def test_graph_file_and_twin_are_the_network_in_every_bit(name):
    arguments, size, targets = KINDS[name]
    torch.manual_seed(0)
    network = pan(3, width=0.1, **arguments).eval()

    assert differences(network, torch.randn(2, 3, *size), targets) == []


def test_resnets_graph_file_and_twin_are_the_network_in_every_bit():
    torch.manual_seed(0)
    network = pan_resnet101(3, width=0.05).eval()

    assert differences(network, torch.randn(2, 3, 33, 33), DELEGATE) == []


def test_choices_that_there_are_not_are_refused_by_the_networks_name():
    for build in (pan_mobilenet_v2, pan_resnet101):
        with pytest.raises(RequestError, match=f"{build.__name__}: width must be"):
            build(width=0)
        with pytest.raises(RequestError, match=f"{build.__name__}: num_classes must be"):
            build(0)
        with pytest.raises(RequestError, match=f"{build.__name__}: output_stride must be one of"):
            build(width=0.05, output_stride=4)
    with pytest.raises(RequestError, match="pan_mobilenet_v2: backbone must be one of"):
        pan_mobilenet_v2(backbone="resnet50")
    with pytest.raises(RequestError, match="pan_mobilenet_v2: pyramid must be"):
        pan_mobilenet_v2(design=Design(pyramid=(2, 2, 2)))
    with pytest.raises(RequestError, match="pan_resnet101: pooling must be"):
        pan_resnet101(design=Design(pooling="none"))
