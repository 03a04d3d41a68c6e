"""Ops that only move integers: the file's every integer is the twin's, in the right place."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from intaglio.errors import UnsupportedByTarget
from intaglio.numerics.spec import per_tensor
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.lower.lower_shapes import LARGEST_CONCAT
from intaglio.runtimes.litert.ops.shape import filling_integer
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, Network, cases

CASES = cases(200)
RANKS = (2, 3, 4, 5)

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def random_input(network: Network, rank: int) -> str:
    """Add an input of `rank` axes, the batch included; an axis in four has size 1."""
    sizes = network.random.integers(1, 8, rank - 1)
    sizes[network.random.random(rank - 1) < 0.25] = 1
    return network.input(tuple(int(size) for size in sizes))


def move(network: Network, op: str, inputs: list[str], attrs: dict[str, Any]) -> str:
    """Add an op that moves integers, on its input's grid."""
    return network.add(op, inputs, attrs, grid=network.grids[inputs[0]])


def concat(seed: int) -> Network:
    """Concatenate 2 to 8 times a slice of one value along any axis but the batch."""
    network = Network(seed)
    random, rank = network.random, network.choose(2, 3, 4, 4)
    axis = int(random.integers(1, rank))
    x = network.input((9, *(int(size) for size in random.integers(2, 6, rank - 2))))
    slices: list[str] = []
    for _ in range(3):
        start = int(random.integers(0, 8))
        stop = int(random.integers(start + 1, 10)) if axis == 1 else start + 1
        attrs = {"axis": 1, "start": start, "stop": stop, "step": 1}
        slices.append(move(network, "slice", [x], attrs))
    parts = [network.choose(*slices) for _ in range(int(random.integers(2, 9)))]
    move(network, "concat", parts, {"axis": axis})
    return network


@both_targets
def test_concat_gives_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        network = concat(seed)

        counts = network.assert_same_bits(target)

        # a concatenation of more than five runs in a built-in kernel: lowering splits it
        many = len(network.graph["concat"].inputs) > LARGEST_CONCAT
        if target is LITERT:
            assert counts.builtin == (["CONCATENATION"] if many else []), f"seed {seed}"


@both_targets
def test_concat_refuses_operands_on_different_grids(target: Target) -> None:
    network = Network(0)
    x = network.input((4, 5, 5))
    parts = [network.operand(x, 0, 2), network.operand(x, 2, 4)]
    network.add("concat", parts, {"axis": 1}, grid=network.grids[parts[0]])

    with pytest.raises(UnsupportedByTarget, match="different grids"):
        network.assert_same_bits(target)


def pad(seed: int) -> Network:
    """Pad height and width, or channels too, with zeros."""
    network = Network(seed)
    rank = network.choose(3, 4, 4, 4)
    x = random_input(network, rank)
    axes = int(network.random.integers(1, rank))
    amounts = tuple(int(amount) for amount in network.random.integers(0, 4, 2 * axes))
    move(network, "pad", [x], {"padding": amounts, "value": 0.0})
    return network


@both_targets
def test_pad_gives_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        counts = pad(seed).assert_same_bits(target)

        assert (not target.is_reference) == (counts.builtin == []), f"seed {seed}: {counts.builtin}"


def filled(seed: int) -> Network:
    """Pad 2 to 4 axes with a number, inside or outside of the grid."""
    network = Network(seed)
    rank = network.choose(2, 3, 4, 4)
    x = random_input(network, rank)
    axes = int(network.random.integers(1, rank))
    amounts = tuple(int(amount) for amount in network.random.integers(0, 3, 2 * axes))
    value = network.choose(math.inf, -math.inf, -1e4, float(network.random.normal()))
    move(network, "pad", [x], {"padding": amounts, "value": value})
    return network


@both_targets
def test_pad_with_any_number_gives_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        counts = filled(seed).assert_same_bits(target)

        assert (not target.is_reference) == (counts.builtin == []), f"seed {seed}: {counts.builtin}"


def test_an_infinite_number_is_the_end_of_the_grid() -> None:
    for value, end in ((-math.inf, -128), (math.inf, 127), (1e30, 127)):
        assert filling_integer(value, per_tensor(0.1, 5)) == end


