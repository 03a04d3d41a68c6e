"""Pyramid attention and led upsampling against closed forms."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from intaglio.errors import RequestError
from intaglio.zoo.pyramid_attention import (
    POOLINGS,
    UPSAMPLINGS,
    AttentionUpsample,
    Design,
    PyramidAttention,
    Transposed,
)


def attention(**design: object) -> PyramidAttention:
    torch.manual_seed(0)
    return PyramidAttention(12, 8, Design(**design)).eval()


def silence(layer: nn.Module, *, says: float = 0.0) -> None:
    """Let a unit put out `says`, whatever it is given."""
    convolution, norm = [m for m in layer.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    nn.init.zeros_(convolution.weight)
    nn.init.constant_(norm.bias, says)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("size", [(12, 16), (7, 5), (1, 1), (2, 9)])
def test_the_map_keeps_its_size_and_gets_the_channels(pooling, upsampling, size):
    module = attention(pooling=pooling, upsampling=upsampling)

    assert module(torch.randn(2, 12, *size)).shape == (2, 8, *size)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_levels_are_halved_rounding_up(pooling):
    module, features, found = attention(pooling=pooling), torch.randn(1, 12, 12, 16), []

    for down in module.down:
        features = down(features)
        found.append(tuple(features.shape[1:]))

    assert found == [(2, 6, 8), (2, 3, 4), (2, 2, 2)]  # a quarter of eight channels


def test_the_attention_is_multiplied_onto_the_main_branch_and_the_mean_is_added():
    module, features = attention(), torch.randn(2, 12, 6, 7)
    silence(module.widen, says=3.0)
    silence(module.everywhere[1], says=0.5)

    with torch.no_grad():
        expected = module.main(features) * 3 + 0.5
        # a resize of a constant map may be off by one unit in the last place
        assert_close(module(features), expected, rtol=1e-6, atol=1e-6)


def test_without_attention_every_pixel_is_what_the_mean_says():
    module, features = attention(), torch.randn(2, 12, 6, 7)
    silence(module.widen)

    with torch.no_grad():
        convolution, norm, relu = module.everywhere[1]
        means = features.mean((2, 3), keepdim=True)
        expected = relu(norm(convolution(means))).expand(2, 8, 6, 7)
        assert_close(module(features), expected, rtol=1e-5, atol=1e-6)  # means in another order


def test_without_its_global_branch_nothing_is_added():
    module, features = attention(global_branch=False), torch.randn(2, 12, 6, 7)
    silence(module.widen)

    assert not any("everywhere" in key for key in module.state_dict())
    assert not module(features).any()


def test_the_pyramid_is_added_up_from_the_coarsest_level():
    module, features = attention(global_branch=False), torch.randn(1, 12, 8, 8)

    with torch.no_grad():
        one = module.down[0](features)
        two = module.down[1](one)
        three = module.down[2](two)
        merged = module.lateral[1](two) + enlarged(module.lateral[2](three), 2)
        merged = module.lateral[0](one) + enlarged(merged, 2)
        expected = module.main(features) * enlarged(module.widen(merged), 2)
        assert torch.equal(module(features), expected)


def enlarged(features: Tensor, factor: int) -> Tensor:
    return F.interpolate(features, scale_factor=factor, mode="bilinear")


@pytest.mark.parametrize(("pooling", "function"), [("average", torch.mean), ("max", torch.amax)])
def test_a_level_sees_the_mean_or_the_largest_of_each_two_by_two_pixels(pooling, function):
    pool, layer = attention(pooling=pooling).down[0]
    features = torch.randn(1, 12, 4, 6)

    blocks = features.reshape(1, 12, 2, 2, 3, 2)
    assert_close(pool(features), function(blocks, (3, 5)))
    assert layer[0].stride == (1, 1)


def test_the_last_pixel_of_an_odd_map_is_averaged_alone():
    pool = attention().down[0][0]
    features = torch.arange(9.0).reshape(1, 1, 3, 3)

    expected = torch.tensor([[2.0, 3.5], [6.5, 8.0]])  # (0 1 3 4)/4, (2 5)/2, (6 7)/2, 8
    assert torch.equal(pool(features)[0, 0], expected)


def test_led_upsampling_weighs_each_fine_channel_by_the_coarse_ones_mean():
    module = AttentionUpsample(3, 4, "bilinear").eval()
    low, high = torch.randn(2, 3, 8, 10), torch.rand(2, 4, 4, 5)
    gate = module.gate[1][0]
    with torch.no_grad():
        gate.weight.copy_(torch.eye(4).reshape(4, 4, 1, 1))
        module.gate[1][1].eps = 0.0

        expected = module.low(low) * high.mean((2, 3), keepdim=True) + enlarged(high, 2)
        assert_close(module(low, high), expected, rtol=1e-5, atol=1e-6)


def test_a_coarse_map_of_the_same_size_is_added_as_it_is():
    module = AttentionUpsample(3, 4, None).eval()
    low, high = torch.randn(2, 3, 4, 5), torch.rand(2, 4, 4, 5)
    silence(module.gate[1])

    assert torch.equal(module(low, high), high)


@pytest.mark.parametrize("size", [(8, 10), (7, 10), (8, 9), (7, 9)])
def test_a_transposed_enlargement_ends_at_the_size_that_it_is_told(size):
    module, features = Transposed(3), torch.randn(1, 3, 4, 5)

    whole, told = module(features, (8, 10)), module(features, size)

    assert torch.equal(told, whole[..., : size[0], : size[1]])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pooling": "mean"}, "pooling must be one of 'average', 'max', 'strided', got 'mean'"),
        ({"upsampling": "nearest"}, "upsampling must be one of 'bilinear', 'transposed'"),
        ({"pyramid": (7, 5)}, "pyramid must be 3 odd kernel sizes such as"),
        ({"pyramid": (7, 5, 4)}, "pyramid must be 3 odd kernel sizes"),
        ({"pyramid": (7, 5, 3.0)}, "pyramid must be 3 odd kernel sizes"),
        ({"pyramid": 3}, "pyramid must be 3 odd kernel sizes"),
    ],
)
def test_parts_that_there_are_not_are_refused(wrong, message):
    with pytest.raises(RequestError, match=f"some_net: {message}"):
        Design(**wrong).check("some_net")
