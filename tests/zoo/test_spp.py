"""Spatial pyramid pooling against plain loops, and a classifier that has it at several sizes."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import intaglio
from intaglio import zoo
from intaglio.errors import RequestError
from intaglio.zoo.bodies import load_backbone
from intaglio.zoo.spp import SpatialPyramidPooling, bin_edges, mobilenet_v2_spp
from zoo.compressed_maps import BOTH, DELEGATE, differences

SIDES = st.integers(1, 14)


def by_loops(features: Tensor, levels: tuple[int, ...]) -> Tensor:
    """Return the largest of each bin, one number after the other."""
    numbers = []
    height, width = features.shape[-2:]
    for n in levels:
        for channel in features[0]:
            for i in range(n):
                for j in range(n):
                    rows = range(math.floor(i * height / n), math.ceil((i + 1) * height / n))
                    columns = range(math.floor(j * width / n), math.ceil((j + 1) * width / n))
                    numbers.append(max(float(channel[r, c]) for r in rows for c in columns))
    return torch.tensor([numbers])


@given(SIDES, SIDES, st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple))
def test_every_number_is_the_largest_of_its_bin(height, width, levels):
    features = torch.randn(1, 2, height, width)

    assert torch.equal(SpatialPyramidPooling(levels)(features), by_loops(features, levels))


@pytest.mark.parametrize("size", [(13, 13), (10, 7), (4, 4), (3, 5), (1, 1)])
@pytest.mark.parametrize(("levels", "bins"), [((4, 2, 1), 21), ((6, 3, 2, 1), 50)])
def test_maps_of_every_size_make_as_many_numbers(size, levels, bins):
    pool = SpatialPyramidPooling(levels)

    assert pool.bins == bins
    assert pool(torch.randn(2, 5, *size)).shape == (2, 5 * bins)


def test_one_bin_is_the_largest_of_the_whole_map():
    features = torch.randn(2, 3, 10, 7)

    assert torch.equal(SpatialPyramidPooling((1,))(features), features.amax((2, 3)))


@given(st.integers(1, 300), st.integers(1, 20))
def test_bins_cover_the_side_without_gaps_and_none_is_empty(size, bins):
    edges = bin_edges(size, bins)

    assert (edges[0][0], edges[-1][1]) == (0, size)
    assert all(start < stop for start, stop in edges)
    assert all(after[0] <= before[1] for before, after in pairwise(edges))


@pytest.mark.parametrize("wrong", [(), (4, 0), (2.0,), (True,), ("4",)])
def test_levels_that_are_no_counts_are_refused(wrong):
    with pytest.raises(RequestError, match="levels must be integers of at least 1"):
        SpatialPyramidPooling(wrong)


def test_the_pool_is_captured_without_a_gathering_of_pixels():
    images = torch.zeros(1, 3, 10, 7)

    ops = {node.op for node in intaglio.capture(SpatialPyramidPooling(), images)}

    assert ops == {"input", "slice", "max_pool2d", "concat", "reshape"}


def test_the_classifier_has_the_parameters_of_its_parts():
    with torch.device("meta"):
        networks = [mobilenet_v2_spp(levels=levels) for levels in ((4, 2, 1), (6, 3, 2, 1))]

    body = 3_504_872 - 1_281_000 - 412_160  # of torchvision's MobileNetV2, up to 320 channels
    found = [sum(weight.numel() for weight in one.parameters()) for one in networks]
    assert found == [body + (320 * bins + 1) * 1000 for bins in (21, 50)]


def test_one_network_takes_images_of_every_size():
    network = mobilenet_v2_spp(7, width=0.1).eval()

    sizes = [(224, 224), (96, 160), (32, 32)]
    assert {network(torch.randn(2, 3, *size)).shape for size in sizes} == {(2, 7)}


def test_a_classifiers_weights_go_into_the_body():
    network, classifier = mobilenet_v2_spp(width=0.25), zoo.mobilenet_v2(0.25)

    taken = load_backbone(network, classifier.state_dict())

    assert len(taken) == 51 * 5  # convolutions, each with a norm
    assert not any(key.startswith("features.18.") for key in taken)


# a map of one by two pixels, below all levels; and one of seven by five
@pytest.mark.parametrize(("size", "targets"), [((32, 64), BOTH), ((224, 160), DELEGATE)])
def test_graph_file_and_twin_are_the_network_in_every_bit_at_two_sizes(size, targets):
    torch.manual_seed(0)
    network = mobilenet_v2_spp(5, width=0.1).eval()

    assert differences(network, torch.randn(2, 3, *size), targets) == []


def test_arguments_that_make_no_sense_are_refused():
    for arguments in ({"width": 0}, {"num_classes": 0}, {"backbone": "resnet50"}):
        with pytest.raises(RequestError, match=f"mobilenet_v2_spp: {next(iter(arguments))} must"):
            mobilenet_v2_spp(**arguments)
    with pytest.raises(RequestError, match="levels must be integers"):
        mobilenet_v2_spp(levels=(0,))
