"""Sums, products, clamps and relabellings: the file's every integer is the twin's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intaglio.errors import UnsupportedByTarget
from intaglio.numerics.spec import per_tensor
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.ops.elementwise import PRODUCT_LIMITS, SUM_RATIO_LIMITS
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import ACTIVATIONS, TARGETS, UNBOUNDED, Network
from runtimes.litert.ops.operands import FORMS, assert_bits, constant, operands, settle_always, size

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
NO_CLAMP = {"activation": None}


def sum_network(seed: int, op: str) -> Network:
    """Return a network of one sum; its operands' scales reach both ends of what XNNPACK takes."""
    network = Network(seed)
    first, second = operands(network, FORMS[seed % len(FORMS)], network.choose(4, 4, 3, 2))
    smaller, larger = sorted(float(network.grids[name].step) for name in (first, second))
    most = min(larger * 2.0, smaller * 2.0**9)
    least = network.choose(larger / 2.0, larger / 2.0**6)
    grid = per_tensor(network.scale(min(least, most), most), network.zero_point())
    attrs = {"activation": network.choose(*ACTIVATIONS)}
    network.add(op, [first, second], attrs, grid=grid)
    return network


def product_network(seed: int) -> Network:
    """Return a network of one product; its multiplier is anything that XNNPACK takes."""
    network = Network(seed)
    first, second = operands(network, FORMS[seed % len(FORMS)], network.choose(4, 4, 3, 2))
    both = float(network.grids[first].step) * float(network.grids[second].step)
    usual = network.choose((2.0**2, 2.0**8), (2.0**2, 2.0**8), (2.0**-6, 2.0**14))
    grid = per_tensor(network.scale(*(both * bound for bound in usual)), network.zero_point())
    network.add("mul", [first, second], {"activation": network.choose(*ACTIVATIONS)}, grid=grid)
    return network


def unary_network(seed: int, op: str) -> Network:
    """Return a network of one clamp or relabelling of a value with two to four axes."""
    network = Network(seed)
    shape = [size(network) for _ in range(network.choose(3, 3, 2, 1))]
    x = network.input(shape)
    factor = float(network.choose(1 / 6, 2.0, 0.5, network.random.uniform(0.1, 5.0)))
    step = float(network.grids[x].step) * (factor if op == "rescale" else 1.0)
    bounds = network.choose(*ACTIVATIONS) or UNBOUNDED
    grid = per_tensor(network.scale(step * 2.0**-4, step * 2.0**6), network.zero_point())
    attrs = {"factor": factor} if op == "rescale" else {"activation": bounds}
    network.add(op, [x], attrs, grid=grid)
    return network


@both_targets
@pytest.mark.parametrize("op", ["add", "sub"])
def test_sums_give_the_bits_of_the_runtime(op: str, target: Target) -> None:
    assert_bits(lambda seed: sum_network(seed, op), target)


@both_targets
def test_products_give_the_bits_of_the_runtime(target: Target) -> None:
    assert_bits(product_network, target, cases=240)


@both_targets
@pytest.mark.parametrize("op", ["clamp", "rescale"])
def test_clamps_and_relabellings_give_the_bits_of_the_runtime(op: str, target: Target) -> None:
    assert_bits(lambda seed: unary_network(seed, op), target)


def squares_network(seed: int, *, behind_a_layer: bool) -> Network:
    """Return a network of a value times itself: the input, or what another op made of it."""
    network = Network(seed)
    x = network.input((2, 8, size(network)))
    step = float(network.grids[x].step)
    if behind_a_layer:
        grid = per_tensor(step, network.zero_point())
        x = network.add("leaky_relu", [x], {"slope": 0.5}, grid=grid, output=False)
    grid = per_tensor(network.scale(step * step * 4, step * step * 256), network.zero_point())
    network.add("mul", [x, x], {"activation": network.choose(*ACTIVATIONS)}, grid=grid)
    return network


@both_targets
@pytest.mark.parametrize("behind_a_layer", [False, True])
def test_a_value_times_itself_gives_the_bits_of_the_runtime(
    behind_a_layer: bool, target: Target
) -> None:
    for seed in range(120):
        network = squares_network(seed, behind_a_layer=behind_a_layer)
        settle_always(network)

        network.assert_same_bits(target)


