"""Sums and products of values of different sizes: the axes of either side, or of both, repeat."""

from __future__ import annotations

import itertools

import pytest

from intaglio.errors import UnsupportedByTarget
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, Network, cases

SUBSETS = [axes for count in range(4) for axes in itertools.combinations((1, 2, 3), count)]
CASES = cases(200)
"""Every pair of sets of axes that repeat is 64 of them."""


def network(seed: int, op: str) -> Network:
    """Combine two means over axes of one value, each of its own size."""
    made = Network(seed)
    x = made.input([int(size) for size in made.random.integers(2, 5, 3)])
    operands = []
    for axes in (SUBSETS[seed % 8], SUBSETS[seed // 8 % 8]):
        source = made.operand(x, 0, made.graph[x].shape[1])
        attrs = {"axes": axes, "keepdim": True}
        operands.append(made.add("mean", [source], attrs, output=False) if axes else source)
    made.add(op, operands, {"activation": None})
    return made


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("op", ["add", "sub", "mul"])
def test_every_way_of_repeating_gives_the_bits_of_the_runtime(op: str, target: Target) -> None:
    refused = 0
    for seed in range(CASES):
        made = network(seed, op)
        try:
            counts = made.assert_same_bits(target)
        except UnsupportedByTarget:  # a difference of equal values has a grid too fine for both
            refused += 1
            continue
        assert target.is_reference or (counts.partitions, counts.builtin) == (1, [])
    assert refused <= 2 + CASES * 0.15  # of few seeds two are soon the wrong ones
