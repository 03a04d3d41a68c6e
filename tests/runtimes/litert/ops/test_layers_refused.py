"""Layers that a runtime cannot load, or not bit for bit: refused, never wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from intaglio.errors import UnsupportedByTarget
from intaglio.numerics.affine import dequantize
from intaglio.numerics.spec import QuantParams, per_tensor
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.ops.convolution import MULTIPLIER_LIMIT
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import IMAGES, TARGETS, Activation, Network

CONV2D = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
TRANSPOSED = {
    "stride": (2, 2),
    "padding": (0, 0),
    "output_padding": (0, 0),
    "dilation": (1, 1),
    "groups": 1,
}
LAYERS = [("conv2d", CONV2D), ("linear", {}), ("conv_transpose2d", TRANSPOSED)]

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
every_layer = pytest.mark.parametrize(("op", "attrs"), LAYERS)


def layer(
    op: str, attrs: dict[str, Any], *, weight_scale: float, activation: Activation = None
) -> Network:
    """Return a network of one layer: input scale 1, output scale 1, weights of +-2 steps."""
    network = Network(0)
    x = network.input((2,) if op == "linear" else (2, 4, 4), per_tensor(1.0, 3))
    shape = (2, 2) if op == "linear" else (2, 2, 2, 2)
    weight = network.weight_grid([weight_scale], None)
    network.add(
        op,
        [x],
        {**attrs, "activation": activation},
        grid=per_tensor(1.0, -5),
        params={"weight": dequantize(network.integers(shape, -2, 2), weight)},
        weight=weight,
    )
    return network


@every_layer
def test_multipliers_just_below_the_limit_are_taken(op: str, attrs: dict[str, Any]) -> None:
    network = layer(op, attrs, weight_scale=MULTIPLIER_LIMIT * (1 - 2**-20))

    assert network.assert_same_bits(LITERT).builtin == []


@every_layer
def test_multipliers_at_which_xnnpack_does_not_load_the_file_are_refused(
    op: str, attrs: dict[str, Any]
) -> None:
    network = layer(op, attrs, weight_scale=MULTIPLIER_LIMIT * 1.01)

    with pytest.raises(UnsupportedByTarget, match="multiplier"):
        network.assert_same_bits(LITERT)


@every_layer
def test_multipliers_that_shift_an_accumulator_beyond_int32_are_refused(
    op: str, attrs: dict[str, Any]
) -> None:
    network = layer(op, attrs, weight_scale=2.0**23)

    with pytest.raises(UnsupportedByTarget, match="beyond int32"):
        network.assert_same_bits(LITERT_REFERENCE)


@every_layer
def test_the_largest_multiplier_that_keeps_accumulators_in_int32_is_exact(
    op: str, attrs: dict[str, Any]
) -> None:
    exponent = 23
    while True:
        network = layer(op, attrs, weight_scale=1.9 * 2.0**exponent)
        try:
            network.assert_same_bits(LITERT_REFERENCE)
        except UnsupportedByTarget:
            exponent -= 1
        else:
            break

    assert exponent >= 16


@both_targets
def test_accumulators_beyond_int32_are_refused(target: Target) -> None:
    network = Network(0)
    x = network.input((2**16 + 2**10,), per_tensor(1.0, -128))
    weight = network.weight_grid([1.0], None)
    ones = torch.full((1, 2**16 + 2**10), 127.0)
    network.add(
        "linear",
        [x],
        {"activation": None},
        grid=per_tensor(2.0**24, 0),
        params={"weight": ones},
        weight=weight,
    )

    with pytest.raises(UnsupportedByTarget, match="beyond int32"):
        build_twin(network.graph, network.encodings(), target)


@both_targets
def test_biases_beyond_int32_are_refused(target: Target) -> None:
    network = layer("conv2d", CONV2D, weight_scale=2.0**-30)
    network.graph.set_param(network.graph["conv2d"], "bias", torch.tensor([0.0, -2.0]))

    with pytest.raises(UnsupportedByTarget, match="beyond int32"):
        network.assert_same_bits(target)


@both_targets
@pytest.mark.parametrize(
    "changes", [{"dilation": (2, 2)}, {"output_padding": (1, 1)}, {"groups": 2}]
)
def test_conv_transpose2d_refuses_what_the_op_cannot_say(
    changes: dict[str, Any], target: Target
) -> None:
    network = Network(0)
    x = network.input((2, 4, 4))
    weight = torch.ones(2, 1, 2, 2)
    grid = network.weight_grid([1.0], None)
    attrs = {**TRANSPOSED, **changes, "activation": None}
    network.add("conv_transpose2d", [x], attrs, params={"weight": weight}, weight=grid)

    with pytest.raises(UnsupportedByTarget, match="transposed convolution"):
        network.assert_same_bits(target)


@both_targets
def test_linear_refuses_images(target: Target) -> None:
    network = Network(0)
    x = network.input((2, 3, 4))
    grid = network.weight_grid([0.1], None)
    attrs = {"activation": None}
    network.add("linear", [x], attrs, params={"weight": torch.ones(5, 4)}, weight=grid)

    with pytest.raises(UnsupportedByTarget, match="four axes"):
        network.assert_same_bits(target)


@both_targets
@every_layer
def test_a_clamp_without_a_word_is_refused_on_a_wider_grid(
    op: str, attrs: dict[str, Any], target: Target
) -> None:
    network = layer(op, attrs, weight_scale=0.1, activation=(-2.0, 3.0))

    with pytest.raises(UnsupportedByTarget, match="wider grid"):
        network.assert_same_bits(target)


@both_targets
@every_layer
def test_a_clamp_without_a_word_is_the_saturation_of_its_own_grid(
    op: str, attrs: dict[str, Any], target: Target
) -> None:
    network = layer(op, attrs, weight_scale=0.1, activation=(-2.0, 3.0))
    grid: QuantParams = per_tensor(5.0 / 255, -26)
    network.grids[op] = grid

    counts = network.assert_same_bits(target)

    assert counts.images == IMAGES
    assert (not target.is_reference) == (counts.builtin == [])


@both_targets
def test_max_pool2d_refuses_dilation(target: Target) -> None:
    network = Network(0)
    x = network.input((2, 8, 8))
    attrs = {
        "kernel": (2, 2),
        "stride": (2, 2),
        "padding": (0, 0, 0, 0),
        "dilation": (2, 2),
        "ceil_mode": False,
        "activation": None,
    }
    network.add("max_pool2d", [x], attrs, grid=network.grids[x])

    with pytest.raises(UnsupportedByTarget, match="max pooling"):
        network.assert_same_bits(target)
