"""LR-ASPP: torchvision's count and keys, its formula, sizes, capture and integers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from intaglio.errors import RequestError
from intaglio.zoo.bodies import load_backbone
from intaglio.zoo.lraspp import LrasppHead, lraspp_mobilenet_v3_large
from intaglio.zoo.mobilenet_v3 import mobilenet_v3_large
from zoo.compressed_maps import differences

HEAD = {
    "cbr.0.weight": [128, 960, 1, 1],
    "cbr.1.bias": [128],
    "cbr.1.running_mean": [128],
    "cbr.1.running_var": [128],
    "cbr.1.weight": [128],
    "high_classifier.bias": [21],
    "high_classifier.weight": [21, 128, 1, 1],
    "low_classifier.bias": [21],
    "low_classifier.weight": [21, 40, 1, 1],
    "scale.1.weight": [128, 960, 1, 1],
}
"""torchvision's keys and shapes, below "classifier."."""


def test_parameters_keys_and_shapes_are_torchvisions():
    with torch.device("meta"):
        network, classifier = lraspp_mobilenet_v3_large(), mobilenet_v3_large()

    assert sum(weight.numel() for weight in network.parameters()) == 3_221_538
    shapes = {key: list(weight.shape) for key, weight in network.state_dict().items()}
    shapes = {key: shape for key, shape in shapes.items() if "num_batches" not in key}
    body = {
        "backbone." + key.removeprefix("features."): list(weight.shape)
        for key, weight in classifier.state_dict().items()
        if key.startswith("features.") and "num_batches" not in key
    }
    assert shapes == body | {f"classifier.{key}": shape for key, shape in HEAD.items()}


@pytest.mark.parametrize("size", [(64, 64), (97, 200)])
def test_the_coarse_map_has_stride_16_and_the_fine_one_stride_8(size):
    with torch.device("meta"):
        network = lraspp_mobilenet_v3_large(5, width=0.25).eval()
        images = torch.empty(2, 3, *size)
        low, high = network.backbone(images)

        assert network(images).shape == (2, 5, *size)
    assert low.shape[-2:] == tuple(-(-side // 8) for side in size)
    assert high.shape[-2:] == tuple(-(-side // 16) for side in size)


def test_the_last_three_blocks_are_atrous_from_the_first_on_as_in_torchvision():
    network = lraspp_mobilenet_v3_large(width=0.25)

    wide = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1]
    assert [m.dilation[0] for m in wide] == [1] * 13 + [2] * 3
    assert [m.stride[0] for m in wide].count(2) == 4


def test_the_head_is_the_gated_coarse_map_enlarged_and_the_fine_one():
    torch.manual_seed(0)
    head = LrasppHead(4, 6, num_classes=3, channels=8).eval()
    low, high = torch.randn(2, 4, 6, 8), torch.randn(2, 6, 3, 4)
    weights = {key: value.flatten(1) for key, value in head.state_dict().items() if value.ndim == 4}

    logits = head(low, high).detach()

    # of the norm, which has seen nothing, stays 1 / sqrt(1 + eps)
    features = (torch.einsum("oc,nchw->nohw", weights["cbr.0.weight"], high)).relu()
    gate = torch.sigmoid(high.mean((2, 3)) @ weights["scale.1.weight"].T)
    gated = features / (1 + head.cbr[1].eps) ** 0.5 * gate[:, :, None, None]
    enlarged = F.interpolate(gated, scale_factor=2, mode="bilinear")
    expected = torch.einsum("oc,nchw->nohw", weights["high_classifier.weight"], enlarged)
    expected += torch.einsum("oc,nchw->nohw", weights["low_classifier.weight"], low)
    assert_close(logits, expected, rtol=1e-4, atol=1e-5)  # sums in another order


def test_a_classifiers_weights_go_into_the_body():
    network, classifier = lraspp_mobilenet_v3_large(width=0.25), mobilenet_v3_large(0.25)

    taken = load_backbone(network, classifier.state_dict())

    features = {key for key in classifier.state_dict() if key.startswith("features.")}
    assert set(taken) == {key for key in features if not key.endswith("num_batches_tracked")}


def test_the_highest_logit_says_the_class_and_21_classes_are_vocs():
    with torch.device("meta"):
        post = lraspp_mobilenet_v3_large(width=0.25).postprocess((64, 64))

    assert (post.classes, post.rule, post.scores, post.names[15]) == (
        21,
        "highest",
        "logits",
        "person",
    )


def test_graph_file_and_twin_are_the_network_in_every_bit():
    torch.manual_seed(0)
    network = lraspp_mobilenet_v3_large(3, width=0.1).eval()

    assert differences(network, torch.randn(2, 3, 40, 34)) == []


def test_widths_and_class_counts_that_make_no_sense_are_refused():
    with pytest.raises(RequestError, match="lraspp_mobilenet_v3_large: width must be"):
        lraspp_mobilenet_v3_large(width=-1)
    with pytest.raises(RequestError, match="lraspp_mobilenet_v3_large: num_classes must be"):
        lraspp_mobilenet_v3_large(0)
