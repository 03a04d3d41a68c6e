"""Batch norm that never learns: statistics and factors are constants, as detectors keep them.

A batch of a few large pictures gives poor statistics, so detectors keep those of the classifier
that they are built on. Key names of torchvision's FrozenBatchNorm2d.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COUNTER = "num_batches_tracked"


class FrozenNorm(nn.Module):
    """(x - running_mean) / sqrt(running_var + eps) * weight + bias per channel; all are buffers.

    A counter of batches, which a norm that learns has, is passed over when weights are loaded.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.eps = channels, eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_load_state_dict_pre_hook(_drop_counter)  # type: ignore[no-untyped-call]

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C, H, W] of `features` [N, C, H, W], in training mode too."""
        return F.batch_norm(
            features,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=False,
            eps=self.eps,
        )

    def extra_repr(self) -> str:
        """Return what print() shows in the brackets."""
        return f"{self.channels}, eps={self.eps}"


def freeze_norms(module: nn.Module, *, eps: float | None = None) -> None:
    """Put a FrozenNorm in the place of every BatchNorm2d in `module`, with the same numbers.

    `eps` replaces theirs where it is given.
    """
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenNorm(child.num_features, child.eps if eps is None else eps)
            frozen.load_state_dict(child.state_dict())
            setattr(module, name, frozen)
        else:
            freeze_norms(child, eps=eps)


def _drop_counter(
    _module: nn.Module, state_dict: Mapping[str, Any], prefix: str, *_rest: object
) -> None:
    if isinstance(state_dict, dict):
        state_dict.pop(prefix + COUNTER, None)
