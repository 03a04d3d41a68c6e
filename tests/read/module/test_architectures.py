"""Captured graphs compute what the modules compute, in every bit, under the user's names."""

from __future__ import annotations

import re

import pytest
import torch

from architectures import architectures, captured, images
from intaglio.ir.graph import BATCH
from intaglio.run.float import infer_shapes, run_float

NAMES = list(architectures())
REWRITTEN = {"mobilevit", "convnext", "unknown_ops", "vocabulary"}
"""Networks with calls that are written with other ops, which round otherwise."""


@pytest.fixture(autouse=True)
def one_thread():
    """Two runs of one convolution add in the same order only with the same number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_captured_graph_replays_bit_equal_to_the_module(name, batch):
    network = captured(name)
    x = images(network.input_shape, batch)

    ours = run_float(network.source, x)

    theirs = network.outputs(x)
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert our.dtype == their.dtype
        if name in REWRITTEN:  # float32 sums of some hundred values
            torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-4)
        else:
            assert torch.equal(our, their)


@pytest.mark.parametrize("name", NAMES)
def test_the_batch_is_symbolic_and_shapes_are_those_of_the_values(name):
    network = captured(name)
    shapes = {}

    run_float(
        network.source,
        images(network.input_shape, 3),
        tap=lambda node, value: shapes.update({node.name: tuple(value.shape)}),
    )

    for node in network.source:
        assert shapes[node.name] == tuple(3 if size == BATCH else size for size in node.shape)


@pytest.mark.parametrize("name", NAMES)
def test_layers_keep_the_users_names(name):
    network = captured(name)
    modules = dict(network.module.named_modules())

    for node in network.source:
        owner = re.sub(r":\d+$", "", node.name)
        if node.op in ("conv2d", "conv_transpose2d", "linear", "batch_norm"):
            assert owner in modules or name == "functional"
            assert node.source in modules
        elif node.op not in ("input", "constant"):
            assert node.source in modules
            assert owner in modules or owner.startswith(node.source)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("zoo.")])
def test_the_zoo_has_no_opaque_nodes(name):
    assert not [node.name for node in captured(name).source if node.op == "opaque"]


@pytest.mark.parametrize("name", ["reused", "mobilevit", "zoo.mobilenet_v3_small"])
def test_shapes_are_found_again_without_the_module(name):
    graph = captured(name).graph
    before = {node.name: node.shape for node in graph}
    for node in graph:
        if node.op != "input":
            node.shape = ()

    infer_shapes(graph)

    assert {node.name: node.shape for node in graph} == before


def test_there_are_at_least_thirty_architectures_beside_the_zoo():
    assert len([name for name in NAMES if not name.startswith("zoo.")]) >= 30
