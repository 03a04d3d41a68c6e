"""DeepLab-LargeFOV: counts, keys, sizes, what each logit sees, capture and integers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from intaglio.errors import RequestError
from intaglio.zoo.bodies import load_backbone
from intaglio.zoo.deeplab_v1 import deeplab_v1_largefov_vgg16
from intaglio.zoo.vgg import vgg16_features
from zoo.compressed_maps import differences

VGG16 = 138_357_544 - (25_088 * 4096 + 4096) - (4096 * 4096 + 4096) - (4096 * 1000 + 1000)
"""The convolutions of torchvision's VGG-16."""


def test_the_network_has_the_parameters_of_its_parts():
    with torch.device("meta"):
        network = deeplab_v1_largefov_vgg16()

    head = (512 * 9 + 1) * 1024 + (1024 + 1) * 1024 + (1024 + 1) * 21
    assert sum(weight.numel() for weight in network.parameters()) == VGG16 + head == 20_505_429


def test_three_pools_halve_and_the_fourth_and_fifth_keep_the_size():
    network = deeplab_v1_largefov_vgg16(width=0.05)

    pools = [m for m in network.modules() if isinstance(m, nn.MaxPool2d)]
    assert [(m.kernel_size, m.stride, m.padding) for m in pools] == [(2, 2, 0)] * 3 + [
        (3, 1, 1)
    ] * 2
    wide = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert [m.dilation[0] for m in wide] == [1] * 10 + [2] * 3 + [12]
    assert all(m.padding == m.dilation for m in wide)


@pytest.mark.parametrize(("size", "eighth"), [((64, 96), (8, 12)), ((36, 33), (5, 4))])
def test_logits_are_made_at_an_eighth_of_the_size_and_enlarged(size, eighth):
    found = []
    with torch.device("meta"):
        network = deeplab_v1_largefov_vgg16(5, width=0.05).eval()
        network.fc8.register_forward_hook(lambda *call: found.append(tuple(call[2].shape)))
        logits = network(torch.empty(2, 3, *size))

    assert found == [(2, 5, *eighth)]
    assert logits.shape == (2, 5, *size)


def test_fc6_sees_nine_places_twelve_apart():
    network = deeplab_v1_largefov_vgg16(width=0.05)
    features = torch.zeros(1, network.fc6.in_channels, 31, 31)
    features[0, :, 15, 15] = 1.0
    nn.init.ones_(network.fc6.weight)

    seen = network.fc6(features)[0, 0].nonzero().tolist()

    assert seen == [[row, column] for row in (3, 15, 27) for column in (3, 15, 27)]


def test_a_vggs_weights_go_into_the_body():
    network = deeplab_v1_largefov_vgg16(width=0.05)
    weights = nn.ModuleDict({"features": vgg16_features(0.05)}).state_dict()

    assert set(load_backbone(network, weights)) == set(weights)


def test_the_highest_logit_says_the_class_and_21_classes_are_vocs():
    with torch.device("meta"):
        post = deeplab_v1_largefov_vgg16(width=0.05).postprocess((64, 64))

    assert (post.classes, post.rule, post.scores) == (21, "highest", "logits")
    assert post.names[20] == "tvmonitor"


def test_graph_file_and_twin_are_the_network_in_every_bit():
    torch.manual_seed(0)
    network = deeplab_v1_largefov_vgg16(3, width=0.1).eval()

    assert differences(network, torch.randn(2, 3, 36, 33)) == []


def test_widths_and_class_counts_that_make_no_sense_are_refused():
    with pytest.raises(RequestError, match="deeplab_v1_largefov_vgg16: width must be"):
        deeplab_v1_largefov_vgg16(width=0)
    with pytest.raises(RequestError, match="deeplab_v1_largefov_vgg16: num_classes must be"):
        deeplab_v1_largefov_vgg16(True)
