"""Images that learn: their pixels, or what a generator is fed, and the generator with it."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from intaglio.methods.datafree.generator import Form, Generator
from intaglio.methods.datafree.pixels import Pixels

LATENT = 256
"""Numbers for an image, as published for GENIE-D."""
LATENT_RATE, GENERATOR_RATE = 0.1, 0.01
"""Rates of Adam, as published for GENIE-D, where pixels have 0.5."""
PIXEL_RATE = 0.5


class Pictures(Protocol):
    """A batch of images that learns."""

    def __call__(self) -> Tensor:
        """Return the images as they are now, [N, C, H, W], with gradients."""

    def groups(self) -> list[tuple[list[Tensor], float]]:
        """Return what learns, with its rate as a share of the rate of pixels."""

    def tensors(self) -> dict[str, Tensor]:
        """Return all that changes, by name: the tensors themselves."""

    def keep_within(self) -> None:
        """Move what is beyond the input's ends back to them."""


class Painted:
    """Pixels that learn."""

    def __init__(self, images: Tensor, pixels: Pixels) -> None:
        """Start from images [N, C, H, W]."""
        self._pixels = pixels
        layout = torch.channels_last
        self._images = images.clone(memory_format=layout).requires_grad_(True)

    def __call__(self) -> Tensor:
        """Return the images."""
        return self._images

    def groups(self) -> list[tuple[list[Tensor], float]]:
        """Return the pixels."""
        return [([self._images], 1.0)]

    def tensors(self) -> dict[str, Tensor]:
        """Return the pixels."""
        return {"images": self._images}

    @torch.no_grad()
    def keep_within(self) -> None:
        """Move pixels back to the ends."""
        self._images.copy_(self._pixels.within(self._images))


class Generated:
    """Latents that learn, and a generator that learns with them."""

    def __init__(self, count: int, pixels: Pixels, draws: torch.Generator, device: str) -> None:
        """Draw both."""
        seed = int(torch.randint(2**31, (1,), generator=draws))
        self._generator = Generator(Form(latent=LATENT), pixels, seed).to(device)
        latents = torch.randn(count, LATENT, generator=draws).to(device)
        self._latents = nn.Parameter(latents)

    def __call__(self) -> Tensor:
        """Return what the generator makes."""
        made: Tensor = self._generator(self._latents)
        return made

    def groups(self) -> list[tuple[list[Tensor], float]]:
        """Return the latents, and the generator's parameters."""
        learned: list[Tensor] = list(self._generator.parameters())
        return [
            ([self._latents], LATENT_RATE / PIXEL_RATE),
            (learned, GENERATOR_RATE / PIXEL_RATE),
        ]

    def tensors(self) -> dict[str, Tensor]:
        """Return latents and the generator's state."""
        state = self._generator.state_dict()
        return {"latents": self._latents, **{f"generator.{name}": state[name] for name in state}}

    def keep_within(self) -> None:
        """Do nothing: the generator stays within the ends."""


def low_passed(images: Tensor, cycles: float) -> Tensor:
    """Return images [N, C, H, W] behind a Gaussian filter exp(-D^2 / (2 cycles^2)); 0: as they are.

    D is the distance of a frequency from zero, in cycles across the image.
    """
    if cycles == 0.0:
        return images
    height, width = images.shape[2:]
    down = torch.fft.fftfreq(height, device=images.device).unsqueeze(1) * height
    across = torch.fft.rfftfreq(width, device=images.device).unsqueeze(0) * width
    passed = (-(down.square() + across.square()) / (2.0 * cycles**2)).exp()
    found: Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * passed, s=(height, width))
    return found


def moved(images: Tensor, pixels: int, draws: torch.Generator) -> Tensor:
    """Return images moved by up to some pixels each way, edges mirrored, and maybe mirrored whole.

    One draw for the batch; gradients go back to where they came from.
    """
    if pixels == 0:
        return images
    down, across = torch.randint(0, 2 * pixels + 1, (2,), generator=draws).tolist()
    height, width = images.shape[2:]
    room = [min(pixels, width - 1)] * 2 + [min(pixels, height - 1)] * 2
    wide = torch.nn.functional.pad(images, room, mode="reflect")
    down, across = min(down, 2 * room[2]), min(across, 2 * room[0])
    taken = wide[:, :, down : down + height, across : across + width]
    is_mirrored = bool(torch.randint(0, 2, (1,), generator=draws))
    return taken.flip(3) if is_mirrored else taken
