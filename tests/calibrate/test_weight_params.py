"""Scales of weights whose channels are dead: the file loads, and its bits are the twin's."""

from __future__ import annotations

import pytest
import torch

from intaglio.calibrate.encodings import weight_params
from intaglio.ir.graph import Node
from intaglio.numerics.spec import INT8_WEIGHT, INT8_WEIGHT_PER_TENSOR, QuantSpec, per_tensor
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, Network

CONV2D = {
    "stride": (1, 1),
    "padding": (0, 0, 0, 0),
    "dilation": (1, 1),
    "groups": 1,
    "activation": None,
}


def network(input_scale: float, weight: torch.Tensor, bias: torch.Tensor | None) -> Network:
    """Return a network of one 1x1 convolution, weight [C_out, C_in], output scale 1."""
    made = Network(0)
    x = made.input((weight.shape[1], 3, 3), per_tensor(input_scale, 3))
    params = {"weight": weight[:, :, None, None]}
    if bias is not None:
        params["bias"] = bias
    made.add("conv2d", [x], CONV2D, grid=per_tensor(1.0, 0), params=params)
    return made


def give_scales(made: Network, spec: QuantSpec) -> torch.Tensor:
    """Choose the weight's scales as calibration does; return them."""
    node: Node = made.graph["conv2d"]
    made.weights["conv2d"] = weight_params(
        made.graph, node, spec, made.grids["x"].scale, target=LITERT
    )
    return made.weights["conv2d"].scale


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("spec", [INT8_WEIGHT, INT8_WEIGHT_PER_TENSOR])
@pytest.mark.parametrize("bias", [None, torch.zeros(2), torch.tensor([3.0, -70.0])])
def test_a_pruned_channel_after_large_values_is_held(
    bias: torch.Tensor | None, spec: QuantSpec, target: Target
) -> None:
    made = network(1000.0, torch.tensor([[1e-4, 2e-4], [0.0, 0.0]]), bias)

    give_scales(made, spec)

    made.assert_same_bits(target)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_pruned_layer_makes_its_biases(target: Target) -> None:
    bias = torch.tensor([3.0, -70.0])
    made = network(1000.0, torch.zeros(2, 2), bias)

    give_scales(made, INT8_WEIGHT)
    made.assert_same_bits(target)

    values = build_twin(made.graph, made.encodings(), target)(made.images)
    assert isinstance(values, torch.Tensor)
    assert torch.equal(values, bias.reshape(1, 2, 1, 1).expand_as(values))


def test_channels_with_weights_keep_the_scale_of_their_largest() -> None:
    made = network(0.1, torch.tensor([[1.27, -0.5], [0.0, -2.54]]), torch.tensor([1.0, 2.0]))

    scales = give_scales(made, INT8_WEIGHT)

    torch.testing.assert_close(scales, torch.tensor([0.01, 0.02]))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_weights_that_are_tiny_beside_their_bias_give_way_to_it(target: Target) -> None:
    made = network(0.1, torch.tensor([[1.0, -0.5], [6e-21, 1e-21]]), torch.tensor([1.0, 50.0]))

    scales = give_scales(made, INT8_WEIGHT)

    assert 50.0 / (0.1 * float(scales[1])) < 2**30
    made.assert_same_bits(target)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("axis", [0, None])
def test_at_4_bits_they_leave_room_for_the_kernels_shift(axis: int | None, target: Target) -> None:
    """XNNPACK holds 4-bit weights, and so accumulators, shifted up by 4 bits."""
    made = network(0.1, torch.tensor([[1.0, -0.5], [6e-21, 1e-21]]), torch.tensor([1.0, 5e7]))

    scales = give_scales(made, QuantSpec(bits=4, symmetric=True, axis=axis, narrow=True))

    made.grids["conv2d"] = per_tensor(1e6, 0)
    largest = 5e7 / (0.1 * float(scales.reshape(-1)[-1]))
    assert 2**25 < largest < 2**26
    made.assert_same_bits(target)


def test_an_asymmetric_weight_is_covered_from_its_least_to_its_largest_number() -> None:
    made = network(0.1, torch.tensor([[1.5, 0.3], [-0.5, 1.0], [-3.0, -1.0]]), None)
    node = made.graph["conv2d"]

    found = weight_params(made.graph, node, QuantSpec(bits=4, axis=0), None, target=LITERT)

    torch.testing.assert_close(found.scale, torch.tensor([0.1, 0.1, 0.2]))
    assert found.zero_point.tolist() == [-8, -3, 7]
