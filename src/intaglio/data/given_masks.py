"""The masks of images as Python users give them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intaglio.data.batches import INTEGERS
from intaglio.data.mask import IGNORED, Mask
from intaglio.data.truth import Placement
from intaglio.errors import DataError

FORM = (
    f"give for each image the class of each pixel, [H, W] whole numbers from 0, {IGNORED} for what"
    " counts for nothing, as a tensor, an array or a Mask"
)


def are_given_masks(labels: object, count: int, size: tuple[int, int]) -> bool:
    """Whether a list is meant as the mask of each image: Masks, or whole numbers [H, W] each.

    A list of tensors may be several labels of all images too, [N, ...] each: it is where all of
    them are as long as there are images, and not of the input's size.

    Args:
        labels: As they were given.
        count: Of the images.
        size: (height, width) of the input.
    """
    if not isinstance(labels, list) or not labels:
        return False
    if any(isinstance(one, Mask) for one in labels):
        return True
    shapes = [map_shape(one) for one in labels]
    if None in shapes:
        return False
    return set(shapes) == {size} or any(shape is not None and shape[0] != count for shape in shapes)


def map_shape(entry: object) -> tuple[int, int] | None:
    """Return (height, width) of whole numbers [H, W]; None of anything else."""
    if isinstance(entry, np.ndarray):
        is_whole = entry.dtype.kind in "ui"
    else:
        is_whole = isinstance(entry, Tensor) and entry.dtype in INTEGERS
    if not is_whole or entry.ndim != 2:  # type: ignore[attr-defined]
        return None
    height, width = entry.shape  # type: ignore[attr-defined]
    return int(height), int(width)


def given_masks(
    labels: object, count: int, size: tuple[int, int], where: str = "the labels of data"
) -> list[Mask]:
    """Return the masks of `count` images, each with its place in the network's input.

    Args:
        labels: [N, H, W], a tensor or an array of whole numbers; or a list of N arrays [H, W] or
            Masks, each of its own size.
        count: Of the images.
        size: (height, width) of the input.
        where: For messages.

    Raises:
        DataError: If they are neither, not as many as images, or as `given_mask`.
    """
    if not isinstance(labels, Tensor | np.ndarray | list | tuple):
        raise DataError(f"{where} are {type(labels).__name__}: {FORM}")
    if isinstance(labels, Tensor | np.ndarray) and labels.ndim != 3:
        raise DataError(
            f"{where} are {list(labels.shape)}, masks are [N, H, W], without an axis of channels:"
            f" {FORM}"
        )
    if len(labels) != count:
        raise DataError(f"{where} are {len(labels)} masks, but there are {count} images")
    return [given_mask(one, size, f"{where}, number {n}") for n, one in enumerate(labels)]


def given_mask(entry: object, size: tuple[int, int], where: str) -> Mask:
    """Return the mask of one image, placed: the image is what the network sees.

    A mask of another size than the input's is of a picture that was stretched onto it.

    Args:
        entry: A mask, which keeps its placement where it has one; or [H, W] whole numbers.
        size: (height, width) of the input.
        where: For messages.

    Raises:
        DataError: If it is neither, has no pixels, or a number that is not within 0..255.
    """
    if isinstance(entry, Mask) and entry.placement is not None:
        return entry
    classes = _classes(entry.classes if isinstance(entry, Mask) else entry, where)
    height, width = classes.shape
    return Mask(classes, Placement(size[1] / width, size[0] / height))


def _classes(values: object, where: str) -> NDArray[np.uint8]:
    numbers = _numbers(values, where)
    if numbers.ndim != 2 or not numbers.numel():
        raise DataError(f"{where} has a mask {list(numbers.shape)}: {FORM}")
    if numbers.is_floating_point() or numbers.is_complex():
        raise DataError(f"{where} has a mask of {numbers.dtype}: {FORM}, such as torch.uint8")
    whole = numbers.to(torch.int64)
    beyond = whole[(whole < 0) | (whole > IGNORED)]
    if len(beyond):
        raise DataError(
            f"{where} has the class {int(beyond[0])} ({len(beyond)} pixels are not within"
            f" 0..{IGNORED}): {FORM}"
        )
    return np.asarray(whole.to(torch.uint8).numpy())


def _numbers(values: object, where: str) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().cpu()
    if not isinstance(values, np.ndarray | Sequence) or isinstance(values, str | bytes):
        raise DataError(f"{where} has a mask of {type(values).__name__}: {FORM}")
    try:
        array = np.asarray(values)
        # torch takes no unsigned numbers of more bits, nor arrays that are not writable without ado
        return torch.tensor(array.astype(np.int64) if array.dtype.kind == "u" else array)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(f"{where} has a mask of no numbers ({error}): {FORM}") from error
