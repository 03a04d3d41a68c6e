"""A batch norm that was folded into the layer before it, for those that train the two again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intaglio.numerics.normal import Normal


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """What a folded layer was made of, beside its weight.

        z = gamma (conv(x) + layer_bias - mean) / sqrt(var + eps) + beta

    Attributes:
        gamma, beta, mean, var: [C] float32.
        eps: Added to the variance.
        layer_bias: [C] of the layer itself; None where it has none.
        names: Role ("weight" and "bias" of the layer; "gamma", "beta", "mean", "var") to what the
            user's network calls it, where it has it.
        layer_weight: Of the layer itself; None where it has none. Folding leaves nothing of
            channels whose gain is 0.
    """

    gamma: Tensor
    beta: Tensor
    mean: Tensor
    var: Tensor
    eps: float
    layer_bias: Tensor | None
    names: Mapping[str, str]
    layer_weight: Tensor | None = None

    @property
    def gain(self) -> Tensor:
        """What the layer's output channels are multiplied with, [C] float64."""
        return self.gamma.double() / (self.var.double() + self.eps).sqrt()

    def normal(self) -> Normal:
        """Return the distribution that it gives to its values: mean beta, and its deviation.

        The deviation is not |gamma|: where var is far below eps (a dead channel), the two differ
        without bound.
        """
        var = self.var.double()
        return Normal(
            self.beta.double(), self.gamma.double().abs() * (var / (var + self.eps)).sqrt()
        )

    def scaled_to(self, normal: Normal) -> BatchNorm:
        """Return it as it is after steps that scaled its channels, from the distribution by now."""
        before = self.normal().std
        ratio = torch.where(before > 0, normal.std / before, 1.0)
        return replace(self, gamma=(self.gamma.double() * ratio).float())
