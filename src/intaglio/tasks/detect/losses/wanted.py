"""What labels want of a detector, where its input has it and with its own classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intaglio.boxes.postprocess import PostProcess
from intaglio.data.seen import seen_boxes
from intaglio.data.truth import Category, Truth
from intaglio.errors import DataError
from intaglio.tasks.detect.classes import class_map

SMALLEST = 1e-3
"""Of a side in pixels: smaller boxes have no logarithm that means anything."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """The objects of one image, in pixels of the network's input.

    Attributes:
        boxes: [n, 4] float32.
        classes: [n] int64, the network's own.
        crowd: [c, 4]: what is found here counts for nothing.
    """

    boxes: Tensor
    classes: Tensor
    crowd: Tensor


def wanted_of(
    post: PostProcess, categories: Sequence[Category], truths: Sequence[Truth], device: torch.device
) -> list[Wanted]:
    """Return the objects of each image.

    Args:
        post: Of the network.
        categories: Of the data set; () where labels have the network's classes.
        truths: Of each image, placed in the input.
        device: Of the result.

    Raises:
        DataError: If a truth has no placement, or a class that the network has not.
    """
    own = own_classes(post, categories)
    return [_wanted(truth, own, post.background, device) for truth in truths]


def own_classes(post: PostProcess, categories: Sequence[Category]) -> NDArray[np.int64]:
    """Return the network's class of each class of the data set, [classes] int64.

    Raises:
        DataError: As `class_map`.
    """
    theirs = class_map(post, categories)
    (known,) = np.nonzero(theirs >= 0)
    own = np.empty(len(known), np.int64)
    own[theirs[known]] = known
    return own


def _wanted(
    truth: Truth, own: NDArray[np.int64], background: int | None, device: torch.device
) -> Wanted:
    boxes = seen_boxes(truth)
    wrong = (truth.classes < 0) | (truth.classes >= len(own))
    classes = own[np.where(wrong, 0, truth.classes)]
    wrong |= classes == (-1 if background is None else background)
    if wrong.any():
        beyond = "" if background is None else f", and {background} is the background"
        raise DataError(
            f"class {truth.classes[wrong][0]} of a box is none of the network's: there are"
            f" {len(own)} (0..{len(own) - 1}){beyond}"
        )
    usable = (boxes[:, 2:] - boxes[:, :2] >= SMALLEST).all(axis=1)
    found = usable & ~truth.crowd
    parts = (boxes[found], classes[found], boxes[usable & truth.crowd])
    return Wanted(*(torch.from_numpy(part).to(device) for part in parts))
