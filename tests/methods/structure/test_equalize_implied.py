"""Equalization by batch norms alone: closed forms, clamps that stay, and less noise than before."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.methods.structure.equalize_implied import clamp_moved, equalize_implied
from intaglio.numerics.affine import fake_quantize, params_from_range
from intaglio.numerics.normal import Normal
from intaglio.numerics.spec import QuantSpec
from intaglio.run.float import run_float
from methods.quantized import random_images
from passes.same_function import assert_same_function

X = random_images(8, size=8)
RELU, RELU6 = (0.0, float("inf")), (0.0, 6.0)
PER_TENSOR = QuantSpec(bits=8, symmetric=True, narrow=True)
PER_ROW_4 = QuantSpec(bits=4, symmetric=True, axis=0, narrow=True)
UNEQUAL = torch.tensor([0.02, 0.3, 1.0, 20.0])


def pair(activation=None) -> Graph:
    """Return two layers between which channels differ a thousandfold."""
    sketch = Sketch(3, 8, 8)
    sketch.conv("narrow", "x", 4, 1, activation=activation)
    sketch.conv("wide", "narrow", 6, 1)
    graph = sketch.done()
    for role in ("weight", "bias"):
        spread = UNEQUAL.reshape(-1, 1, 1, 1) if role == "weight" else UNEQUAL
        graph.params[f"narrow.{role}"] = graph.params[f"narrow.{role}"] * spread
    graph.params["wide.weight"] = graph.params["wide.weight"] / UNEQUAL.reshape(1, -1, 1, 1)
    return graph


def stated(graph: Graph) -> dict[str, Normal]:
    """Return what images give before activations."""
    bare = graph.copy()
    for node in bare:
        if "activation" in node.attrs:
            node.attrs["activation"] = None
    found = {}

    def tap(node, value):
        if node.op == "conv2d":
            std, mean = torch.std_mean(value.double(), (0, 2, 3), correction=0)
            found[node.name] = Normal(mean, std)

    run_float(bare, X, tap=tap)
    return found


def loss_of_rounding(graph: Graph, spec: QuantSpec) -> float:
    rounded = graph.copy()
    for name in ("narrow", "wide"):
        weight = graph.params[f"{name}.weight"]
        most = weight.abs().flatten(1).amax(1) if spec.axis == 0 else weight.abs().max()
        rounded.params[f"{name}.weight"] = fake_quantize(
            weight, params_from_range(-most, most, spec)
        )
    wanted, found = (run_float(one, X)[0] for one in (graph, rounded))
    return float((wanted - found).square().mean() / wanted.var())


@pytest.mark.parametrize("activation", [None, RELU])
@pytest.mark.parametrize(("spec", "share"), [(PER_TENSOR, 0.3), (PER_ROW_4, 0.95)])
def test_the_function_stays_and_rounding_loses_less(activation, spec, share):
    graph = pair(activation)
    before, statistics = graph.copy(), stated(graph)

    equalize_implied(graph, statistics, {"narrow": spec, "wide": spec})

    assert_same_function(before, graph, X)
    assert loss_of_rounding(graph, spec) < share * loss_of_rounding(before, spec)


def test_statistics_follow_the_scales():
    graph = pair(RELU)
    before = graph.copy()
    statistics = stated(graph)

    rescaled = equalize_implied(graph, statistics, dict.fromkeys(("narrow", "wide"), PER_TENSOR))

    scale = before.params["narrow.bias"].double() / graph.params["narrow.bias"].double()
    for part in ("mean", "std"):
        old, new = (getattr(one["narrow"], part) for one in (statistics, rescaled))
        torch.testing.assert_close(new * scale, old, rtol=1e-4, atol=1e-6)
    assert rescaled["wide"] is statistics["wide"]


def test_a_clamp_that_cuts_much_stays_where_it_is():
    graph = pair(RELU6)
    statistics = stated(graph)
    busy = Normal(torch.full((4,), 5.0).double(), torch.full((4,), 3.0).double())

    rescaled = equalize_implied(
        graph, {**statistics, "narrow": busy}, dict.fromkeys(("narrow", "wide"), PER_TENSOR)
    )

    # a thousandfold is undone in part at most: 2 of 4 lie in the linear part of the clamp anyway
    scale = busy.std / rescaled["narrow"].std
    assert scale.min() > 0.3


def test_a_stream_that_no_batch_norm_tells_is_left_alone():
    graph = pair(RELU6)
    before = graph.copy()

    assert equalize_implied(graph, {}, dict.fromkeys(("narrow", "wide"), PER_TENSOR)) == {}

    for role, values in before.params.items():
        assert torch.equal(graph.params[role], values)


def test_a_clamp_that_does_not_begin_at_zero_is_left_alone():
    graph = pair((-1.0, 6.0))
    before = graph.copy()

    equalize_implied(graph, stated(graph), dict.fromkeys(("narrow", "wide"), PER_TENSOR))

    assert torch.equal(graph.params["narrow.weight"], before.params["narrow.weight"])


@pytest.mark.parametrize("scale", [0.25, 0.7, 1.5, 4.0])
def test_what_a_moved_clamp_costs_is_the_integral_over_laplace(scale):
    normal = Normal(torch.tensor([-1.0, 1.0]).double(), torch.tensor([2.0, 1.0]).double())
    points = torch.linspace(-60.0, 60.0, 400_001, dtype=torch.float64).unsqueeze(1)
    rate = normal.std / 2.0**0.5
    density = (-(points - normal.mean).abs() / rate).exp() / (2.0 * rate)
    moved = points.clamp(max=6.0) - points.clamp(max=6.0 * scale)
    wanted = (density * moved.square()).sum(0) * (points[1] - points[0])

    found = clamp_moved(normal, 6.0, torch.full((2,), scale).double())

    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-9)


def test_a_clamp_at_its_place_costs_nothing():
    normal = Normal(torch.tensor([-1.0, 9.0]).double(), torch.tensor([2.0, 0.0]).double())

    assert clamp_moved(normal, 6.0, torch.ones(2).double()).tolist() == [0.0, 0.0]
