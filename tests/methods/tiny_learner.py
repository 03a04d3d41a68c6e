"""The smallest network that learns as the loop's contract says, for tests of what watches it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from intaglio.methods.learn.learner import NORMS, SCALES, WEIGHTS, OnGrid
from intaglio.numerics.spec import INT8_WEIGHT, INT8_WEIGHT_PER_TENSOR
from intaglio.numerics.ste import snap


class TinyLearner(nn.Module):
    """conv (a scale a channel), batch norm, an observed range, linear (one scale)."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.conv = nn.Parameter(torch.randn(4, 3, 3, 3, generator=generator) * 0.2)
        self.linear = nn.Parameter(torch.randn(5, 4, generator=generator) * 0.5)
        self.gain = nn.Parameter(torch.ones(4))
        self.bias = nn.Parameter(torch.zeros(4))
        self.conv_scale = nn.Parameter((self.conv.detach().abs().amax((1, 2, 3)) / 127).log())
        self.linear_scale = nn.Parameter((self.linear.detach().abs().max() / 127).log())
        self.value_scale = nn.Parameter(torch.tensor(0.02).log())
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("variance", torch.ones(4))
        self.register_buffer("largest", torch.tensor(0.0))
        self.norm_momentum = 0.1
        self.observes = True
        self.is_frozen = False

    def forward(self, images):
        weight = self.conv_scale.detach().exp().reshape(-1, 1, 1, 1)
        rounded = (self.conv / weight).round().clamp(-127, 127) * weight
        values = F.conv2d(images, self.conv + (rounded - self.conv).detach())
        batch = self.training and not self.is_frozen
        values = F.batch_norm(
            values, self.mean, self.variance, self.gain, self.bias, batch, self.norm_momentum
        )
        if self.training and self.observes:
            self.largest.copy_(torch.maximum(self.largest, values.detach().abs().max()))
        values = snap(values.relu(), self.value_scale.exp(), 0, 255).mean((2, 3))
        return [F.linear(values, snap(self.linear, self.linear_scale.exp(), -127, 127))]

    def groups(self):
        return {
            WEIGHTS: [self.conv, self.linear],
            NORMS: [self.gain, self.bias],
            SCALES: [self.conv_scale, self.linear_scale, self.value_scale],
        }

    def grids(self):
        return {
            "conv.weight": self.conv_scale.detach().exp(),
            "linear.weight": self.linear_scale.detach().exp(),
            "values": self.value_scale.detach().exp(),
        }

    def weights_on_grids(self):
        return {
            "conv": on_grid(self.conv, self.conv_scale, INT8_WEIGHT),
            "linear": on_grid(self.linear, self.linear_scale, INT8_WEIGHT_PER_TENSOR),
        }

    def norm_statistics(self):
        return {} if self.is_frozen else {"norm": (self.mean, self.variance)}

    def freeze_norms(self):
        self.is_frozen = True


def on_grid(latent, logarithm, spec):
    """Return a weight on the grid whose scale has this logarithm, [] or [C]."""

    def scale():
        return logarithm.detach().exp().reshape([-1] + [1] * (latent.ndim - 1))

    ends = torch.tensor(float(spec.qmin)), torch.tensor(float(spec.qmax))
    return OnGrid(latent, lambda: latent.detach() / scale(), ends, lambda steps: steps * scale())


def trained(learner, steps, rate=0.02, after=None):
    """Train on random images whose class a fixed network tells; return the losses.

    Args:
        after: Is called with the steps that are done, the loss and the learner.
    """
    generator = torch.Generator().manual_seed(7)
    teacher = torch.randn(3 * 64, 5, generator=generator)
    optimizer = torch.optim.SGD(learner.parameters(), rate)
    losses = []
    for step in range(1, steps + 1):
        images = torch.randn(16, 3, 8, 8, generator=generator)
        optimizer.zero_grad()
        loss = F.cross_entropy(learner(images)[0], (images.flatten(1) @ teacher).argmax(1))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if after is not None:
            after(step, losses[-1], learner)
    return losses