@both_targets
def test_pad_refuses_cropping(target: Target) -> None:
    network = Network(0)
    x = network.input((2, 3, 4))
    move(network, "pad", [x], {"padding": (0, 0, -1, 1), "value": 0.0})

    with pytest.raises(UnsupportedByTarget, match="padding"):
        network.assert_same_bits(target)


def slice_axis(seed: int) -> Network:
    """Cut one axis, with a step of 1 half of the time."""
    network = Network(seed)
    rank = network.choose(*RANKS)
    x = random_input(network, rank)
    axis = int(network.random.integers(1, rank))
    size = network.values[x].shape[axis]
    start = int(network.random.integers(0, size))
    stop = int(network.random.integers(start + 1, size + 1))
    step = network.choose(1, 1, 2, 3)
    move(network, "slice", [x], {"axis": axis, "start": start, "stop": stop, "step": step})
    return network


@both_targets
def test_slice_gives_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        network = slice_axis(seed)

        counts = network.assert_same_bits(target)

        stepped = network.graph["slice"].attrs["step"] > 1  # left to the built-in kernel
        if target is LITERT:
            assert counts.builtin == (["STRIDED_SLICE"] if stepped else []), f"seed {seed}"


@both_targets
def test_take_gives_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        network = Network(seed)
        rank = network.choose(*RANKS)
        x = random_input(network, rank)
        axis = int(network.random.integers(1, rank))
        size, count = network.values[x].shape[axis], int(network.random.integers(1, 9))
        indices = tuple(int(index) for index in network.random.integers(0, size, count))
        move(network, "take", [x], {"axis": axis, "indices": indices})

        counts = network.assert_same_bits(target)

        if target is LITERT:
            assert counts.builtin == ["GATHER"], f"seed {seed}"


@both_targets
@pytest.mark.parametrize("rank", RANKS)
def test_transpose_gives_the_bits_of_the_runtime_in_every_order(rank: int, target: Target) -> None:
    orders = list(itertools.permutations(range(1, rank)))
    for seed in range(max(60, len(orders))):
        network = Network(seed)
        x = random_input(network, rank)
        move(network, "transpose", [x], {"order": (0, *orders[seed % len(orders)])})

        counts = network.assert_same_bits(target)

        assert (not target.is_reference) == (counts.builtin == []), f"seed {seed}: {counts.builtin}"


@both_targets
@pytest.mark.parametrize(("before", "after"), list(itertools.product(RANKS, RANKS)))
def test_reshape_gives_the_bits_of_the_runtime(before: int, after: int, target: Target) -> None:
    for seed in range(25):
        network = Network(seed)
        x = random_input(network, before)
        left, sizes = math.prod(network.values[x].shape[1:]), []
        for _ in range(after - 2):
            sizes.append(network.choose(*(size for size in range(1, left + 1) if left % size == 0)))
            left //= sizes[-1]
        move(network, "reshape", [x], {"shape": (-1, *sizes, left)})

        counts = network.assert_same_bits(target)

        assert (not target.is_reference) == (counts.builtin == []), f"seed {seed}: {counts.builtin}"


@both_targets
def test_a_channel_shuffle_gives_the_bits_of_the_runtime(target: Target) -> None:
    network = Network(0)
    x = network.input((6, 4, 5))
    split = move(network, "reshape", [x], {"shape": (-1, 2, 3, 4, 5)})
    swapped = move(network, "transpose", [split], {"order": (0, 2, 1, 3, 4)})
    move(network, "reshape", [swapped], {"shape": (-1, 6, 4, 5)})

    counts = network.assert_same_bits(target)

    assert (not target.is_reference) == (counts.builtin == [])


@both_targets
def test_depth_to_space_gives_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        network = Network(seed)
        block = network.choose(2, 2, 3, 4)
        height, width = network.choose(1, 2, 3), network.choose(1, 2, 5)
        x = network.input((network.choose(1, 2, 3) * block * block, height, width))
        move(network, "depth_to_space", [x], {"block": block})

        counts = network.assert_same_bits(target)

        assert (not target.is_reference) == (counts.builtin == []), f"seed {seed}: {counts.builtin}"
