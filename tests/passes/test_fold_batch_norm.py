"""Batch norms disappear into the layer before them, exactly once, and only where they may."""

from __future__ import annotations

import pytest
import torch

from architectures import captured, images
from architectures.sketch import Sketch
from intaglio.errors import NonFiniteError
from intaglio.ir.text import text
from intaglio.passes.fold_batch_norm import batch_norm_to_affine, fold_batch_norm
from intaglio.run.float import run_float

X = images((1, 4, 6, 6), 3)


def largest_relative_error(graph, before, x=X) -> float:
    ours, theirs = run_float(graph, x)[0].double(), run_float(before, x)[0].double()
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("op", ["conv2d", "conv_transpose2d"])
def test_folding_keeps_the_function(op, has_bias, groups):
    sketch = Sketch(4, 6, 6)
    shape = (8, 4 // groups, 3, 3) if op == "conv2d" else (4, 8 // groups, 3, 3)
    weights = {"weight": sketch.random(*shape)}
    if has_bias:
        weights["bias"] = sketch.random(8)
    sketch.weighted("layer", op, "x", weights, groups=groups)
    sketch.norm("norm", "layer")
    graph = sketch.done()
    before = graph.copy()

    assert fold_batch_norm(graph) == 1

    assert [node.name for node in graph] == ["x", "layer"]
    assert set(graph["layer"].params) == {"weight", "bias"}
    assert len(graph.params) == 2
    assert largest_relative_error(graph, before) < 1e-5


def test_a_linear_layer_takes_its_batch_norm():
    sketch = Sketch(5)
    sketch.weighted("linear", "linear", "x", {"weight": sketch.random(3, 5)})
    sketch.norm("norm", "linear")
    graph = sketch.done()
    before = graph.copy()

    assert fold_batch_norm(graph) == 1

    assert largest_relative_error(graph, before, torch.randn(4, 5)) < 1e-5


def test_a_linear_layer_over_another_axis_does_not():
    sketch = Sketch(3, 5)  # the norm is over axis 1, the layer over axis 2
    sketch.weighted("linear", "linear", "x", {"weight": sketch.random(5, 5)})
    sketch.norm("norm", "linear")

    assert fold_batch_norm(sketch.done()) == 0


def test_folding_is_the_formula():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 2, kernel=1)
    sketch.norm("norm", "conv")
    graph = sketch.done()
    gamma, beta, mean, var = (
        graph.params[f"norm.{role}"].double() for role in ("weight", "bias", "mean", "var")
    )
    alpha = gamma / (var + 1e-3).sqrt()  # gamma once, not twice: an erratum of several reviews
    weight = graph.params["conv.weight"].double() * alpha.reshape(-1, 1, 1, 1)
    bias = beta + alpha * (graph.params["conv.bias"].double() - mean)

    fold_batch_norm(graph)

    torch.testing.assert_close(graph.params["conv.weight"].double(), weight, rtol=2**-23, atol=0)
    torch.testing.assert_close(graph.params["conv.bias"].double(), bias, rtol=2**-22, atol=1e-7)


def test_fold_leaves_a_shared_convolution_alone():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.norm("norm", "conv")
    graph = sketch.done("norm", "conv")
    before = graph.copy()

    assert fold_batch_norm(graph) == 0

    assert text(graph) == text(before)


def test_fold_leaves_an_activated_convolution_alone():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4, activation=(0.0, 6.0))
    sketch.norm("norm", "conv")

    assert fold_batch_norm(sketch.done()) == 0


def test_two_batch_norms_in_a_row_fold_one_after_the_other():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.norm("first", "conv")
    sketch.norm("second", "first")
    graph = sketch.done()
    before = graph.copy()

    assert [fold_batch_norm(graph) for _ in range(3)] == [1, 1, 0]

    assert largest_relative_error(graph, before) < 1e-5


def test_a_weight_that_calls_share_is_never_scaled_twice():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.norm("norm", "conv")
    sketch.conv("again", "norm", 4)
    graph = sketch.graph
    graph["again"].params = dict(graph["conv"].params)  # the module is called a second time
    sketch.norm("norm2", "again")
    graph = sketch.done("norm2")
    graph.drop_unused()
    before = graph.copy()
    shared = graph.params["conv.weight"].clone()

    assert fold_batch_norm(graph) == 2

    assert largest_relative_error(graph, before, images((1, 4, 12, 12), 2)) < 1e-5
    assert graph["conv"].params["weight"] != graph["again"].params["weight"]
    assert torch.equal(before.params["conv.weight"], shared)


@pytest.mark.parametrize("name", ["reused", "nasnet"])
def test_reused_modules_keep_their_function(name):
    network = captured(name)
    graph = network.graph
    x = images(network.input_shape, 2)

    assert fold_batch_norm(graph) >= 2

    ours, theirs = run_float(graph, x)[0], network.outputs(x)[0]
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-5


def test_what_cannot_be_folded_becomes_affine():
    sketch = Sketch(4, 6, 6)
    sketch.norm("norm", "x")
    sketch.clamp("relu", "norm")
    graph = sketch.done()
    before = graph.copy()

    assert batch_norm_to_affine(graph) == 1

    assert text(graph) == (
        "x = input() -> [N,4,6,6]\n"
        "norm = affine(x) -> [N,4,6,6]\n"
        "relu = clamp(norm) {activation=relu} -> [N,4,6,6]\n"
        "return relu\n"
    )
    assert graph["norm"].source == "layer.norm"
    assert set(graph.params) == {"norm.weight", "norm.bias"}
    assert largest_relative_error(graph, before) < 1e-5


def test_a_batch_norm_without_gain_has_gain_one():
    sketch = Sketch(4, 6, 6)
    sketch.weighted(
        "norm", "batch_norm", "x", {"mean": torch.ones(4), "var": torch.ones(4)}, eps=0.0
    )
    graph = sketch.done()

    batch_norm_to_affine(graph)

    assert torch.equal(graph.params["norm.weight"], torch.ones(4))
    assert torch.equal(graph.params["norm.bias"], -torch.ones(4))


@pytest.mark.parametrize("step", [fold_batch_norm, batch_norm_to_affine])
def test_a_norm_that_divides_by_zero_is_named(step):
    sketch = Sketch(4, 6, 6)
    source = sketch.conv("layer", "x", 4)
    sketch.norm("norm", source if step is fold_batch_norm else "x")
    graph = sketch.done()
    graph["norm"].attrs["eps"] = 0.0
    graph.set_param(graph["norm"], "var", torch.tensor([1.0, 0.0, 2.0, 0.0]))

    with pytest.raises(NonFiniteError, match=r"'layer\.norm'.*zero.*2 of 4.*is 0 and eps 0"):
        step(graph)
