"""Images that only measure: how far the student is from its teacher, with no data to ask.

Half are noise with the spectrum of photographs, half are the generator's as it is when the student
begins to move; neither is ever learned from. They and the teacher's outputs for them are made once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intaglio.calibrate.noise import noise_images
from intaglio.methods.datafree.discrepancy import output_discrepancy
from intaglio.methods.datafree.generator import Generator
from intaglio.methods.datafree.tapped import Teacher
from intaglio.run.fake import FakeNetwork

HELD, GAME = 3, 4
"""Tell these draws from others of the same seed."""
AT_ONCE = 32


def drawing(*parts: int) -> torch.Generator:
    """Return a source of random numbers that depends on these numbers alone."""
    seed = int(np.random.SeedSequence(list(parts)).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(seed >> 1)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a student is measured on.

    Attributes:
        images: [N, C, H, W].
        outputs: The teacher's for them, in order.
    """

    images: Tensor
    outputs: list[Tensor]

    def discrepancy(self, student: FakeNetwork, *, rounded: bool = False) -> float:
        """Return the mean output discrepancy of a student in measuring mode, which stays as it is.

        NaN where an output is not finite.

        Args:
            rounded: Whether outputs are on their grids, as a device gives them, or in front of
                them, as the student learns.
        """
        assert not student.training, "what is measured is what the device computes"
        before, student.rounds_outputs = student.rounds_outputs, rounded
        try:
            with torch.no_grad():
                parts = [student(part) for part in torch.split(self.images, AT_ONCE)]
                outputs = [torch.cat(pieces) for pieces in zip(*parts, strict=True)]
                return float(output_discrepancy(self.outputs, outputs))
        finally:
            student.rounds_outputs = before


def held_out(teacher: Teacher, generator: Generator, count: int, seed: int) -> HeldOut:
    """Return images to measure on: half of noise, half as the generator makes them by now."""
    pixels, device = generator.pixels, str(generator.mean.device)
    half = max(2, count // 2)
    drawn = drawing(seed, HELD)
    noise = noise_images(half, pixels.low, pixels.high, pixels.shape[1:], drawn)
    made = generator.draw(half, drawn).to(device)
    with torch.no_grad():
        images = torch.cat([noise.to(device), generator(made.latent, made.labels)])
    return asked(teacher, images)


def asked(teacher: Teacher, images: Tensor) -> HeldOut:
    """Return images with the teacher's outputs for them."""
    with torch.no_grad():
        parts = [teacher(part).outputs for part in torch.split(images, AT_ONCE)]
    return HeldOut(images, [torch.cat(pieces) for pieces in zip(*parts, strict=True)])
