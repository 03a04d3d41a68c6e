"""Weights on few bits after ACIQ: bits for each channel, and its mean and norm given back.

Source: Banner et al. 2019 (arXiv:1810.05723), sections 3 and 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.errors import RequestError

MOST_BITS = 8


def aciq_bit_allocation(ranges: Tensor, mean_bits: float) -> Tensor:
    """Return bits for each channel, [C] int64 in 0..8, wide channels getting more.

    A channel's number of levels goes with its range to the power 2/3, which is best for a fixed sum
    of levels. Bits are those levels' logarithms, moved together until their mean is as wished, and
    rounded by largest remainder: the mean is off by at most half a bit over C. (The paper rounds
    each to the nearest and repeats with another target, so channels of equal range move at once.)

    Source: Banner et al. 2019 (arXiv:1810.05723), section 3 and equation 11.

    Args:
        ranges: [C], >= 0, each channel's range, or the deviation that it is chosen by. A channel of
            range 0 gets 0 bits, so where many are the mean cannot be reached: the rest has 8.
        mean_bits: 0..8.

    Raises:
        RequestError: If `mean_bits` is out of 0..8, or a range is negative or not finite.
    """
    if not 0.0 <= mean_bits <= MOST_BITS:
        raise RequestError(f"mean bits must be within 0..{MOST_BITS}, got {mean_bits}")
    if not bool((ranges.isfinite() & (ranges >= 0)).all()):
        raise RequestError("ranges must be finite and not negative: look for NaN in the weights")
    heights = ranges.double().log2() * 2.0 / 3.0  # -inf where there is nothing to code
    alive = heights[heights.isfinite()]
    if not len(alive):
        return torch.zeros(len(ranges), dtype=torch.int64)
    low, high = -float(alive.max()), MOST_BITS - float(alive.min())
    for _ in range(100):
        middle = (low + high) / 2.0
        below = float((heights + middle).clamp(0, MOST_BITS).mean()) < mean_bits
        low, high = (middle, high) if below else (low, middle)
    reals = (heights + high).clamp(0, MOST_BITS)
    # what bisection left of a whole number is no remainder
    bits = (reals + 1e-9).floor()
    missing = max(round(mean_bits * len(bits)) - int(bits.sum()), 0)
    remainders = (reals - bits).where((bits < MOST_BITS) & heights.isfinite(), -1.0)
    first = remainders.argsort(descending=True, stable=True)[:missing]
    bits[first[remainders[first] >= 0.0]] += 1
    return bits.long()


def aciq_weight_bias_correction(weight: Tensor, quantized: Tensor) -> Tensor:
    """Return quantized weights moved and stretched to each channel's mean and norm before.

    Source: Banner et al. 2019 (arXiv:1810.05723), section 4. The paper adds the difference of means
    and then stretches, which moves the mean again; we stretch about the mean.

    Args:
        weight, quantized: [C_out, ...] float32, before and after rounding.

    Returns:
        [C_out, ...] float32: an affine map of `quantized`, channel by channel, for its scale and
        offset to take up. A channel that rounding made constant is only moved.
    """
    true, rounded = weight.flatten(1).double(), quantized.flatten(1).double()
    mean = true.mean(1, keepdim=True)
    away = rounded - rounded.mean(1, keepdim=True)
    wanted, found = (part.norm(dim=1, keepdim=True) for part in (true - mean, away))
    stretch = (wanted / found).where(found > 0, 1.0)
    corrected: Tensor = away * stretch + mean
    return corrected.reshape(quantized.shape).float()
