"""A network that makes images of numbers that are drawn, for any shape of image.

Source: Xu et al. 2020 (GDFQ, arXiv:2003.03603), whose generator for CIFAR is that of ZAQ as well:

    z * embedding of the label -> linear -> [width, H/4, W/4] -> BN
      -> x2 -> conv 3x3, BN, LeakyReLU 0.2 -> x2 -> conv 3x3 to width / 2, BN, LeakyReLU 0.2
      -> conv 3x3 to C, tanh, BN without gain

How we differ: height and width need not divide by four (what is too much is cut off); what comes
out is moved to the network's own mean and deviation and kept between the ends of its input; labels
may be soft, and the rows of several classes are then mixed (superposed embeddings of Qimera, Choi
et al. 2021, arXiv:2111.02625). All batch norms use the batch at hand and keep no statistics: there
is no other mode in which the images would be others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.methods.datafree.pixels import Pixels

SLOPE = 0.2
USUAL_EPS = 1e-5
PUBLISHED_EPS = 0.8
"""What GDFQ's code has in the place of eps, where a momentum was probably meant."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What images are made of.

    Attributes:
        latent: [N, Z], normal.
        labels: Share of each class, [N, K], rows sum to 1; None without classes.
    """

    latent: Tensor
    labels: Tensor | None

    def to(self, device: str) -> Drawn:
        """Return the same on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return Drawn(self.latent.to(device), labels)


@dataclass(frozen=True)
class Form:
    """How a generator is built.

    Attributes:
        latent: Numbers of which an image is made, Z.
        width: Channels of its first value.
        classes: K; None: it knows no classes.
        norm_eps: Added to variances in its two inner batch norms (0.8 as published by GDFQ).
    """

    latent: int = 100
    width: int = 128
    classes: int | None = None
    norm_eps: float = USUAL_EPS


class Generator(nn.Module):
    """Makes images; see the head of this file.

    Attributes:
        form: How it is built.
        pixels: What the images are for.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, form: Form, pixels: Pixels, seed: int) -> None:
        """Draw its weights by the seed alone."""
        super().__init__()
        self.form, self.pixels = form, pixels
        channels, height, width = pixels.shape
        self.start = (form.width, -(-height // 4), -(-width // 4))
        inner = max(1, form.width // 2)
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.embedding = (
                None
                if form.classes is None
                else nn.Parameter(torch.randn(form.classes, form.latent))
            )
            self.spread = nn.Linear(form.latent, form.width * self.start[1] * self.start[2])
            self.norm_0 = _norm(form.width)
            self.conv_1 = nn.Conv2d(form.width, form.width, 3, padding=1)
            self.norm_1 = _norm(form.width, form.norm_eps)
            self.conv_2 = nn.Conv2d(form.width, inner, 3, padding=1)
            self.norm_2 = _norm(inner, form.norm_eps)
            self.conv_3 = nn.Conv2d(inner, channels, 3, padding=1)
            self.norm_3 = _norm(channels, affine=False)
        for role in ("mean", "std", "low", "high"):
            self.register_buffer(role, getattr(pixels, role).reshape(1, -1, 1, 1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images [N, C, H, W] for latents [N, Z] and shares of classes [N, K].

        A batch of two at least: each image is normalized beside the others.
        """
        if self.embedding is not None:
            assert labels is not None, "it was built for classes"
            latent = latent * (labels @ self.embedding)
        x = self.spread(latent).unflatten(1, self.start)  # [N, width, ceil(H/4), ceil(W/4)]
        x = self.norm_0(x.contiguous(memory_format=torch.channels_last))
        x = F.leaky_relu(self.norm_1(self.conv_1(_doubled(x))), SLOPE, inplace=True)
        x = F.leaky_relu(self.norm_2(self.conv_2(_doubled(x))), SLOPE, inplace=True)
        x = self.norm_3(self.conv_3(x).tanh())
        _, height, width = self.pixels.shape
        x = x[:, :, :height, :width] * self.std + self.mean
        return torch.minimum(torch.maximum(x, self.low), self.high)

    def draw(
        self, count: int, generator: torch.Generator, *, superposed: float = 0.0, mixed: int = 2
    ) -> Drawn:
        """Return what `count` images are made of, drawn on the CPU.

        Args:
            generator: Of random numbers.
            superposed: Probability that an image is of `mixed` classes instead of one.
            mixed: Classes of which it then is, with convex shares drawn at random.
        """
        latent = torch.randn(count, self.form.latent, generator=generator)
        if self.form.classes is None:
            return Drawn(latent, None)
        chosen = torch.randint(self.form.classes, (count, mixed), generator=generator)
        shares = -torch.rand(count, mixed, generator=generator).clamp(min=1e-7).log()
        shares = shares / shares.sum(1, keepdim=True)  # uniform among all convex shares
        is_mixed = torch.rand(count, 1, generator=generator) < superposed
        single = F.one_hot(torch.zeros(count, dtype=torch.int64), mixed).float()
        shares = torch.where(is_mixed, shares, single)
        labels = torch.zeros(count, self.form.classes).scatter_add_(1, chosen, shares)
        return Drawn(latent, labels)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _norm(channels: int, eps: float = USUAL_EPS, *, affine: bool = True) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=eps, affine=affine, track_running_stats=False)
