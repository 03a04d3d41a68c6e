"""Images that training changes a little each time it sees them: mirrored, and moved.

What is drawn for an image depends on the seed, the step and its place in the whole batch. So a
batch that several processes share out among them has the same images as one process alone would
have, and a run that goes on where it was killed has those that it would have had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.data.seeded import generator_of
from intaglio.errors import RequestError


@dataclass(frozen=True)
class Augment:
    """What is done to images, at random.

    Attributes:
        flip: Whether they are mirrored, left and right, half of the time.
        crop: By how many pixels they are moved at most, up or down and left or right, each number
            of pixels as likely as the other; zeros come in. As cutting the old size out of an image
            with `crop` zeros all around.
    """

    flip: bool = False
    crop: int = 0

    @property
    def does_nothing(self) -> bool:
        """Whether images stay as they are."""
        return not self.flip and not self.crop


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is done to the images of a whole batch of N.

    Attributes:
        mirrored: [N] bool.
        down: By how many pixels, upwards where below 0, [N] int64 within -crop..crop.
        right: To the left where below 0, likewise.
    """

    mirrored: Tensor
    down: Tensor
    right: Tensor


def drawn(augment: Augment, batch: int, *, seed: int, step: int) -> Drawn:
    """Return what is done to the images of a step; a batch of another size has others."""
    generator = generator_of("augment", seed, step)
    mirrored = torch.rand(batch, generator=generator) < 0.5
    moves = torch.randint(-augment.crop, augment.crop + 1, (2, batch), generator=generator)
    return Drawn(mirrored & augment.flip, moves[0], moves[1])


def augmented(
    augment: Augment,
    images: Tensor,
    positions: Sequence[int] | Tensor,
    *,
    batch: int,
    seed: int,
    step: int,
) -> Tensor:
    """Return the images mirrored and moved; those given are not changed.

    Args:
        augment: What is done.
        images: [N, C, H, W].
        positions: The place of each in the whole batch of the step, [N], 0 to batch - 1.
        batch: Images in the whole batch, over all processes, with those that were skipped.
        seed: The same seed does the same.
        step: Of training.

    Returns:
        [N, C, H, W]; `images` themselves where nothing is to be done.

    Raises:
        RequestError: If they are no images, or smaller than they are to be moved.
    """
    if augment.does_nothing:
        return images
    _check(augment, images)
    places = torch.as_tensor(positions, dtype=torch.int64)
    done = drawn(augment, batch, seed=seed, step=step)
    height, width = images.shape[2:]
    border = augment.crop
    rows = torch.arange(height) - done.down[places, None] + border  # [N, H] of the bordered image
    columns = torch.arange(width) - done.right[places, None]  # [N, W] of the mirrored image
    columns = torch.where(done.mirrored[places, None], width - 1 - columns, columns) + border
    index = rows[:, :, None] * (width + 2 * border) + columns[:, None, :]  # [N, H, W]
    bordered = F.pad(images, (border,) * 4).flatten(2)  # [N, C, (H + 2 border) (W + 2 border)]
    index = index.flatten(1)[:, None].to(images.device)  # [N, 1, H W]
    return bordered.gather(2, index.expand(-1, images.shape[1], -1)).reshape(images.shape)


def _check(augment: Augment, images: Tensor) -> None:
    if images.ndim != 4:
        raise RequestError(
            f"flip and crop are for images [N, C, H, W], but these are {list(images.shape)}:"
            f" train with flip = false and crop = 0"
        )
    if augment.crop >= min(images.shape[2:]):
        height, width = images.shape[2:]
        raise RequestError(
            f"crop = {augment.crop} may move an image of {width}x{height} pixels out of sight:"
            f" give fewer than {min(height, width)}"
        )
