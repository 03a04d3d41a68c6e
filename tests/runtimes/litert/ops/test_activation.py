"""Sigmoid, tanh and leaky ReLU: the file's every integer is the twin's."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.errors import UnsupportedByTarget
from intaglio.numerics.spec import QuantSpec, per_tensor
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.ops.activation import (
    PRESCRIBED,
    float32_tanh,
    prescribed,
    xnnpack_sigmoid,
)
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, Network
from runtimes.litert.ops.operands import assert_bits, every_integer, size

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
functions = pytest.mark.parametrize("op", ["sigmoid", "tanh"])


def table_network(seed: int, op: str, target: Target) -> Network:
    """Return a network of one function; in XNNPACK every other one is on a grid of its own."""
    network = Network(seed)
    grid = per_tensor(network.scale(2.0**-8, 1.0), network.zero_point())
    shape = [size(network) for _ in range(network.choose(3, 3, 2, 1))]
    x = network.input(shape, grid)
    made = PRESCRIBED[op]
    if target is LITERT and seed % 4 < 2:
        made = per_tensor(network.scale(2.0**-9, 2.0**-6), network.zero_point())
    network.add(op, [x], grid=made)
    return network


@both_targets
@functions
def test_tables_give_the_bits_of_the_runtime(op: str, target: Target) -> None:
    assert_bits(lambda seed: table_network(seed, op, target), target)


@both_targets
@functions
def test_every_entry_of_a_table_is_that_of_the_runtime(op: str, target: Target) -> None:
    for seed in range(8):
        network = Network(seed)
        grid = per_tensor(network.scale(2.0**-7, 2.0), network.zero_point())  # up to |x| = 510
        x = network.input((1, 16, 16), grid)
        network.values[x] = every_integer(grid)
        network.add(op, [x], grid=PRESCRIBED[op])

        counts = network.assert_same_bits(target)

        assert counts.values_compared >= 256


@functions
def test_the_reference_kernel_takes_the_prescribed_grid_alone(op: str) -> None:
    network = Network(1)
    network.add(op, [network.input((3, 4, 4))], grid=per_tensor(1 / 200, 0))

    with pytest.raises(UnsupportedByTarget, match="insists on scale"):
        network.assert_same_bits(LITERT_REFERENCE)


def test_the_prescribed_grids_are_coarser_with_fewer_bits() -> None:
    found = prescribed("sigmoid", QuantSpec(bits=4))

    assert found is not None
    assert (float(found.step), found.zero) == (1 / 16, -8)
    assert prescribed("add", QuantSpec()) is None


def test_functions_by_hand() -> None:
    x = np.asarray([-200.0, 0.0, 200.0], np.float32)

    assert xnnpack_sigmoid(x).tolist() == [0.0, 0.5, 1.0]
    assert float32_tanh(x).tolist() == [-1.0, 0.0, 1.0]


def leaky_network(seed: int) -> Network:
    """Return a network of one leaky ReLU; its multipliers reach both ends of what XNNPACK takes."""
    network = Network(seed)
    x = network.input([size(network) for _ in range(network.choose(3, 3, 2, 1))])
    step = float(network.grids[x].step)
    ratio = network.scale(2.0**-2, 2.0**4) if seed % 3 else network.scale(2.0**-8, 2.0**7)
    least, most = 2.0**-7.9 / ratio, 2.0**6.9 / ratio
    slope = float(2.0 ** network.random.uniform(np.log2(least), np.log2(most)))
    usual = [value for value in (0.01, 0.1, 0.2, 0.3) if least < value < most]
    slope = network.choose(slope, -slope, *usual)
    grid = per_tensor(step / ratio, network.zero_point())
    network.add("leaky_relu", [x], {"slope": slope}, grid=grid)
    return network


@both_targets
def test_leaky_relu_gives_the_bits_of_the_runtime(target: Target) -> None:
    assert_bits(leaky_network, target, cases=240)


def leaky(ratio: float, slope: float) -> Network:
    network = Network(1)
    x = network.input((3, 8, 8), per_tensor(2.0**-4, 3))
    grid = per_tensor(2.0**-4 / ratio, -7)
    network.add("leaky_relu", [x], {"slope": slope}, grid=grid)
    return network


@pytest.mark.parametrize(
    ("ratio", "slope"),
    [(2.0**-8, 1.0), (1.0, 2.0**-8), (128.0, 0.5), (1.0, 128.0), (1.0, -127.99), (1.0, -(2.0**-8))],
)
def test_the_last_multipliers_that_a_leaky_relu_takes_are_held(ratio: float, slope: float) -> None:
    counts = leaky(ratio, slope).assert_same_bits(LITERT)

    assert counts.partitions == 1
    assert not counts.builtin


@pytest.mark.parametrize(
    ("ratio", "slope"),
    [
        (2.0**-8 * 0.999, 2.0),
        (1.0, 2.0**-8 * 0.999),
        (128.1, 0.5),
        (1.0, 128.1),
        (1.0, -128.0),
        (1.0, 0.0),
    ],
)
def test_multipliers_beyond_are_refused_by_xnnpack_and_held_by_the_reference_kernel(
    ratio: float, slope: float
) -> None:
    with pytest.raises(UnsupportedByTarget, match="negative_slope"):
        leaky(ratio, slope).assert_same_bits(LITERT)

    leaky(ratio, slope).assert_same_bits(LITERT_REFERENCE)


@both_targets
def test_a_leaky_relu_by_hand(target: Target) -> None:
    network = Network(1)
    grid = per_tensor(1.0, 0)
    x = network.input((1, 16, 16), grid)
    network.values[x] = every_integer(grid)
    network.add("leaky_relu", [x], {"slope": 0.25}, grid=grid)

    network.assert_same_bits(target)
    twin = build_twin(network.graph, network.encodings(), target)
    found = twin.integers(network.images)[0].flatten()

    assert found[128:].tolist() == list(range(128))
    # -1 / 4 is 0, -2 / 4 is a tie: up in XNNPACK, away from zero in the reference kernel
    assert found[127] == 0
    assert found[126] == (0 if target is LITERT else -1)
    assert found[124] == -1
