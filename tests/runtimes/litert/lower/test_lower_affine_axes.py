"""Batch norms over sequences: a product and a sum, exact in integers."""

from __future__ import annotations

import pytest
import torch

import intaglio
from architectures import images
from architectures.sketch import Sketch
from intaglio.runtimes.litert.lower.lower_affine_axes import lower_affine_axes
from passes.same_function import assert_same_function, ops


def affine(*shape: int):
    sketch = Sketch(*shape)
    weights = {"weight": sketch.random(shape[0]), "bias": sketch.random(shape[0])}
    sketch.weighted("norm", "affine", "x", weights, activation=(0.0, 6.0))
    return sketch.done()


@pytest.mark.parametrize("shape", [(4, 5), (4, 2, 3, 5)])
def test_three_and_five_axes_become_a_product_and_a_sum(shape):
    graph = affine(*shape)
    before = graph.copy()

    assert lower_affine_axes(graph) == 1

    assert ops(graph) == ["mul", "add"]
    assert graph["norm"].attrs["activation"] == (0.0, 6.0)
    assert_same_function(graph, before, images((1, *shape), 2), exact=True)


@pytest.mark.parametrize("shape", [(4,), (4, 3, 5)])
def test_two_and_four_axes_are_left_to_layers_with_weights(shape):
    assert lower_affine_axes(affine(*shape)) == 0


class Sequence(torch.nn.Module):
    """A batch norm over the pixels of a convolution's output, as a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, 8, 3, 2), torch.nn.BatchNorm1d(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x).flatten(2))


@pytest.mark.parametrize("target", ["litert", "litert-reference"])
def test_a_batch_norm_over_a_sequence_is_held_in_integers(target):
    torch.manual_seed(0)
    x = torch.randn(8, 3, 10, 10)

    report = intaglio.compress(
        Sequence().eval(), x[:1], data=x, recipe="plain", target=target
    ).report

    assert report.check.mismatches == 0
    assert report.kept_float == []