def test_xnnpack_squares_by_a_table_which_is_why_scales_are_moved_for_it() -> None:
    network = Network(0)
    x = network.input((1, 16, 16), per_tensor(2.0**-4, -128))
    network.values[x] = ((torch.arange(256) - 0.0) * 2.0**-4).reshape(1, 1, 16, 16)
    network.add("mul", [x, x], NO_CLAMP, grid=per_tensor(2.0**-1, 27))

    with pytest.raises(AssertionError, match="mul"):
        network.assert_same_bits(LITERT)

    settle_always(network)
    network.assert_same_bits(LITERT)


@pytest.mark.parametrize(("target", "tie_below_zero"), [(LITERT, -2), (LITERT_REFERENCE, -3)])
def test_a_difference_by_hand(target: Target, tie_below_zero: int) -> None:
    network = Network(1)
    x = network.input((1, 1, 4), per_tensor(0.5, 0))
    network.values[x] = torch.tensor([-2.0, 0.5, 5.5, 40.0]).reshape(1, 1, 1, 4)
    three = {"value": torch.full((1, 1, 1, 1), 3.0)}
    constant = network.add("constant", [], params=three, grid=per_tensor(1.0, 0), output=False)
    network.add("sub", [constant, x], NO_CLAMP, grid=per_tensor(1.0, 10))

    network.assert_same_bits(target)
    twin = build_twin(network.graph, network.encodings(), target)

    # 3 - x is 5, 2.5, -2.5, -37: XNNPACK rounds ties up, the reference kernel away from zero
    assert twin.integers(network.images)[0].flatten().tolist() == [
        10 + 5,
        10 + 3,
        10 + tie_below_zero,
        10 - 37,
    ]


def sum_with_ratio(ratio: float) -> Network:
    network = Network(1)
    x = network.input((6, 5, 5), per_tensor(0.05, 3))
    second = network.operand(x, 0, 6, per_tensor(0.05, -3))
    network.add("add", [x, second], NO_CLAMP, grid=per_tensor(0.05 / ratio, -7))
    return network


def product_with_multiplier(multiplier: float) -> Network:
    network = Network(1)
    x = network.input((6, 5, 5), per_tensor(0.05, 3))
    second = network.operand(x, 0, 6, per_tensor(0.05, -3))
    network.add("mul", [x, second], NO_CLAMP, grid=per_tensor(0.05 * 0.05 / multiplier, -7))
    return network


@both_targets
@pytest.mark.parametrize(
    ("make", "limits"),
    [(sum_with_ratio, SUM_RATIO_LIMITS), (product_with_multiplier, PRODUCT_LIMITS)],
    ids=["sum", "product"],
)
def test_scales_beyond_what_the_kernel_takes_are_refused_and_the_last_ones_within_are_held(
    make, limits, target: Target
) -> None:
    low, high = limits[target.arithmetic]

    for ratio in ([low * 1.001] if low else [2.0**-20]) + [high * 0.999]:
        counts = make(ratio).assert_same_bits(target)
        assert target is LITERT_REFERENCE or not counts.builtin
    for ratio in ([low * 0.999] if low else []) + [high * 1.001]:
        with pytest.raises(UnsupportedByTarget, match="outside"):
            make(ratio).assert_same_bits(target)


def test_a_clamp_is_refused_where_the_reference_kernel_cannot_say_its_bound() -> None:
    network = Network(1)
    x = network.input((3, 4, 4), per_tensor(1e-9, 0))
    network.add("clamp", [x], {"activation": (0.0, 6.0)}, grid=per_tensor(1e-9, 0))

    with pytest.raises(UnsupportedByTarget, match="too small for a clamp to 6"):
        network.assert_same_bits(LITERT_REFERENCE)


def test_operands_with_different_numbers_of_axes_are_refused() -> None:
    network = Network(1)
    x = network.input((3, 4, 4))
    three = constant(network, (3, 1, 1))
    network.add("add", [x, three], NO_CLAMP, grid=network.grids[x])

    with pytest.raises(UnsupportedByTarget, match="different numbers of axes"):
        network.assert_same_bits(LITERT)


def test_a_product_of_centered_integers_is_exact_in_float32() -> None:
    products = np.multiply.outer(np.arange(-255, 256), np.arange(-255, 256))

    assert (products.astype(np.float32).astype(np.int64) == products).all()
