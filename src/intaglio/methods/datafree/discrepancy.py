"""How far two networks are apart: in outputs, and in how the channels of their features relate.

Source: Liu, Zhang, Wang 2021 (ZAQ, CVPR). Of outputs it is the mean absolute difference; of a
feature the mean absolute difference of two channel relation maps (CRM),

    R_ij = <f_i, f_j> / (|f_i| |f_j|)        f_i: a channel's numbers over the batch and all places

and layers are weighted by softmax of these distances, averaged over time. A channel that is zero
throughout has no direction: its rows and columns of R are 0, and so are the gradients through them.
(The released code divides by such norms: a straight-through gradient of 1e9 is the end of a run.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-6
"""The norm up to which a channel, or a place, is zero."""
MOMENTUM = 0.9
ATTENDED = 0.1
"""Share of attention that the released loss adds to a feature."""


def output_discrepancy(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> Tensor:
    """Return the mean absolute difference, [], of each output [N, ...] by itself, averaged.

    So an output of many numbers (boxes) counts no more than one of few (classes).
    """
    each = [(a - b).abs().mean() for a, b in zip(teacher, student, strict=True)]
    return torch.stack(each).mean()


def channel_relation_map(features: Tensor, *, per_sample: bool = False, eps: float = EPS) -> Tensor:
    """Return the cosines between channels, [C, C], or [B, C, C] with a map for each sample.

    Where a channel's norm is at most eps, its row and column are 0; else the diagonal is 1.

    Args:
        features: [B, C, ...].
        per_sample: Whether a channel's numbers are those of one sample, not of the batch. The
            paper's wording admits both.
        eps: Of norms.
    """
    places = features.flatten(2) if features.ndim > 2 else features.unsqueeze(2)  # [B, C, P]
    rows = places.transpose(1, 2)  # [B, P, C]: a view where channels come last
    if not per_sample:
        rows = rows.flatten(0, 1)  # [B P, C]
    products = rows.transpose(-2, -1) @ rows  # [..., C, C]
    squares = products.diagonal(dim1=-2, dim2=-1)  # [..., C]
    alive = squares > eps * eps
    inverse = torch.where(alive, squares, 1.0).rsqrt() * alive
    found = products * inverse.unsqueeze(-1) * inverse.unsqueeze(-2)
    ones = torch.diag_embed(alive.to(found.dtype))
    return torch.where(torch.eye(found.shape[-1], device=found.device) > 0, ones, found)


def relation_discrepancy(teacher: Tensor, student: Tensor, *, per_sample: bool = False) -> Tensor:
    """Return (1 / C^2) |R_teacher - R_student|_1, [], of two features [B, C, ...]."""
    first, second = (channel_relation_map(x, per_sample=per_sample) for x in (teacher, student))
    return (first - second).abs().mean()


class LayerWeights:
    """How much each layer counts, summing to 1: w <- m w + (1 - m) softmax(d_1 .. d_L).

    The paper updates across epochs and does not state m; here it is told of every step, and m is
    0.9. It starts with all layers alike.

    Attributes:
        weights: [L].
    """

    def __init__(self, count: int, momentum: float = MOMENTUM, device: str = "cpu") -> None:
        """Weigh `count` layers alike."""
        self.weights = torch.full((count,), 1.0 / max(1, count), device=device)
        self._momentum = momentum

    @torch.no_grad()
    def update(self, distances: Tensor) -> None:
        """Take in the distances of all layers, [L]; those that are not finite change nothing."""
        wished = distances.detach().softmax(0)
        if bool(wished.isfinite().all()):
            moved = self._momentum * self.weights + (1.0 - self._momentum) * wished
            self.weights = moved / moved.sum().clamp(min=EPS)

    def tensors(self) -> dict[str, Tensor]:
        """Return what there is to keep."""
        return {"weights": self.weights}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` returned."""
        self.weights = tensors["weights"].clone().to(self.weights.device)


def activation_regularizer(features: Tensor) -> Tensor:
    """Return -(1 / M) sum |h|, [], of the teacher's last feature: small where it is strong."""
    return -features.abs().mean()


def released_discrepancy(teacher: Sequence[Tensor], student: Sequence[Tensor]) -> Tensor:
    """Return the loss between features that the published code of ZAQ has in place of the paper's.

    Each feature [B, C, H, W] has its channels normalized to length 1 at every place; 0.1 of its
    attention to itself, without parameters, is added, once over places and once over channels
    (there of what is farthest: softmax of the largest energy minus each); mean absolute differences
    are summed over both and all stages alike. How we differ: a place that is zero in all channels
    stays zero and passes no gradient; and attention over places is never held in memory whole.
    """
    total = teacher[0].new_zeros(())
    for first, second in zip(teacher, student, strict=True):
        pair = [_directions(x) for x in (first, second)]  # [B, P, C] each
        for attended in (_over_places, _over_channels):
            a, b = (x + ATTENDED * attended(x) for x in pair)
            total = total + (a - b).abs().mean()
    return total


def _directions(features: Tensor) -> Tensor:
    """Return [B, P, C] with rows of length 1, or 0."""
    places = features.flatten(2) if features.ndim > 2 else features.unsqueeze(2)
    rows = places.transpose(1, 2)
    squares = rows.square().sum(2, keepdim=True)
    alive = squares > EPS * EPS
    return rows * (torch.where(alive, squares, 1.0).rsqrt() * alive)


def _over_places(rows: Tensor) -> Tensor:
    """Return softmax(X X^T) X of [B, P, C], piece by piece, and again on the way back."""
    heads = rows.unsqueeze(1)  # [B, 1, P, C]
    return F.scaled_dot_product_attention(heads, heads, heads, scale=1.0).squeeze(1)


def _over_channels(rows: Tensor) -> Tensor:
    """Return X softmax(max - X^T X)^T of [B, P, C]."""
    energy = rows.transpose(1, 2) @ rows  # [B, C, C]
    farthest = (energy.amax(2, keepdim=True) - energy).softmax(2)
    return rows @ farthest.transpose(1, 2)
