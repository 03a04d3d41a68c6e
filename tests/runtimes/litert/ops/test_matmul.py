"""Products of two values: the file's every integer is the twin's."""

from __future__ import annotations

import pytest

from intaglio.errors import UnsupportedByTarget
from intaglio.numerics.spec import QuantParams, per_tensor
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, Network, cases

CASES = cases(200)

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def factors(network: Network, rank: int, depth: int, *, transposed: bool) -> tuple[str, str]:
    """Return [N, ..., M, K] and [N, ..., K, P], or [N, ..., P, K], each on its own grid."""
    sizes = [int(network.random.integers(1, 5)) for _ in range(rank - 3)]
    rows, columns = (int(network.random.integers(1, 12)) for _ in range(2))
    grid = per_tensor(network.scale(), network.zero_point())
    x = network.input((*sizes, rows + columns, depth), grid)
    a = cut(network, x, rank - 2, 0, rows)
    b = cut(network, x, rank - 2, rows, rows + columns, zero=0)
    if not transposed:
        order = (*range(rank - 2), rank - 1, rank - 2)
        b = network.add("transpose", [b], {"order": order}, grid=network.grids[b], output=False)
    return a, b


def cut(network: Network, x: str, axis: int, start: int, stop: int, zero: int | None = None) -> str:
    """Return a part of a value on a grid of its own."""
    attrs = {"axis": axis, "start": start, "stop": stop, "step": 1}
    part = network.add("slice", [x], attrs, grid=network.grids[x], output=False)
    grid = network.grid_around(network.values[part])
    grid = grid if zero is None else per_tensor(float(grid.step), zero)
    unbounded = {"activation": (float("-inf"), float("inf"))}
    return network.add("clamp", [part], unbounded, grid=grid, output=False)


def matmul(seed: int) -> Network:
    """Return a network of one product; one in ten sums up to 700 products."""
    network = Network(seed)
    depth = int(network.random.integers(1, 700 if seed % 10 == 0 else 20))
    transposed = bool(seed % 2)
    a, b = factors(network, network.choose(3, 3, 4, 5), depth, transposed=transposed)
    network.add("matmul", [a, b], {"transposed": transposed})
    return network


@both_targets
def test_products_of_two_values_give_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        counts = matmul(seed).assert_same_bits(target)

        assert target.is_reference or not counts.builtin, f"seed {seed}: {counts.builtin}"


@both_targets
def test_a_value_times_itself_gives_the_bits_of_the_runtime(target: Target) -> None:
    for seed in range(CASES):
        network = Network(seed)
        x = network.input((4, 7), per_tensor(network.scale(), 0))
        network.add("matmul", [x, x], {"transposed": True})

        network.assert_same_bits(target)


@both_targets
def test_a_second_factor_with_a_zero_point_is_refused(target: Target) -> None:
    network = Network(1)
    x = network.input((4, 4), per_tensor(0.1, 3))
    network.add("matmul", [x, x], {"transposed": False})

    with pytest.raises(UnsupportedByTarget, match="zero point of its second factor"):
        network.assert_same_bits(target)


def product(depth: int, y: QuantParams) -> Network:
    network = Network(1)
    x = network.input((2, depth), per_tensor(1.0, 0))
    network.add("matmul", [x, x], {"transposed": True}, grid=y)
    return network


@both_targets
def test_multipliers_and_sums_beyond_the_kernels_integers_are_refused(target: Target) -> None:
    product(4, per_tensor(1 / 255.9, 0)).assert_same_bits(target)
    with pytest.raises(UnsupportedByTarget, match="multiplier"):
        build_twin(*twin_of(product(4, per_tensor(1 / 256, 0))), target)
    with pytest.raises(UnsupportedByTarget, match="sums reach"):
        build_twin(*twin_of(product(140_000, per_tensor(1e3, 0))), target)


def twin_of(network: Network):
    return network.graph, network.encodings()


def test_the_delegate_takes_every_number_of_axes() -> None:
    for rank in (3, 4, 5):
        network = Network(rank)
        a, b = factors(network, rank, 5, transposed=True)
        network.add("matmul", [a, b], {"transposed": True})

        counts = network.assert_same_bits(LITERT)

        assert (counts.partitions, counts.builtin) == (1, [])
