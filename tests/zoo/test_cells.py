"""Networks of cells: exact counts, shapes, what a cell computes, and the way to a file."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import intaglio
from cli.scripts import make_names
from intaglio import zoo
from intaglio.errors import RequestError
from intaglio.job.of_graph import compress_graph
from intaglio.run.float import run_float
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.zoo.cells import FactorizedReduction
from intaglio.zoo.nasnet import CellNetwork, Skeleton

SMALL = "normal: c0 = sep3(h0) + max3(h1); c1 = sep3(c0) + h0; keep c0 c1 h1"
LARGE_NASNET = Skeleton(168, 6, 96, passes_reduction=True)
LARGE_PNASNET = Skeleton(216, 4, 96)
AS_IS = {"takes_first_as_is": True}


def counts(build, size: int) -> tuple[int, int]:
    """Return parameters and multiply-accumulates, from shapes alone."""
    with torch.device("meta"):
        network = build().eval()
        macs = make_names.count_macs(network, torch.empty(1, 3, size, size))
    return sum(weight.numel() for weight in network.parameters()), macs


def settled(network: CellNetwork, size: int) -> CellNetwork:
    """Return the network in evaluation mode, its batch norms fitted to random images."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the plain mean of all batches
    with torch.no_grad():
        network.train()(torch.randn(8, 3, size, size))
    return network.eval()


@pytest.mark.parametrize(
    ("build", "parameters", "macs_in_millions"),
    [(zoo.nasnet_mobile, 5_287_076, 557.7), (zoo.pnasnet5_mobile, 5_063_347, 587.5)],
)
def test_the_mobile_networks_have_the_parameters_and_macs_of_their_definition(
    build, parameters, macs_in_millions
):
    found, macs = counts(build, 224)

    assert found == parameters
    assert round(macs / 1e6, 1) == macs_in_millions


@pytest.mark.parametrize(
    ("genotype", "skeleton", "millions", "billions"),
    [
        (zoo.NASNET_A, LARGE_NASNET, 88.74, 23.80),
        (zoo.PNASNET_5, LARGE_PNASNET, 86.05, 25.00),
    ],
)
def test_the_same_code_gives_the_large_networks(genotype, skeleton, millions, billions):
    parameters, macs = counts(lambda: CellNetwork(genotype, skeleton, num_classes=1000), 331)

    assert round(parameters / 1e6, 2) == millions
    assert round(macs / 1e9, 2) == billions


@pytest.mark.parametrize(
    ("genotype", "skeleton", "published"),
    [
        (zoo.NASNET_A, Skeleton(44, 4, **AS_IS), 5_289_978),
        (zoo.PNASNET_5, Skeleton(216, 4, 96, **AS_IS), 86_057_668),
    ],
)
def test_with_the_first_cell_of_the_authors_code_they_have_its_parameters(
    genotype, skeleton, published
):
    with torch.device("meta"):
        network = CellNetwork(genotype, skeleton, num_classes=1000)

    assert sum(weight.numel() for weight in network.parameters()) == published


@pytest.mark.parametrize(
    ("build", "shapes"),
    [
        (
            zoo.nasnet_mobile,
            [(44, 56), (88, 28), (264, 28), (352, 14), (528, 14), (704, 7), (1056, 7)],
        ),
        (
            zoo.pnasnet5_mobile,
            [(65, 56), (135, 28), (270, 28), (540, 14), (1080, 7)],
        ),
    ],
)
def test_cells_double_the_width_and_halve_the_image(build, shapes):
    found = []
    with torch.device("meta"):
        network = build(repeats=1).eval()
        for cell in network.cells:
            cell.register_forward_hook(lambda _cell, _inputs, output: found.append(output.shape))
        logits = network(torch.empty(2, 3, 224, 224))

    assert logits.shape == (2, 1000)
    assert [tuple(shape) for shape in found] == [(2, c, size, size) for c, size in shapes]


@pytest.mark.parametrize("build", [zoo.nasnet_mobile, zoo.pnasnet5_mobile])
def test_the_auxiliary_head_is_there_only_where_it_is_asked_for(build):
    with torch.device("meta"):
        plain = build(repeats=1)
        both = build(repeats=1, num_classes=10, auxiliary=True).eval()
        logits, auxiliary = both(torch.empty(2, 3, 224, 224))

    assert logits.shape == auxiliary.shape == (2, 10)
    added = both.state_dict().keys() - plain.state_dict().keys()
    assert added
    assert all(key.startswith("auxiliary.") for key in added)
    assert not plain.state_dict().keys() - both.state_dict().keys()


@pytest.mark.parametrize(("height", "width"), [(6, 8), (7, 8), (6, 7), (7, 5), (1, 1)])
def test_a_factorized_reduction_reads_even_pixels_and_the_odd_ones_between(height, width):
    reduction = FactorizedReduction(1, 2).eval()
    for path in (reduction.straight, reduction.shifted):
        nn.init.ones_(path[0].weight)
        path[1].eps = 0.0
    images = torch.rand(2, 1, height, width)

    with torch.no_grad():
        output = reduction(images)

    even = images[:, 0, ::2, ::2]
    odd = torch.zeros_like(even)  # where the odd pixels end, zeros
    odd[:, : height // 2, : width // 2] = images[:, 0, 1::2, 1::2]
    assert_close(output, torch.stack([even, odd], 1))


def test_a_cell_of_identities_adds_what_it_is_given():
    text = "normal: c0 = h0 + h1; keep c0 h0 reduction: c0 = max3(h0) + max3(h1); keep c0"
    network = zoo.nasnet(text, filters=8, repeats=1, stem_filters=4).eval()
    cell = network.cells[2]
    current, previous = torch.rand(1, 4, 9, 9), torch.rand(1, 2, 17, 17)

    with torch.no_grad():
        output = cell(current, previous)
        h0, h1 = cell.current(current), cell.previous(previous)

    assert_close(output, torch.cat([h0 + h1, h0], 1).relu())


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: zoo.nasnet_mobile(width=0.05), "filters must be an integer of at least 4, got 2"),
        (lambda: zoo.nasnet_mobile(repeats=0), "repeats must be an integer of at least 1"),
        (lambda: zoo.pnasnet5_mobile(repeats=101), "at most 100, got 101"),
        (lambda: zoo.nasnet(SMALL, filters=8.0), "filters must be an integer"),
        (lambda: zoo.nasnet(SMALL, stem_filters=True), "stem_filters must be an integer"),
        (lambda: zoo.nasnet("normal: keep c9"), "'c9' cannot be kept"),
    ],
)
def test_numbers_and_texts_that_give_no_network_are_refused(build, named):
    with pytest.raises(RequestError, match=named):
        build()


def test_a_small_network_of_cells_is_one_partition_and_equals_its_file_in_every_bit():
    torch.manual_seed(0)
    network = settled(zoo.nasnet(SMALL, filters=8, repeats=1, stem_filters=8, num_classes=7), 33)
    images = torch.randn(4, 3, 33, 33)

    captured = intaglio.capture(network, images[:1])

    with torch.no_grad():
        assert_close(run_float(captured, images)[0], network(images), rtol=0, atol=0)
    for target in (LITERT, LITERT_REFERENCE):
        result = compress_graph(captured, target=target.name, data=images, recipe="plain")
        check = target.check(result.files, result.twin, [images])
        assert check.mismatches == 0
        assert check.values_compared > 10_000
        assert check.partitions == (1 if target is LITERT else 0)
