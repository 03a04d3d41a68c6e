"""Random images, and networks whose batch norms have the statistics of such images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

COARSE = 16
"""Pixels from one drawn value to the next in the smooth part of an image."""
GRAIN = 0.4
"""Standard deviation of the noise on top of it, which has one of 1 before it is smoothed."""
BATCHES = 2


def random_images(shape: tuple[int, int, int], seed: int, count: int = 4) -> Tensor:
    """Return [count, C, H, W]: smooth fields with noise on them, about -2 to 2."""
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    coarse = (max(2, height // COARSE), max(2, width // COARSE))
    drawn = torch.randn(count, channels, *coarse, generator=generator)
    smooth = nn.functional.interpolate(drawn, size=(height, width), mode="bilinear")
    grain = torch.randn(count, channels, height, width, generator=generator)
    return (smooth + GRAIN * grain).contiguous()


def settle(network: nn.Module, shape: tuple[int, int, int]) -> None:
    """Give batch norms unlike gains and offsets, and the statistics of random images.

    Everything else runs in evaluation mode meanwhile, and the network is left in it.
    """
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    generator = torch.Generator().manual_seed(1)
    for norm in norms:
        if norm.affine:
            norm.weight.data = torch.empty_like(norm.weight).uniform_(0.6, 1.4, generator=generator)
            norm.bias.data = torch.empty_like(norm.bias).normal_(0.0, 0.2, generator=generator)
    if norms:
        _gather_statistics(network, norms, shape)


def _gather_statistics(
    network: nn.Module, norms: list[_BatchNorm], shape: tuple[int, int, int]
) -> None:
    """Set running means and variances to the plain means over a few batches."""
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = None
        if norm.track_running_stats:
            norm.reset_running_stats()
    try:
        with torch.no_grad():
            for number in range(BATCHES):
                network(random_images(shape, seed=100 + number))
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
        network.eval()
