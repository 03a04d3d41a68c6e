"""Equalized streams: the function stays, every channel fills the grid, clamps are left alone."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.methods.structure.equalize_activations import (
    LEAST_SCALE,
    equalize_activations,
    stream_scales,
)
from intaglio.numerics.normal import Normal
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from methods.quantized import random_images, separable
from passes.same_function import assert_same_function

X = random_images(8, size=8)
UNEQUAL = torch.tensor([0.01, 0.3, 1.0, 20.0])


def bottleneck(activation=None) -> Graph:
    sketch = Sketch(3, 8, 8)
    sketch.conv("narrow", "x", 4, 1, activation=activation)
    sketch.conv("wide", "narrow", 6, 1)
    graph = sketch.done()
    weight = graph.params["narrow.weight"] * UNEQUAL.reshape(-1, 1, 1, 1)
    graph.params["narrow.weight"] = weight
    graph.params["narrow.bias"] = graph.params["narrow.bias"] * UNEQUAL
    return graph


def largest(graph: Graph, name: str) -> torch.Tensor:
    found = {}
    run_float(graph, X, tap=lambda node, value: found.update({node.name: value}))
    return found[name].transpose(0, 1).flatten(1).abs().amax(1)


def test_every_channel_becomes_as_large_as_the_largest_and_the_function_stays():
    graph = bottleneck()
    before = graph.copy()

    equalize_activations(graph, {}, [X])

    sizes, old = largest(graph, "narrow"), largest(before, "narrow")
    torch.testing.assert_close(sizes[old > LEAST_SCALE * old.max()], old.max().expand(3))
    assert_same_function(before, graph, X)


def test_a_tiny_channel_is_raised_only_so_far():
    graph = bottleneck()
    graph.params["narrow.weight"][0] *= 1e-6
    graph.params["narrow.bias"][0] *= 1e-6
    old = largest(graph, "narrow")

    equalize_activations(graph, {}, [X])

    torch.testing.assert_close(largest(graph, "narrow")[0], old[0] / LEAST_SCALE)


def test_a_channel_that_is_always_zero_stays_as_it_is():
    graph = bottleneck()
    graph.params["narrow.weight"][1] = 0.0
    graph.params["narrow.bias"][1] = 0.0
    column = graph.params["wide.weight"][:, 1].clone()

    equalize_activations(graph, {}, [X])

    assert torch.equal(graph.params["wide.weight"][:, 1], column)


@pytest.mark.parametrize("activation", [(0.0, 6.0), (0.0, float("inf"))])
def test_a_stream_with_a_clamp_is_left_alone(activation):
    graph = bottleneck(activation)
    before = dict(graph.params)

    equalize_activations(graph, {}, [X])

    assert all(torch.equal(graph.params[key], value) for key, value in before.items())


def test_all_layers_along_a_residual_stream_are_scaled_together():
    images = random_images(8)
    graph = capture(separable(), images[:1])
    canonicalize(graph)
    before = graph.copy()

    equalize_activations(graph, {}, [images])

    assert_same_function(before, graph, images)


def test_statistics_go_with_their_channels():
    graph = bottleneck()
    weight = graph.params["narrow.weight"]
    normal = Normal(torch.ones(4).double(), torch.full((4,), 2.0).double())

    found = equalize_activations(graph, {"narrow": normal}, [X])["narrow"]

    raised = (graph.params["narrow.weight"] / weight).flatten(1).mean(1).double()
    torch.testing.assert_close(found.mean, raised, rtol=1e-5, atol=0.0)
    torch.testing.assert_close(found.std, 2.0 * raised, rtol=1e-5, atol=0.0)


def test_a_value_alone_is_equalized_by_its_channels():
    sizes = torch.tensor([[8.0, 2.0, 0.5, 0.0]]).double()

    torch.testing.assert_close(
        stream_scales(sizes), torch.tensor([1.0, 0.25, 0.0625, 1.0]).double()
    )


def test_a_large_sum_does_not_make_the_small_values_before_it_coarse():
    small, large = [1.0, 1.0, 1.0, 1.0], [1000.0, 1.0, 1.0, 1.0]
    sizes = torch.tensor([small, large]).double()

    def noise(scales):
        return float((sizes / scales).amax(1).square().sum() * scales.square().sum())

    found = stream_scales(sizes)

    together = (sizes.amax(0) / sizes.max()).clamp(min=LEAST_SCALE)
    assert noise(found) <= noise(torch.ones(4).double())
    assert noise(found) <= noise(together)
    assert float((sizes[0] / found).max()) < float((sizes[0] / together).max())
