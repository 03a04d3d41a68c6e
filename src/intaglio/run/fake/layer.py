"""A layer in training: its weight as the user's network has it, and its batch norm beside it.

The integers of a layer are those of its folded weight w g, g = gamma / sqrt(var + eps). While the
norm's statistics follow the batches, the layer is computed as

    y = conv(x, Q(w g) / g),   z = gamma (y - mean of y) / sqrt(var of y + eps) + beta

that is, rounded with the slow statistics and normalized with the batch's: the correction of
Krishnamoorthi (2018, arXiv:1806.08342, section 3.2), without a second convolution, since division
by g undoes what folding did. Once the statistics are kept, it is what the device computes:

    z = conv(x, Q(w g)) + Q(beta + (bias - mean) g)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.numerics.affine import centered_ends, spread
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.numerics.ste import Bound, snap
from intaglio.ops.weight_rows import over_outputs
from intaglio.run.fake.names import Slot
from intaglio.run.fake.ranges import WeightRange

LARGEST_BIAS = float(2**31)


@dataclass(frozen=True, eq=False)
class Norm:
    """A layer's batch norm in training.

    Attributes:
        gamma, beta: Learned, [C].
        mean, var: Statistics, [C].
        eps: Added to the variance.
        layer_bias: The layer's own bias, [C]; None where it has none.
    """

    gamma: Slot
    beta: Slot
    mean: Slot
    var: Slot
    eps: float
    layer_bias: Slot | None

    def gain(self) -> Tensor:
        """Return g, [C], with a gradient for gamma; 1 where gamma is zero would be no inverse."""
        return self.gamma.value * (self.var.value + self.eps).rsqrt()

    def offset(self) -> Tensor:
        """Return beta + (bias - mean) g, [C]."""
        away = -self.mean.value
        if self.layer_bias is not None:
            away = away + self.layer_bias.value
        return self.beta.value + away * self.gain()


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer with a weight.

    Attributes:
        node: Without its fused activation.
        weight: As the user's network has it, before folding.
        bias: Its bias; None where it has none, or a norm.
        norm: Its batch norm; None where it took in none.
        range: The scales of its weight; None where it stays in float.
    """

    node: Node
    weight: Slot
    bias: Slot | None
    norm: Norm | None
    range: WeightRange | None

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias with the norm's statistics folded in, with gradients."""
        weight = self.weight.value
        if self.norm is None:
            return weight, None if self.bias is None else self.bias.value
        return weight * self._spread(self.norm.gain()), self.norm.offset()

    def before_folding(self, weight: Tensor) -> Tensor:
        """Return what, folded with the norm's statistics, is this weight; where g is 0, itself."""
        if self.norm is None:
            return weight
        gain = self.norm.gain().detach()
        return weight / self._spread(torch.where(gain == 0.0, 1.0, gain))

    def scale(self, input_scale: Tensor | None, bias_limit: int) -> Tensor:
        """Return the weight's scales that count, [C] or [], detached.

        Those that the range wishes, raised where the bias would not fit beside them.

        Args:
            input_scale: Of what the layer reads, [].
            bias_limit: How large the target lets a bias' integer be.
        """
        assert self.range is not None, "a layer in float has no scale"
        with torch.no_grad():
            weight, bias = self.folded()
            wished = self.range.wished(weight)
            if bias is None or input_scale is None:
                return wished
            needed = bias.abs().double() / (input_scale.double() * bias_limit)
            needed = needed if wished.ndim else needed.max()
            return torch.maximum(wished.double(), needed).float()

    def rounded(self, scale: Tensor, input_scale: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return folded weight and bias on their grids, with gradients.

        Args:
            scale: From `scale`.
            input_scale: Of what the layer reads; None: the bias stays real.
        """
        weight, bias = self.folded()
        on_grid = self._snapped(weight, scale)
        if bias is None or input_scale is None:
            return on_grid, bias
        return on_grid, snap(bias, input_scale * scale, -LARGEST_BIAS, LARGEST_BIAS)

    def for_batch_statistics(self, scale: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return Q(w g) / g and the layer's own bias: what comes before the batch's statistics.

        A channel with the gain 0 is not rounded: its weight has no scale, and what its gain has to
        gain is the gradient of the weight as it is.
        """
        assert self.norm is not None, "there are statistics to follow"
        own = None if self.norm.layer_bias is None else self.norm.layer_bias.value
        if scale is None:
            return self.weight.value, own
        weight, gain = self.weight.value, self._spread(self.norm.gain().detach())
        is_off = gain == 0.0
        gain = torch.where(is_off, 1.0, gain)
        return torch.where(is_off, weight, self._snapped(weight * gain, scale) / gain), own

    def _snapped(self, weight: Tensor, scale: Tensor) -> Tensor:
        assert self.range is not None, "a layer in float is not rounded"
        step = self.range.step(scale, weight.numel() // max(1, scale.numel()))
        return snap(weight, self.spread_scale(step), *self._ends())

    def _ends(self) -> tuple[Bound, Bound]:
        """Return the least and the greatest integer minus zero point: numbers where they can be."""
        assert self.range is not None, "a layer in float has no grid"
        spec = self.range.spec
        return (spec.qmin, spec.qmax) if spec.symmetric else self.ends()

    def ends(self) -> tuple[Tensor, Tensor]:
        """Return the least and the greatest integer minus zero point, to broadcast."""
        assert self.range is not None, "a layer in float has no grid"
        low, high = centered_ends(self.range.zero_point, self.range.spec)
        return self.spread_scale(low), self.spread_scale(high)

    def spread_scale(self, scale: Tensor) -> Tensor:
        """Return scales, [C] or [], in a shape that multiplies the weight."""
        assert self.range is not None, "a layer in float has no scale"
        return spread(scale, self.range.spec.axis, self.weight.value.ndim)

    def _spread(self, values: Tensor) -> Tensor:
        return over_outputs(self.node, self.weight.value, values)


def unfolded(node: Node, weight: Tensor, norm: BatchNorm) -> Tensor:
    """Return the weight of which, times the norm's gain, the folded weight is made.

    Channels with the gain 0 are those of the layer before it was folded, where it still has the
    same form: nothing is left of them.
    """
    gain = over_outputs(node, weight, torch.where(norm.gain == 0.0, 1.0, norm.gain))
    found = (weight.double() / gain).float()
    own = norm.layer_weight
    if own is None or own.shape != weight.shape:
        return found
    return torch.where(over_outputs(node, weight, norm.gain) == 0.0, own, found)
