"""Moments from batch norms: read before they fold, keyed by what they fold into, carried on."""

from __future__ import annotations

import pytest
import torch

from architectures import captured_zoo, images
from architectures.sketch import Sketch
from intaglio.ir.graph import Node
from intaglio.numerics.normal import Normal
from intaglio.ops.traits import WEIGHTED
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.channel_statistics import post_activation
from intaglio.passes.implied_values import value_moments
from intaglio.run.float import run_float
from intaglio.runtimes.litert.lower.lower import lower
from passes.statistics import statistics_of
from passes.trained import mobilenet_v2


def doubles(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_the_deviation_is_gamma_only_where_the_variance_is_far_above_eps():
    sketch = Sketch(3, 4, 4)
    sketch.conv("conv", "x", 3)
    sketch.norm("norm", "conv")
    graph = sketch.done()
    graph.params["norm.var"] = torch.tensor([0.0, 1e-3, 1e9])
    graph.params["norm.weight"] = torch.tensor([2.0, -2.0, 2.0])

    found = statistics_of(graph)

    assert list(found) == ["conv"]
    torch.testing.assert_close(found["conv"].std, doubles(0.0, 2**0.5, 2.0), rtol=1e-6, atol=0)
    assert torch.equal(found["conv"].mean, graph.params["norm.bias"].double())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "without_norm"),
    [
        ("mobilenet_v1_tf(width=0.25)", 1),
        ("mobilenet_v2_tf", 1),
        ("mobilenet_v3_small", 2 + 2 * 9),  # classifiers, and two layers in each squeeze-excite
        ("resnet20_cifar10", 1),
    ],
)
def test_every_layer_of_the_zoo_that_took_in_a_norm_has_an_entry(model, without_norm):
    captured = captured_zoo(model).copy()
    norms = sum(node.op == "batch_norm" for node in captured)
    graph = captured.copy()
    canonicalize(graph)

    found = statistics_of(captured)

    layers = {node.name for node in graph if node.op in WEIGHTED}
    assert len(found) == norms == len(layers) - without_norm
    assert set(found) <= layers
    assert all(len(found[name].mean) == graph[name].shape[1] for name in found)
    lower(graph)
    assert all(graph[name].op == "conv2d" for name in found)
    assert sum(node.op == "batch_norm" for node in captured) == norms  # it is not changed


def test_a_norm_that_no_layer_takes_in_is_known_as_an_affine():
    sketch = Sketch(4, 6, 6)
    sketch.norm("first", "x")
    sketch.conv("conv", "first", 4, activation=(0.0, 6.0))
    sketch.norm("second", "conv")

    assert list(statistics_of(sketch.done())) == ["first", "second"]


def test_of_two_norms_in_a_row_each_is_known():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.norm("first", "conv")
    sketch.norm("second", "first")
    graph = sketch.done()

    found = statistics_of(graph)

    assert list(found) == ["conv", "second"]
    assert torch.equal(found["conv"].mean, graph.params["first.bias"].double())


def test_a_layer_whose_bias_lowering_changes_has_no_entry():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.norm("norm", "conv")
    sketch.add("gate", "hard_sigmoid", "norm")  # lowering adds its 3 to the bias

    assert statistics_of(sketch.done()) == {}


def test_behind_a_relu_the_moments_are_the_clipped_ones():
    found = post_activation(Normal(doubles(0.0, -3.0), doubles(1.0, 0.0)), (0.0, float("inf")))

    assert found.mean.tolist() == [pytest.approx(0.3989422804), 0.0]
    assert found.std.tolist() == [pytest.approx((0.5 - 0.15915494309) ** 0.5), 0.0]


def test_a_sum_adds_means_and_variances_and_then_clamps():
    sketch = Sketch(2, 4, 4)
    sketch.conv("a", "x", 2)
    sketch.conv("b", "x", 2)
    sketch.add("sum", "add", "a", "b", activation=(0.0, float("inf")))
    statistics = {
        "a": Normal(doubles(1.0, -9.0), doubles(3.0, 0.0)),
        "b": Normal(doubles(2.0, 4.0), doubles(4.0, 0.0)),
    }

    found = value_moments(sketch.done(), statistics)

    expected = post_activation(Normal(doubles(3.0, -5.0), doubles(5.0, 0.0)), (0.0, float("inf")))
    assert torch.equal(found["sum"].mean, expected.mean)
    assert found["sum"].mean[1] == 0.0
    assert torch.equal(found["sum"].std, expected.std)
    assert "x" not in found


def test_constants_are_followed_through_every_op_that_is_known():
    """With deviation 0 the moments are the values themselves, a second computation by running."""
    sketch = Sketch(2, 8, 8)
    sketch.conv("conv", "x", 4, kernel=1)
    sketch.constant("offset", sketch.random(1, 4, 1, 1))
    sketch.add("shifted", "add", "conv", "offset")
    sketch.add("wide", "concat", "shifted", "conv", axis=1)
    sketch.add("part", "slice", "wide", axis=1, start=1, stop=7, step=2)
    sketch.add("crop", "slice", "part", axis=2, start=0, stop=4, step=1)
    sketch.add("pool", "max_pool2d", "crop", kernel=(2, 2))
    sketch.weighted(
        "affine", "affine", "pool", {"weight": sketch.random(3), "bias": sketch.random(3)}
    )
    sketch.conv("mixed", "affine", 6, kernel=2, groups=3, activation=(0.0, 6.0))
    sketch.add("twice", "rescale", "mixed", factor=2.0)
    sketch.add("less", "sub", "twice", "mixed")
    sketch.add("flat", "reshape", "less", shape=(-1, 6 * 2 * 6))
    sketch.weighted("linear", "linear", "flat", {"weight": sketch.random(5, 72)})
    graph = sketch.done()
    graph.params["conv.weight"] = torch.zeros(4, 2, 1, 1)
    bias = graph.params["conv.bias"].double()
    seen: dict[str, torch.Tensor] = {}

    found = value_moments(graph, {"conv": Normal(bias, torch.zeros(4, dtype=torch.float64))})

    run_float(
        graph, images((1, 2, 8, 8), 1), tap=lambda node, value: seen.update({node.name: value})
    )
    assert set(found) == set(seen) - {"x", "offset"}
    for name, moments in found.items():
        value = seen[name].flatten(2).mean(2) if seen[name].ndim > 2 else seen[name]
        torch.testing.assert_close(moments.mean, value[0].double(), rtol=1e-5, atol=1e-5)
        assert not moments.std.any()


@pytest.mark.slow
def test_the_moments_of_a_trained_network_are_those_of_its_images(data_pack):
    network = mobilenet_v2(data_pack, images=16)
    moments = value_moments(network.graph, statistics_of(network.captured))
    seen: dict[str, torch.Tensor] = {}

    def look(node: Node, value: torch.Tensor) -> None:
        if node.name in moments and value.ndim == 4:
            seen[node.name] = value.transpose(0, 1).flatten(1).mean(1).double()

    run_float(network.graph, network.images, tap=look)

    for name, mean in seen.items():
        difference = (moments[name].mean - mean).square().mean().sqrt()
        # the means of 16 images, or of the whole training set: far apart is half a deviation
        assert float(difference / moments[name].std.square().mean().sqrt()) < 0.5, name
    assert {"features.0.0", "features.1.conv.1", "features.9.add", "avgpool"} <= set(seen)
