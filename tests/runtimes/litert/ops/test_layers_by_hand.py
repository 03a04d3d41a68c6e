"""The twin of layers with weights against plain loops in Python's own integers, without a runtime.

The accumulator, and its way to the output's grid, are written here a second time: sums in Python's
unbounded integers, float32 steps in numpy, and the reference kernels' fixed point from the
definitions of gemmlowp (SaturatingRoundingDoublingHighMul, RoundingDivideByPOT) and of TensorFlow
Lite (QuantizeMultiplier, MultiplyByQuantizedMultiplier with one rounding).
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from intaglio.ir.graph import Node
from intaglio.numerics.accumulate import exact_float32
from intaglio.numerics.spec import per_tensor
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.ops.convolution import prepare_conv2d, prepare_linear
from intaglio.runtimes.litert.ops.site import LitertSite
from intaglio.runtimes.litert.targets import Litert
from intaglio.targets.site import Kernel
from runtimes.litert.ops.harness import TARGETS, Network

Integers = npt.NDArray[np.int64]
BIASES = (0, 2**10, 2**24, 2**28)

both_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def random_site(network: Network, node: Node, shape: tuple[int, ...], target: Litert) -> LitertSite:
    """Return a site with a random weight of `shape`, biases of any size, and no clamp."""
    largest = network.choose(*BIASES)
    x = per_tensor(network.scale(), network.zero_point())
    y = per_tensor(network.scale(), network.zero_point())
    usual = max(127 * 100, largest / 100) * float(x.step) / float(y.step)
    scales = [network.scale(1 / usual, 200 / usual) for _ in range(shape[0])]
    weight = network.integers(shape, -127, 127)
    bias = network.integers((shape[0],), -largest, largest).long()
    return LitertSite(
        node,
        (x,),
        ((-1, shape[1]),),
        y,
        target.name,
        weight,
        bias if largest else None,
        network.weight_grid(scales).scale,
        arithmetic=target.arithmetic,
    )


def by_hand(site: LitertSite, accumulators: list[int], channel: int) -> list[int]:
    """Return the centered outputs of one channel."""
    assert site.weight_scale is not None
    s_x, s_w, s_y = site.inputs[0].step, site.weight_scale.numpy()[channel], site.output.step
    if not site.is_reference:
        factor = np.float32(np.float32(s_x * s_w) / s_y)
        rounded = [int(np.rint(np.float32(a) * factor)) for a in accumulators]
    else:
        mantissa, exponent = quantize_multiplier(float(s_x) * float(s_w) / float(s_y))
        requantize = round_once if site.node.op == "linear" else round_twice
        rounded = [requantize(a, mantissa, exponent) for a in accumulators]
    spec, zero = site.output.spec, site.output.zero
    return [min(max(value, spec.qmin - zero), spec.qmax - zero) for value in rounded]


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return (m, e): m * 2^(e - 31) is nearest to `real`, 2^30 <= m < 2^31."""
    exponent = math.floor(math.log2(real)) + 1
    mantissa = math.floor(Fraction(real) * Fraction(2) ** (31 - exponent) + Fraction(1, 2))
    return (mantissa, exponent) if mantissa < 2**31 else (mantissa // 2, exponent + 1)


def round_twice(accumulator: int, mantissa: int, exponent: int) -> int:
    """A doubling high multiply and a division by a power of two, each rounded."""
    product = (accumulator << max(exponent, 0)) * mantissa
    nudge = 2**30 if product >= 0 else 1 - 2**30
    high = math.trunc(Fraction(product + nudge, 2**31))
    return half_away(Fraction(high, 2 ** max(-exponent, 0)))


def round_once(accumulator: int, mantissa: int, exponent: int) -> int:
    """The exact product, rounded once."""
    return half_away(Fraction(accumulator * mantissa) * Fraction(2) ** (exponent - 31))


def half_away(real: Fraction) -> int:
    """Return the nearest integer; of two, the one farther from zero."""
    nearest = math.floor(abs(real) + Fraction(1, 2))
    return nearest if real >= 0 else -nearest


def assert_as_by_hand(
    site: LitertSite, kernel: Kernel, x: torch.Tensor, expected: Integers
) -> None:
    """Assert that the kernel makes of centered x what is made of the accumulators [N, C, ...]."""
    with torch.inference_mode(), exact_float32():
        found = kernel([x.float()]).long().numpy()
    for channel in range(expected.shape[1]):
        wanted = by_hand(site, expected[:, channel].reshape(-1).tolist(), channel)
        assert found[:, channel].reshape(-1).tolist() == wanted


@both_targets
def test_linear_is_the_sum_of_products_requantized(target: Litert) -> None:
    for seed in range(60):
        network = Network(seed)
        c_out, c_in = network.choose(1, 3, 5), network.choose(1, 4, 30)
        node = Node("linear", "linear", ["x"], attrs={"activation": None})
        site = random_site(network, node, (c_out, c_in), target)
        zero = site.inputs[0].zero
        x = network.integers((3, c_in), -128 - zero, 127 - zero)

        expected = [[dot(row, weight) for weight in rows(site)] for row in x.tolist()]
        assert_as_by_hand(site, prepare_linear(site), x, with_bias(site, np.array(expected)))


def dot(values: list[int], weights: list[int]) -> int:
    """Return the sum of products, in Python's integers."""
    return sum(value * weight for value, weight in zip(values, weights, strict=True))


def rows(site: LitertSite) -> list[Any]:
    """Return the weight as nested lists of Python's integers."""
    assert site.weight is not None
    nested: list[Any] = site.weight.tolist()
    return nested


def with_bias(site: LitertSite, sums: Integers) -> Integers:
    """Return [N, C, ...] sums with the bias added to axis 1."""
    if site.bias is None:
        return sums
    shape = (1, -1) + (1,) * (sums.ndim - 2)
    return np.asarray(sums + site.bias.numpy().reshape(shape))


@both_targets
def test_conv2d_is_the_sum_of_products_requantized(target: Litert) -> None:
    for seed in range(60):
        network = Network(seed)
        node, shape, size = random_conv2d(network)
        site = random_site(network, node, shape, target)
        zero, channels = site.inputs[0].zero, shape[1] * node.attrs["groups"]
        x = network.integers((2, channels, *size), -128 - zero, 127 - zero)

        sums = convolve(x.numpy().astype(np.int64), site)
        assert_as_by_hand(site, prepare_conv2d(site), x, with_bias(site, sums))


def random_conv2d(network: Network) -> tuple[Node, tuple[int, int, int, int], tuple[int, int]]:
    """Return a convolution, the shape of its weight, and the size of its input."""
    choose, groups = network.choose, network.choose(1, 1, 2)
    kernel = (choose(1, 2, 3), choose(1, 3))
    attrs = {
        "stride": (choose(1, 2), choose(1, 3)),
        "padding": tuple(int(value) for value in network.random.integers(0, 3, 4)),
        "dilation": (choose(1, 2), 1),
        "groups": groups,
        "activation": None,
    }
    shape = (groups * choose(1, 2), choose(1, 2), *kernel)
    return Node("conv2d", "conv2d", ["x"], attrs=attrs), shape, (choose(5, 6), choose(3, 4))


def convolve(x: Integers, site: LitertSite) -> Integers:
    """Return the sums of products [N, C_out, H, W] of a convolution, in plain loops."""
    assert site.weight is not None
    attrs, weight = site.node.attrs, site.weight.numpy().astype(np.int64)
    top, bottom, left, right = attrs["padding"]
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    c_out, per_group, *kernel = weight.shape
    size = [
        (length - (extent - 1) * rate - 1) // step + 1
        for length, extent, rate, step in zip(
            x.shape[2:], kernel, attrs["dilation"], attrs["stride"], strict=True
        )
    ]
    sums = np.zeros((x.shape[0], c_out, *size), np.int64)
    for channel, row, column in itertools.product(range(c_out), *map(range, size)):
        group = channel // (c_out // attrs["groups"])
        read = x[:, group * per_group : (group + 1) * per_group]
        for i, j in itertools.product(*map(range, kernel)):
            at_row = row * attrs["stride"][0] + i * attrs["dilation"][0]
            at_column = column * attrs["stride"][1] + j * attrs["dilation"][1]
            products = read[:, :, at_row, at_column] * weight[channel, :, i, j]
            sums[:, channel, row, column] += products.sum(1)
    return sums


@pytest.mark.parametrize("onednn", [True, False], ids=["onednn", "no_onednn"])
@pytest.mark.parametrize("batch", [1, 4, 17])
def test_conv2d_stays_exact_where_torch_has_a_faster_algorithm(
    batch: int, onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Winograd's, which NNPACK uses for many images and 3x3 windows, is not exact."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", onednn)
    network = Network(1)
    attrs = {
        "stride": (1, 1),
        "padding": (1, 1, 1, 1),
        "dilation": (1, 1),
        "groups": 1,
        "activation": None,
    }
    node = Node("conv2d", "conv2d", ["x"], attrs=attrs)
    site = random_site(network, node, (8, 16, 3, 3), LITERT)
    zero = site.inputs[0].zero
    x = network.integers((batch, 16, 12, 12), -128 - zero, 127 - zero)

    sums = convolve(x.numpy().astype(np.int64), site)
    assert_as_by_hand(site, prepare_conv2d(site), x, with_bias(site, sums))
