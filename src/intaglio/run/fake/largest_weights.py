"""Scales of weights that follow their largest magnitudes at each step, as Jacob et al. have them.

Source: Jacob et al. 2018 (arXiv:1712.05877), section 3.1; symmetric where runtimes hold
weights so, and for each output channel where the plan has a scale for each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.numerics.affine import centered_ends
from intaglio.run.fake.ranges import WeightRange


class LargestWeights(WeightRange):
    """Scales at which the largest magnitude is the highest integer; nothing is learned."""

    def wished(self, weight: Tensor) -> Tensor:
        """Return the scales for the weight as it is now; of a row of zeros the calibrated one."""
        scale = self._covering(weight)
        # NaN stays: the watch has to see it
        is_too_small = scale < torch.finfo(torch.float32).tiny
        return torch.where(is_too_small, self.start_scale, scale)

    def _covering(self, weight: Tensor) -> Tensor:
        """Return the least scales at which all of the weight is within the grid."""
        axis = self.spec.axis
        if self.spec.symmetric:
            return largest_of(weight, axis) / self.spec.qmax
        low, high = centered_ends(self.zero_point, self.spec)
        above, below = (largest_of(part, axis) for part in (weight.relu(), (-weight).relu()))
        return torch.maximum(above / high.clamp(min=1), below / (-low).clamp(min=1))


def largest_of(weight: Tensor, axis: int | None) -> Tensor:
    """Return the largest magnitude of each channel along an axis, [C]; of all, [], for None."""
    if axis is None:
        return weight.abs().amax()
    return weight.abs().amax([one for one in range(weight.ndim) if one != axis])
