"""Integer MEAN and MAX_POOL_2D.

MEAN, with a the raw sum of n integers (no zero point removed):
    inv = f32(f32(s_x / s_y) * f32(1 / n)), t = f32(n z_x), zc = f32(z_y - f32(t inv))
    xnnpack    q_y = rint(f32(f32(f32(a) inv) + zc))      x86-64; ARM fuses the multiply-adds, and scales
                                                          are chosen so that both agree
    reference  (m, e) = multiplier of s_x / s_y; k = min(floor(log2 n), 32, 31 + e)
               q_y = double_rounding(a - n z_x, floor((m << k) / n), e - k) + z_y
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.numerics.accumulate import FLOAT32_EXACT
from intaglio.numerics.requantize import double_rounding, fixed_point_multiplier
from intaglio.numerics.spec import QuantParams
from intaglio.run.integer.site import Kernel, Site, activation_bounds, as_float, integer_kernel


@integer_kernel("mean")
def prepare_mean(site: Site) -> Kernel:
    """Mean over any axes but the batch."""
    axes, keepdim = site.node.attrs["axes"], site.node.attrs["keepdim"]
    count = math.prod(site.input_shapes[0][axis] for axis in axes)
    if count * 255 >= FLOAT32_EXACT:
        raise site.refuse(f"the mean of {count} values needs sums beyond 2^24", "Pool in two steps")
    bounds = activation_bounds(site)
    x, y = site.inputs[0], site.output
    if site.is_reference:
        mantissa, exponent = fixed_point_multiplier(float(x.step) / float(y.step))
        shift = min(math.floor(math.log2(count)), 32, 31 + exponent)
        folded = (mantissa << shift) // count

        def reference(inputs: Sequence[Tensor]) -> Tensor:
            total = inputs[0].sum(axes, keepdim=keepdim).to(torch.int64)
            return as_float(double_rounding(total, folded, exponent - shift).clamp_(*bounds))

        return reference
    inverse, offset = mean_constants(x, y, count)
    raw = float(count * x.zero)

    def xnnpack(inputs: Sequence[Tensor]) -> Tensor:
        total = inputs[0].sum(axes, keepdim=keepdim).add_(raw)
        rounded = total.mul_(float(inverse)).add_(float(offset)).round_()
        return rounded.sub_(y.zero).clamp_(*bounds)

    return xnnpack


def mean_constants(x: QuantParams, y: QuantParams, count: int) -> tuple[np.float32, np.float32]:
    """Return XNNPACK's (inv, zc) of a mean of `count` values, as x86-64 computes them."""
    inverse = np.float32(
        np.float32(x.step / y.step) * np.float32(np.float32(1.0) / np.float32(count))
    )
    shifted = np.float32(np.float32(count * x.zero) * inverse)
    return inverse, np.float32(np.float32(y.zero) - shifted)


@integer_kernel("max_pool2d")
def prepare_max_pool2d(site: Site) -> Kernel:
    """Maximum over windows; input and output share one grid."""
    attrs = site.node.attrs
    top, bottom, left, right = attrs["padding"]
    bounds = activation_bounds(site)

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        x = F.pad(inputs[0], (left, right, top, bottom), value=float("-inf"))
        y = F.max_pool2d(x, attrs["kernel"], attrs["stride"], 0, attrs["dilation"])
        return y.clamp_(*bounds)

    return kernel
