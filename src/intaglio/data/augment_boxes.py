"""Images and the boxes in them, changed together each time that training sees them.

A part of an image is cut out and enlarged, or all of it is made smaller; boxes go where their
objects go. As in `augment.py` what is drawn depends on seed, step and place in the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from intaglio.data.augment import Augment, drawn
from intaglio.data.seeded import generator_of
from intaglio.data.seen import seen_truth, with_boxes, within
from intaglio.data.truth import Truth

OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
"""One of these is drawn: some object overlaps the part by so much. 0: any part will do."""
LEAST_SIDE, MOST_RATIO = 0.3, 2.0
"""Of a part: its sides are this share of the image's at least, one is so many times the other's
share at most."""
TRIES = 50
"""Parts that are drawn until one will do; then the image stays whole."""


@dataclass(frozen=True)
class Reframe:
    """What is shown of images with boxes.

    Attributes:
        cut: Share of them of which a part is cut out and enlarged. 0..1.
        shrink: The others are up to this many times smaller, half of the time, with the mean of
            the image around; 1: none is.
    """

    cut: float = 0.0
    shrink: float = 1.0

    @property
    def does_nothing(self) -> bool:
        """Whether images stay as they are."""
        return not self.cut and self.shrink <= 1.0


@dataclass(frozen=True)
class Part:
    """A part of an image, in whole pixels; `right` and `bottom` lie behind it."""

    left: int
    top: int
    right: int
    bottom: int


def reframed(
    reframe: Reframe,
    images: Tensor,
    truths: Sequence[Truth],
    *,
    positions: Sequence[int],
    seed: int,
    step: int,
) -> tuple[Tensor, list[Truth]]:
    """Return the images cut or shrunk, with the truths of what is then seen.

    Boxes are cut off at the border, objects whose centre is not seen left out.

    Args:
        reframe: What is done.
        images: [N, C, H, W].
        truths: Of each, placed in it.
        positions: The place of each in the whole batch of the step.
        seed: The same seed does the same.
        step: Of training.

    Raises:
        DataError: If a truth has no placement.
    """
    size = (images.shape[2], images.shape[3])
    seen = [seen_truth(truth, size) for truth in truths]
    if reframe.does_nothing:
        return images, seen
    changed, found = images.clone(), []
    for number, (truth, position) in enumerate(zip(seen, positions, strict=True)):
        generator = generator_of("reframe", seed, step, position)
        chosen, shrinks, *rest = torch.rand(5, generator=generator).tolist()
        if chosen < reframe.cut:
            part = drawn_part(truth, size, generator)
            changed[number], truth = cut_out(images[number], truth, part)
        elif reframe.shrink > 1.0 and shrinks < 0.5:
            share = 1.0 / (1.0 + (reframe.shrink - 1.0) * rest[0])
            changed[number], truth = shrunk(images[number], truth, (share, rest[1], rest[2]))
        found.append(truth)
    return changed, found


def drawn_part(truth: Truth, size: tuple[int, int], generator: torch.Generator) -> Part:
    """Return a part of an image in which there is an object's centre, as SSD draws it.

    Source: Liu et al. 2016, arXiv:1512.02325, section 2.2, data augmentation. Of an image without
    objects any part will do.

    Args:
        truth: In pixels of the image.
        size: (height, width) of the image.
        generator: What draws.
    """
    height, width = size
    whole = Part(0, 0, width, height)
    least = OVERLAPS[int(torch.randint(len(OVERLAPS), (), generator=generator))]
    for tall, wide, down, right in torch.rand(TRIES, 4, generator=generator).tolist():
        rows = round(height * (LEAST_SIDE + (1 - LEAST_SIDE) * tall))
        columns = round(width * (LEAST_SIDE + (1 - LEAST_SIDE) * wide))
        ratio = (rows * width) / (columns * height)
        if not 1 / MOST_RATIO <= ratio <= MOST_RATIO:
            continue
        top, left = round(down * (height - rows)), round(right * (width - columns))
        part = Part(left, top, left + columns, top + rows)
        if not len(truth) or _will_do(truth.boxes, part, least):
            return part
    return whole


def _will_do(boxes: NDArray[np.float32], part: Part, least: float) -> bool:
    """Whether some object overlaps a part by so much, and some has its centre in it."""
    low, high = np.array([part.left, part.top]), np.array([part.right, part.bottom])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    if not ((centres >= low) & (centres < high)).all(axis=1).any():
        return False
    sides = np.minimum(boxes[:, 2:], high) - np.maximum(boxes[:, :2], low)
    inside = sides.clip(0).prod(axis=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (high - low).prod() - inside
    return bool((inside >= least * union).any())


def cut_out(image: Tensor, truth: Truth, part: Part) -> tuple[Tensor, Truth]:
    """Return a part of an image [C, H, W], enlarged to the same size, with the boxes in it.

    seen = (pixel - left) * width / (right - left), and down likewise; bilinear.
    """
    height, width = image.shape[1:]
    piece = image[None, :, part.top : part.bottom, part.left : part.right]
    large = F.interpolate(piece, size=(height, width), mode="bilinear", align_corners=False)[0]
    scale = np.array([width / (part.right - part.left), height / (part.bottom - part.top)] * 2)
    boxes = (truth.boxes - np.array([part.left, part.top] * 2)) * scale
    return large, within(with_boxes(truth, boxes.astype(np.float32)), (height, width))


def shrunk(image: Tensor, truth: Truth, frame: tuple[float, float, float]) -> tuple[Tensor, Truth]:
    """Return an image [C, H, W] made smaller, the mean of each channel around it, with its boxes.

    Args:
        image: What is made smaller, by antialiased bilinear samples.
        truth: In its pixels.
        frame: Which share of its sides is left, and where in what is then free it lies, across and
            down; 0..1 each.
    """
    share, across, along = frame
    height, width = image.shape[1:]
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    left, top = round(across * (width - columns)), round(along * (height - rows))
    small = F.interpolate(
        image[None], size=(rows, columns), mode="bilinear", align_corners=False, antialias=True
    )[0]
    canvas = image.mean((1, 2), keepdim=True).expand_as(image).clone()
    canvas[:, top : top + rows, left : left + columns] = small
    scale = np.array([columns / width, rows / height] * 2)
    boxes = truth.boxes * scale + np.array([left, top] * 2)
    return canvas, within(with_boxes(truth, boxes.astype(np.float32)), (height, width))


def moved_truths(
    augment: Augment,
    truths: Sequence[Truth],
    positions: Sequence[int],
    *,
    batch: int,
    seed: int,
    step: int,
) -> list[Truth]:
    """Return the truths of images that `augmented` mirrors and moves; arguments as its own.

    Args:
        truths: Of each image, in pixels of the network's input (`reframed` returns such).
    """
    done = drawn(augment, batch, seed=seed, step=step)
    found = []
    for truth, position in zip(truths, positions, strict=True):
        assert truth.size is not None, "the picture is what the network sees"
        height, width = truth.size
        boxes = mirrored(truth.boxes, width) if done.mirrored[position] else truth.boxes
        right, down = int(done.right[position]), int(done.down[position])
        moved = boxes + np.array([right, down] * 2, np.float32)
        found.append(within(with_boxes(truth, moved), (height, width)))
    return found


def mirrored(boxes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return boxes [n, 4] of an image `width` pixels wide, mirrored left and right."""
    left, top, right, bottom = boxes.T
    return np.stack([np.float32(width) - right, top, np.float32(width) - left, bottom], axis=1)
