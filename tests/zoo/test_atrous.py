"""Strides that become rates: sizes, and the strided network found again among the pixels."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from intaglio.errors import RequestError
from intaglio.zoo.atrous import make_atrous
from intaglio.zoo.bodies import body
from intaglio.zoo.resnet import resnet101_layers

KNOWN = ("mobilenet_v2", "mobilenet_v2_tf", "mobilenet_v3_large")


def layers_of(name: str) -> nn.Sequential:
    torch.manual_seed(0)
    if name == "resnet101":
        return nn.Sequential(resnet101_layers(0.05)).eval().double()
    return nn.Sequential(body("test", name, known=KNOWN, width=0.1).layers).eval().double()


# SAME pads both ends alike only where a side is a multiple of the stride, and one more
@pytest.mark.parametrize(
    ("name", "size"), [("mobilenet_v2", (64, 96)), ("mobilenet_v2_tf", (65, 97))]
)
@pytest.mark.parametrize("output_stride", [8, 16])
def test_every_second_or_fourth_pixel_is_one_of_the_strided_network(name, size, output_stride):
    images = torch.randn(1, 3, *size, dtype=torch.float64)
    strided, atrous = layers_of(name), layers_of(name)

    make_atrous(atrous, output_stride, network="test")

    with torch.no_grad():
        coarse, fine = strided(images), atrous(images)
    step = 32 // output_stride
    assert fine.shape[-2:] == tuple(-(-side // output_stride) for side in size)
    # the same products in another order
    assert_close(fine[..., ::step, ::step], coarse, rtol=1e-9, atol=1e-9)


def test_shortcuts_of_resnet_lose_their_stride_with_the_convolution_beside_them():
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    strided, atrous = layers_of("resnet101"), layers_of("resnet101")

    make_atrous(atrous, 16, network="test")

    with torch.no_grad():
        assert_close(atrous(images)[..., ::2, ::2], strided(images), rtol=1e-9, atol=1e-9)
    shortcut = atrous.layer4[0].downsample[0]
    assert (shortcut.stride, shortcut.dilation) == ((1, 1), (1, 1))
    assert [block.conv2.dilation[0] for block in atrous.layer4] == [1, 2, 2]


@pytest.mark.parametrize(("at_once", "rates"), [(False, [1, 2, 2]), (True, [2, 2, 2])])
def test_the_layer_that_loses_its_stride_has_the_old_rate_or_at_once_the_new_one(at_once, rates):
    layers = layers_of("mobilenet_v3_large")

    make_atrous(layers, 16, network="test", at_once=at_once)

    wide = [m for m in layers[13:].modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert [m.dilation[0] for m in wide] == rates
    assert [m.padding[0] for m in wide] == [2 * rate for rate in rates]  # 5x5 pixels
    assert {m.stride for m in wide} == {(1, 1)}


def test_output_stride_32_changes_nothing():
    strided, atrous = layers_of("mobilenet_v2"), layers_of("mobilenet_v2")

    make_atrous(atrous, 32, network="test")

    assert repr(atrous) == repr(strided)


@pytest.mark.parametrize("wrong", [0, 4, 12, "16", None])
def test_another_output_stride_is_refused_by_the_networks_name(wrong):
    with pytest.raises(RequestError, match="some_net: output_stride must be one of 8, 16, 32"):
        make_atrous(layers_of("mobilenet_v2"), wrong, network="some_net")
