"""Integers of weights that stay as they were decided: what is around them learns.

Rounding that was decided with care (second order, AdaRound) is undone by training long before
training finds a better one, above all with few images. Held integers leave the gains and offsets of
batch norms, biases and the steps of values to learn: some thousand numbers, which a thousand images
can teach. The gain of a norm is folded into weight and scale alike, so that it is the weight's
scale, one for each channel, that learns.

Source: Chen et al. 2024, EfficientQAT (arXiv:2407.11062), section 3.3, where step sizes of weights
are trained end to end behind the rounding. How we differ: scales of weights move by the norms'
gains, so that the user's own network takes the result; a layer without a norm keeps them, and one
with a single scale for all channels keeps its gains too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.numerics.spec import QuantParams
from intaglio.run.fake.largest_weights import largest_of
from intaglio.run.fake.lsq import LsqValues
from intaglio.run.fake.ranges import RANGE_METHODS, RangeMethod, WeightRange


class HeldWeights(WeightRange):
    """Scales that follow the weight's size, so that weight over scale stays what it was.

    Attributes:
        start_largest: Largest magnitudes of the weight when training starts, [C] or [].
    """

    holds = True
    start_largest: Tensor

    def __init__(self, start: QuantParams, weight: Tensor) -> None:
        """Start from the calibrated scales and the weight that they are for."""
        super().__init__(start, weight)
        self.register_buffer("start_largest", largest_of(weight, self.spec.axis))

    def wished(self, weight: Tensor) -> Tensor:
        """Return the scales at which the integers are those of the start.

        Those of a row of zeros, at the start or by now, are the calibrated ones.
        """
        growth = largest_of(weight, self.spec.axis).double() / self.start_largest.double()
        growth = torch.where((self.start_largest == 0.0) | (growth == 0.0), 1.0, growth)
        return (self.start_scale.double() * growth).float()


RANGE_METHODS.register("held")(
    RangeMethod(
        LsqValues,
        HeldWeights,
        "integers of weights held; gains, biases and steps of values learned",
    )
)
