"""Rows of a weight: what a row holds is what its output channel is made with, and nothing else."""

from __future__ import annotations

import pytest
import torch

from intaglio.ops import OPS
from intaglio.ops.traits import WEIGHTED
from intaglio.ops.weight_rows import weight_rows
from ops.samples import Sample, sample

CASES = {
    "conv2d": sample("conv2d", {"weight": (6, 4, 3, 2)}),
    "grouped": sample("conv2d", {"weight": (6, 2, 3, 3)}, groups=2),
    "linear": sample("linear"),
    "conv_transpose2d": sample("conv_transpose2d", {"weight": (4, 5, 3, 3)}),
    "grouped transposed": sample("conv_transpose2d", {"weight": (4, 3, 2, 3)}, groups=2),
}


def test_every_op_with_a_weight_is_among_the_cases():
    assert {tried.node.op for tried in CASES.values()} == set(WEIGHTED)


@pytest.mark.parametrize("name", CASES)
def test_a_row_holds_the_weights_that_its_channel_depends_on(name):
    tried: Sample = CASES[name]
    weight = tried.params["weight"].clone().requires_grad_()
    numbers = torch.arange(weight.numel()).reshape(weight.shape)
    value = OPS[tried.node.op].function(tried.node, tried.inputs, {"weight": weight})

    rows = weight_rows(tried.node, numbers)

    assert len(rows) == value.shape[1]
    for channel, row in enumerate(rows):
        (slope,) = torch.autograd.grad(value[:, channel].sum(), weight, retain_graph=True)
        assert set(row.tolist()) == set(numbers[slope != 0].tolist())
