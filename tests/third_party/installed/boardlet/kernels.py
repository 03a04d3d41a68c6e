"""The integer kernels of the board, as the twin runs them: on centered integers in torch.

q_y = ((accumulator * m + 2**(s - 1) - 1) >> s) + z_y       halves down, m of 15 bits
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ops import OPS
from intaglio.targets.site import Kernel, KernelMaker, Site, per_channel, refuse_other_grid

MANTISSA_BITS = 15
SHIFTS = range(1, 41)
SUM_SHIFT = 20


def multiplier(real: float) -> tuple[int, int]:
    """Return (m, s) with real = m / 2**s, m of 15 bits."""
    fraction, exponent = math.frexp(real)
    mantissa = round(fraction * 2**MANTISSA_BITS)
    return (mantissa, MANTISSA_BITS - exponent)


def multipliers(site: Site, factor: float = 1.0) -> list[tuple[int, int]]:
    """Return the multiplier of each channel, or one for all.

    Raises:
        UnsupportedByTarget: If a shift is none that the board has.
    """
    scale = site.inputs[0].scale.double() * factor / site.output.scale.double()
    if site.weight_scale is not None:
        scale = scale * site.weight_scale.double()
    found = [multiplier(real) for real in scale.reshape(-1).tolist()]
    if any(shift not in SHIFTS for _, shift in found):
        raise site.refuse("a multiplier that the board cannot shift", "Scale its inputs")
    return found


def sum_factors(site: Site) -> list[int]:
    """Return what the two operands of a sum are multiplied with, in units of 2**-20."""
    ratios = [float(grid.step) / float(site.output.step) for grid in site.inputs]
    if max(ratios) >= 2**10:
        raise site.refuse("an operand far coarser than the sum", "Scale its operands")
    return [round(ratio * 2**SUM_SHIFT) for ratio in ratios]


def bounds(site: Site) -> tuple[int, int]:
    """Return the lowest and highest raw integer that the fused clamp lets through."""
    spec, grid = site.output.spec, site.output
    low, high = site.node.attrs.get("activation") or (-math.inf, math.inf)
    ends = [spec.qmin, spec.qmax]
    for index, end in enumerate((low, high)):
        if math.isfinite(end):
            ends[index] = math.floor(end / float(grid.step)) + grid.zero
    return max(spec.qmin, ends[0]), min(spec.qmax, ends[1])


def rounded(total: Tensor, site: Site, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Return centered integers of the result for int64 totals [N, C, ...]."""
    mantissa, shift = (
        per_channel(torch.tensor(part), total.ndim) for part in zip(*pairs, strict=True)
    )
    scaled = (total * mantissa + (1 << (shift - 1)) - 1) >> shift
    return clamped(scaled, site)


def clamped(scaled: Tensor, site: Site) -> Tensor:
    """Return centered integers within the bounds, as the twin holds them."""
    low, high = bounds(site)
    return scaled.clamp(low - site.output.zero, high - site.output.zero).float()


def _weighted(site: Site) -> Kernel:
    assert site.weight is not None
    pairs, weight, node = multipliers(site), site.weight.double(), site.node
    bias = None if site.bias is None else site.bias.double()
    bits = site.inputs[0].spec.bits + site.weight_bits
    if weight[0].numel() * 2.0**bits >= 2**31:
        raise site.refuse("sums beyond 32 bits", "Split its input channels")
    plain = {**node.attrs, "activation": None}

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        x = inputs[0].double()
        if node.op == "linear":
            total = F.linear(x, weight, bias)
        else:
            top, bottom, left, right = plain["padding"]
            x = F.pad(x, (left, right, top, bottom))
            total = F.conv2d(x, weight, bias, plain["stride"], 0, 1, plain["groups"])
        return rounded(total.long(), site, pairs)

    return kernel


def _sum(site: Site) -> Kernel:
    first, second = sum_factors(site)

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        total = inputs[0].long() * first + inputs[1].long() * second
        return clamped((total + (1 << (SUM_SHIFT - 1)) - 1) >> SUM_SHIFT, site)

    return kernel


def _mean(site: Site) -> Kernel:
    pairs, axes = multipliers(site, 1.0 / mean_count(site)), site.node.attrs["axes"]
    keeps = site.node.attrs["keepdim"]
    return lambda inputs: rounded(inputs[0].long().sum(axes, keepdim=keeps), site, pairs)


def mean_count(site: Site) -> int:
    """Return how many values a mean takes in."""
    return math.prod(site.input_shapes[0][axis] for axis in site.node.attrs["axes"])


def _moved(site: Site) -> Kernel:
    refuse_other_grid(site)
    return lambda inputs: OPS[site.node.op].function(site.node, inputs, {})


KERNELS: dict[str, KernelMaker] = {
    "conv2d": _weighted,
    "linear": _weighted,
    "add": _sum,
    "mean": _mean,
    "reshape": _moved,
}
