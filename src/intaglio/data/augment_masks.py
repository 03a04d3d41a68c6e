"""Images and their masks, changed together each time that training sees them.

What an image shows is moved, and its classes with it; where nothing of it is seen the mask is
IGNORED. As in `augment.py` what is drawn depends on seed, step and place in the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.data.augment import Augment, drawn
from intaglio.data.mask import IGNORED
from intaglio.data.seeded import generator_of
from intaglio.data.seen_mask import sources
from intaglio.errors import RequestError

LOWEST, HIGHEST = 1 / 16, 16.0
"""Of scales: beyond these nothing is left to see of an image, or one pixel of it."""


@dataclass(frozen=True)
class Zoom:
    """How much larger or smaller images are shown.

    Attributes:
        low, high: A scale is drawn between these for each image, every one as likely; 1: as it is.

    Raises:
        RequestError: If they are not LOWEST <= low <= high <= HIGHEST.
    """

    low: float = 1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not LOWEST <= self.low <= self.high <= HIGHEST:
            raise RequestError(
                f"zoom {self.low:g} to {self.high:g}: give the smaller scale first, both within"
                f" {LOWEST:g}..{HIGHEST:g}, such as 0.5 to 2"
            )

    @property
    def does_nothing(self) -> bool:
        """Whether images stay as they are."""
        return self.low == self.high == 1.0


@dataclass(frozen=True)
class Frame:
    """A scaled image on its old size.

    Attributes:
        rows, columns: Pixels of the scaled image.
        top, left: Where its first pixel lies on the old size; below 0 where it is cut off.
    """

    rows: int
    columns: int
    top: int
    left: int


def zoomed(
    zoom: Zoom,
    images: Tensor,
    masks: Tensor,
    *,
    positions: Sequence[int],
    seed: int,
    step: int,
) -> tuple[Tensor, Tensor]:
    """Return images and masks scaled, then cut or bordered to their old size at a random place.

    Source: Chen et al. 2017, arXiv:1706.05587, section 4.1, where scales are 0.5 to 2.

    Args:
        zoom: What is drawn from.
        images: [N, C, H, W] float32; bilinear, antialiased where smaller. The border is the mean of
            each channel.
        masks: [N, H, W] uint8; the class at the nearest pixel. The border is IGNORED.
        positions: The place of each in the whole batch of the step.
        seed: The same seed does the same.
        step: Of training.

    Returns:
        [N, C, H, W] and [N, H, W]; those given where nothing is to be done, and never changed.
    """
    if zoom.does_nothing:
        return images, masks
    height, width = masks.shape[1:]
    shown, classes = images.clone(), masks.clone()
    for number, position in enumerate(positions):
        frame = drawn_frame(zoom, (height, width), seed=seed, step=step, position=position)
        shown[number] = framed_image(images[number], frame)
        classes[number] = framed_mask(masks[number], frame)
    return shown, classes


def drawn_frame(zoom: Zoom, size: tuple[int, int], *, seed: int, step: int, position: int) -> Frame:
    """Return how an image of `size` (height, width) is shown; arguments as `zoomed`."""
    generator = generator_of("zoom", seed, step, position)
    share, down, across = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    scale = zoom.low + (zoom.high - zoom.low) * share
    rows, columns = (max(1, round(side * scale)) for side in size)
    return Frame(rows, columns, _first(size[0] - rows, down), _first(size[1] - columns, across))


def framed_image(image: Tensor, frame: Frame) -> Tensor:
    """Return an image [C, H, W] as a frame shows it, the mean of each channel around it."""
    height, width = image.shape[1:]
    smaller = frame.rows < height or frame.columns < width
    scaled = F.interpolate(
        image[None],
        size=(frame.rows, frame.columns),
        mode="bilinear",
        align_corners=False,
        antialias=smaller,
    )[0]
    canvas = image.mean((1, 2), keepdim=True).expand_as(image).clone()
    down, across = _shown(frame.top, frame.rows, height), _shown(frame.left, frame.columns, width)
    canvas[:, down[0], across[0]] = scaled[:, down[1], across[1]]
    return canvas


def framed_mask(mask: Tensor, frame: Frame) -> Tensor:
    """Return a mask [H, W] as a frame shows it, IGNORED around it.

    A pixel has the class of the pixel in which its centre lies (`seen_mask.sources`).
    """
    height, width = mask.shape
    rows = torch.from_numpy(sources(height, frame.rows / height, 0.0, frame.rows))
    columns = torch.from_numpy(sources(width, frame.columns / width, 0.0, frame.columns))
    down, across = _shown(frame.top, frame.rows, height), _shown(frame.left, frame.columns, width)
    canvas = torch.full_like(mask, IGNORED)
    rows, columns = rows[down[1]].to(mask.device), columns[across[1]].to(mask.device)
    canvas[down[0], across[0]] = mask[rows][:, columns]
    return canvas


def moved_masks(
    augment: Augment,
    masks: Tensor,
    positions: Sequence[int] | Tensor,
    *,
    batch: int,
    seed: int,
    step: int,
) -> Tensor:
    """Return the masks [N, H, W] uint8 of images that `augmented` mirrors and moves.

    What comes in from beyond the image is IGNORED; other arguments as its own. Those given are not
    changed, and returned where nothing is to be done.
    """
    if augment.does_nothing:
        return masks
    done = drawn(augment, batch, seed=seed, step=step)
    places = torch.as_tensor(positions, dtype=torch.int64)
    height, width = masks.shape[1:]
    rows = torch.arange(height) - done.down[places, None]  # [N, H] of the image
    columns = torch.arange(width) - done.right[places, None]  # [N, W] of the mirrored image
    columns = torch.where(done.mirrored[places, None], width - 1 - columns, columns)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]  # [N, H, W]
    index = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None]
    moved = masks.flatten(1).gather(1, index.flatten(1).to(masks.device)).reshape(masks.shape)
    return moved.where(inside.to(masks.device), torch.tensor(IGNORED, dtype=masks.dtype))


def _first(room: int, share: float) -> int:
    """Return where a side begins: anywhere in what is free, or so far before it as it is longer."""
    return min(abs(room), math.floor(share * (abs(room) + 1))) * (1 if room >= 0 else -1)


def _shown(first: int, length: int, side: int) -> tuple[slice, slice]:
    """Return which pixels of a side of the canvas are shown, and which of the scaled image's."""
    start, stop = max(0, first), min(side, first + length)
    return slice(start, stop), slice(start - first, stop - first)
