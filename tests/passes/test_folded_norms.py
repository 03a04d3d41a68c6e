"""What batch norms know stays known where constants beside them were folded as well."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.folded_norms import folded_norms

GAIN, OFFSET = torch.tensor([0.5, -2.0, 3.0, 0.1]), torch.tensor([1.0, 0.2, -3.0, 0.0])


def line(sketch: Sketch, value: str, *, number: int = 0) -> str:
    """Append GAIN * value + OFFSET, the offset as the first operand."""
    sketch.constant(f"gain{number}", GAIN.reshape(4, 1, 1))
    sketch.constant(f"offset{number}", OFFSET.reshape(1, 4, 1, 1))
    value = sketch.add(f"product{number}", "mul", value, f"gain{number}")
    return sketch.add(f"sum{number}", "add", f"offset{number}", value)


def found(captured: Graph) -> tuple[Graph, dict[str, BatchNorm]]:
    """Return the canonical graph, and the norms that its layers took in."""
    canonical = captured.copy()
    canonicalize(canonical)
    return canonical, folded_norms(captured, canonical, canonical)


def assert_makes_the_layer(norm: BatchNorm, canonical: Graph, layer: str) -> None:
    """Assert that weight and bias are what the norm says that they are made of."""
    assert norm.layer_weight is not None
    weight = norm.layer_weight.double() * norm.gain.reshape(-1, 1, 1, 1)
    away = -norm.mean.double() if norm.layer_bias is None else norm.layer_bias - norm.mean.double()
    bias = away * norm.gain + norm.beta.double()
    # Each of some three foldings rounds by 2**-24 of the largest term, and terms are below 20.
    for role, expected in (("weight", weight), ("bias", bias)):
        torch.testing.assert_close(
            canonical.param(canonical[layer], role).double(), expected, rtol=1e-6, atol=1e-5
        )


def test_a_norm_with_constants_behind_it_is_the_one_of_both():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.norm("norm", "conv")
    line(sketch, "norm")
    captured = sketch.done()
    own = found(sketch_without_line())[1]["conv"]

    canonical, norms = found(captured)

    assert list(norms) == ["conv"]
    norm = norms["conv"]
    assert_makes_the_layer(norm, canonical, "conv")
    torch.testing.assert_close(norm.gamma, own.gamma * GAIN)
    torch.testing.assert_close(norm.beta, own.beta * GAIN + OFFSET)
    torch.testing.assert_close(norm.normal().std, own.normal().std * GAIN.double().abs())
    assert torch.equal(norm.mean, own.mean)
    assert torch.equal(norm.var, own.var)
    # Trained on, the user's gamma and beta would take in the constants a second time.
    assert set(norm.names) == {"mean", "var", "weight", "bias"}


def sketch_without_line() -> Graph:
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.norm("norm", "conv")
    return sketch.done()


def test_a_norm_behind_constants_has_statistics_of_what_they_make():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.norm("norm", line(sketch, "conv"))
    captured = sketch.done()

    canonical, norms = found(captured)

    assert list(norms) == ["conv"]
    norm = norms["conv"]
    assert_makes_the_layer(norm, canonical, "conv")
    assert torch.equal(norm.mean, captured.params["norm.mean"])
    assert torch.equal(norm.beta, captured.params["norm.bias"])
    assert norm.layer_bias is not None
    own = captured.params["conv.bias"]
    torch.testing.assert_close(norm.layer_bias, own * GAIN + OFFSET)
    assert set(norm.names) == {"gamma", "beta", "mean", "var"}


def test_constants_on_both_sides_are_both_part_of_it():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    line(sketch, sketch.norm("norm", line(sketch, "conv")), number=1)

    canonical, norms = found(sketch.done())

    assert list(norms) == ["conv"]
    assert_makes_the_layer(norms["conv"], canonical, "conv")


def test_a_norm_alone_is_named_and_kept_as_it_was_captured():
    captured = sketch_without_line()

    canonical, norms = found(captured)

    assert_makes_the_layer(norms["conv"], canonical, "conv")
    assert norms["conv"].gamma is captured.params["norm.weight"]
    assert len(norms["conv"].names) == 6


@pytest.mark.parametrize("number", [3.0, 0.001])
def test_a_constant_that_a_function_took_is_none_of_the_layers(number):
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.norm("norm", "conv")
    sketch.constant("c", torch.tensor(number))
    sketch.add("sum", "add", "norm", "c")
    sketch.add("function", "function", "sum", chain=(("exp",),))
    captured = sketch.done()

    canonical, norms = found(captured)

    assert "sum" not in canonical.nodes
    assert_makes_the_layer(norms["conv"], canonical, "conv")


def test_a_norm_without_a_layer_has_no_line_behind_it():
    sketch = Sketch(4, 6, 6)
    sketch.norm("norm", "x")
    line(sketch, "norm")
    captured = sketch.done()

    _, norms = found(captured)

    assert list(norms) == ["norm"]
    assert torch.equal(norms["norm"].beta, captured.params["norm.bias"])
