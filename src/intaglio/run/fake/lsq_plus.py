"""LSQ+: the steps of grids are learned with their offsets.

    y = s round((x' - b) / s) + b,    x' = x clamped to [s qmin + b, s qmax + b]
    dy/db = 1 outside, 0 inside;      dy/ds as of LSQ, with the integers qmin and qmax outside

Source: Bhalgat et al. 2020 (arXiv:2004.09576), equations 4 to 7. How we differ: runtimes hold an
integer zero point, which is -b / s rounded, straight through, and kept within the integers, so that
zero is on the grid. Where b would leave them it is held at the end, and gets only gradients that
lead back. It starts at the calibrated zero point and is learned in shares of the calibrated range,
so that a rate that is right for logarithms of steps is right for it. Weights are those of LSQ.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intaglio.errors import RangeError
from intaglio.numerics.spec import QuantParams
from intaglio.run.fake.fake_quantize import Edges
from intaglio.run.fake.learned_step import LearnedStep
from intaglio.run.fake.lsq import LsqWeights, gradient_factor
from intaglio.run.fake.ranges import RANGE_METHODS, RangeMethod
from intaglio.run.fake.swapped import swapped


class LsqPlusValues(LearnedStep):
    """A learned step and a learned offset of values.

    Attributes:
        shift: Learned move of the offset, in calibrated ranges, [].
    """

    def __init__(self, start: QuantParams) -> None:
        """Start from the calibrated grid."""
        super().__init__(start)
        self.shift = nn.Parameter(torch.zeros(()))

    def wished(self) -> QuantParams:
        """Return the grid with the learned step and the zero point next to the learned offset.

        Raises:
            RangeError: If the offset is not finite.
        """
        scale = self.wished_scale()
        offset = self._offset().detach()
        if not bool(offset.isfinite()):
            raise RangeError(f"no zero point for the offset {float(offset):g}")
        # half to even; exact where nothing has moved: the quotient is then an integer times 1
        zero = (-offset / scale).round().clamp(self.spec.qmin, self.spec.qmax)
        return QuantParams(scale, zero.to(torch.int32), self.spec)

    def edges(self, used: QuantParams, count: int) -> Edges:
        """Return the edges; the ends move with the step and the offset."""
        learned = self.learned()
        scale = used.scale.to(learned.device)
        lowest, highest = self.spec.qmin, self.spec.qmax
        factor = gradient_factor(count, highest - used.zero)
        step = swapped(learned, scale, factor=factor)
        held = _held(self._offset(), -scale * highest, -scale * lowest)
        offset = swapped(held, -scale * used.zero, factor=factor)
        # the ends that count to the bit, with the gradients of s qmin + b and s qmax + b
        low = swapped(step * lowest + offset, scale * (lowest - used.zero))
        high = swapped(step * highest + offset, scale * (highest - used.zero))
        return Edges(step, low, high)

    def _offset(self) -> Tensor:
        span = self.start_scale * (self.spec.qmax - self.spec.qmin)
        return self.shift * span - self.start_scale * self.start_zero


def _held(offset: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return an offset within bounds; beyond them it gets gradients that lead back alone."""
    found: Tensor = _Held.apply(offset, low, high)  # type: ignore[no-untyped-call]
    return found


class _Held(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, offset: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the bounded offset."""
        ctx.save_for_backward(offset, low, high)
        return offset.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient; 0 where a step against it leads further out."""
        offset, low, high = ctx.saved_tensors
        leads_out = ((offset > high) & (gradient < 0.0)) | ((offset < low) & (gradient > 0.0))
        return gradient.masked_fill(leads_out, 0.0), None, None


RANGE_METHODS.register("lsq+")(
    RangeMethod(LsqPlusValues, LsqWeights, "steps and offsets of values learned (LSQ+)")
)
