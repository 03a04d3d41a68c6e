"""Feature pyramids: what is added to what, in a second computation."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from intaglio.zoo.fpn import FeaturePyramid, Strided, Subsampled, TappedBody


def maps_of(sizes: list[tuple[int, int]], channels: list[int]) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.randn(2, c, *size) for c, size in zip(channels, sizes, strict=True))


@pytest.mark.parametrize("sizes", [[(8, 12), (4, 6), (2, 3)], [(9, 13), (5, 7), (3, 4)]])
def test_each_map_is_its_own_plus_the_coarser_ones_enlarged(sizes):
    pyramid = FeaturePyramid([3, 5, 7], Subsampled(), channels=4)
    maps = maps_of(sizes, [3, 5, 7])

    found = pyramid(maps)

    inner = [conv(x) for conv, x in zip(pyramid.inner_blocks, maps, strict=True)]
    second = inner[1] + at_nearest(inner[2], sizes[1])
    first = inner[0] + at_nearest(second, sizes[0])
    merged = (first, second, inner[2])
    smooth = [conv(x) for conv, x in zip(pyramid.layer_blocks, merged, strict=True)]
    assert_close(found[:3], tuple(smooth))
    assert torch.equal(found[3], found[2][:, :, ::2, ::2])


def at_nearest(features: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return pixel (i, j) of pixel (floor(i * h / H), floor(j * w / W))."""
    height, width = features.shape[-2:]
    rows = [i * height // size[0] for i in range(size[0])]
    columns = [j * width // size[1] for j in range(size[1])]
    return features[:, :, rows][:, :, :, columns]


def test_maps_of_one_size_are_added_as_they_are():
    pyramid = FeaturePyramid([3, 5], Subsampled(), channels=4)
    maps = maps_of([(4, 4), (4, 4)], [3, 5])

    found = pyramid(maps)

    inner = [conv(x) for conv, x in zip(pyramid.inner_blocks, maps, strict=True)]
    assert_close(found[0], pyramid.layer_blocks[0](inner[0] + inner[1]))


def test_the_last_strided_map_sees_only_what_the_one_before_has_above_zero():
    further = Strided(4)
    last = torch.randn(1, 4, 7, 6)

    half, quarter = further(last)

    assert_close(half, F.conv2d(last, further.p6.weight, further.p6.bias, 2, 1))
    assert_close(quarter, F.conv2d(half.relu(), further.p7.weight, further.p7.bias, 2, 1))
    assert (half.shape[-2:], quarter.shape[-2:]) == ((4, 3), (2, 2))


def test_a_body_ends_at_its_last_tap():
    layers = OrderedDict((name, nn.Linear(2, 2)) for name in "abcd")

    body = TappedBody(layers, ["a", "c"])

    first, second = body(torch.ones(1, 2))
    assert list(dict(body.named_children())) == ["a", "b", "c"]
    assert_close(first, layers["a"](torch.ones(1, 2)))
    assert_close(second, layers["c"](layers["b"](first)))
