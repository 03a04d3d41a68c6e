"""Random weights, biases and output grids for a layer whose accumulators use its output's grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.numerics.affine import dequantize
from intaglio.numerics.spec import QuantParams, per_tensor
from runtimes.litert.ops.harness import ACTIVATIONS, Activation, Network


@dataclass(frozen=True, eq=False)
class Layer:
    """What a layer is made of.

    Attributes:
        params: Its weight, and its bias where it has one, as real numbers.
        weight: Grid of its weight.
        output: Grid of its value.
        activation: Fused clamp.
    """

    params: dict[str, Tensor]
    weight: QuantParams
    output: QuantParams
    activation: Activation


def random_layer(
    network: Network,
    source: str,
    shape: Sequence[int],
    *,
    axis: int = 0,
    terms: int | None = None,
    bits: int = 8,
) -> Layer:
    """Return a random layer for a weight of `shape`; every fourth has large biases.

    Args:
        source: The value that it reads.
        axis: Of the weight, that makes output channels.
        terms: Products in one sum; the size of one output channel's weight when None.
        bits: Of its weight.
    """
    random, channels = network.random, shape[axis]
    activation: Activation = network.choose(*ACTIVATIONS)
    spec = network.weight_grid([1.0], bits=bits).spec
    integers = network.integers(shape, spec.qmin, spec.qmax)
    is_zero = torch.from_numpy(random.random(channels) < 0.15)
    integers.transpose(0, axis)[is_zero] = 0
    largest_bias = (2**23 if bits == 4 else 2**27) if random.random() < 0.25 else 2**12
    terms = terms or math.prod(shape) // channels
    usual = max(math.sqrt(terms) * 47 * spec.qmax, largest_bias / 2)  # of an accumulator
    output = output_grid(network, activation)
    input_scale = float(network.grids[source].step)
    unit = float(output.step) / input_scale / usual
    per_channel = axis if random.random() < 0.6 else None
    scales = _scales(network, unit, channels)
    weight = network.weight_grid(scales, per_channel, bits)
    params = {"weight": dequantize(integers, weight)}
    if random.random() < 0.8:
        bias = network.integers((channels,), -largest_bias, largest_bias)
        factor = input_scale * weight.scale / float(output.step)
        params["bias"] = torch.where(is_zero, _near_ties(network, factor), bias)
        params["bias"] = params["bias"] * input_scale * weight.scale
    return Layer(params, weight, output, activation)


def output_grid(network: Network, activation: Activation) -> QuantParams:
    """Return a grid with the activation's bounds inside, in every second case between integers."""
    finite = [abs(bound) for bound in activation or () if bound and math.isfinite(bound)]
    if not finite or network.power_of_two:
        return per_tensor(network.scale(2.0**-7, 2.0**-3), network.zero_point())
    steps = float(network.random.uniform(10, 300))
    if network.random.random() < 0.5:
        steps = math.floor(steps) + 0.5
    return per_tensor(finite[0] / steps, network.zero_point())


def _scales(network: Network, unit: float, channels: int) -> list[float]:
    """Return scales with which a usual accumulator makes 5 to 500 steps."""
    return [network.scale(5 * unit, 500 * unit) for _ in range(channels)]


def _near_ties(network: Network, factor: Tensor) -> Tensor:
    """Return biases that alone come next to the middle between two output integers."""
    middle = network.integers((1,), -100, 100) + 0.5
    return (middle / factor).round() + network.integers((1,), -2, 2)
