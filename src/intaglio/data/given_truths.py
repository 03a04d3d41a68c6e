"""The boxes of one image as Python users give them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from intaglio.data.truth import Placement, Truth
from intaglio.errors import DataError

FORM = (
    "give for each image a dict with 'boxes' [n, 4] (left, top, right, bottom, in pixels of the"
    " input) and 'labels' [n], or a Truth"
)


def is_given_truth(entry: object) -> bool:
    """Whether a label of one image is meant as boxes: a truth, or a dict with boxes and labels."""
    return isinstance(entry, Truth) or (
        isinstance(entry, Mapping) and {"boxes", "labels"} <= set(entry)
    )


def given_truth(entry: object, size: tuple[int, int], where: str) -> Truth:
    """Return the boxes of one image as a truth whose picture is the network's input.

    Args:
        entry: A truth, or a dict with `boxes`, `labels` and, maybe, `iscrowd` and `area`.
        size: (height, width) of the input.
        where: For the message.

    Raises:
        DataError: If it is neither, or its parts do not go together.
    """
    if isinstance(entry, Truth):
        return entry
    if not isinstance(entry, Mapping) or not is_given_truth(entry):
        raise DataError(f"{where} holds {type(entry).__name__}: {FORM}")
    boxes, labels = _boxes(entry["boxes"], where), _numbers(entry["labels"], where).reshape(-1)
    sides = boxes[:, 2:] - boxes[:, :2]
    crowd = _numbers(entry.get("iscrowd", np.zeros(len(labels))), where).reshape(-1)
    area = sides[:, 0].astype(np.float64) * sides[:, 1]
    areas = _numbers(entry.get("area", area), where).reshape(-1)
    counts = {len(boxes), len(labels), len(crowd), len(areas)}
    if len(counts) > 1:
        raise DataError(
            f"{where} has {len(boxes)} boxes, {len(labels)} labels, {len(areas)} areas and"
            f" {len(crowd)} marks of crowds: {FORM}"
        )
    if bool((sides < 0).any()):
        raise DataError(f"{where} has a box that ends before it begins: {FORM}")
    if not np.isfinite(areas).all():
        raise DataError(f"{where} has an area that is not finite: {FORM}")
    if bool(((labels < 0) | (labels != np.floor(labels))).any()):
        raise DataError(f"{where} has a label that is no whole number from 0 on: {FORM}")
    whole, flags = labels.astype(np.int64), crowd.astype(bool)
    return Truth(boxes, whole, flags, areas, size, Placement())


def _boxes(values: object, where: str) -> NDArray[np.float32]:
    found = _numbers(values, where)
    if found.size and (found.ndim != 2 or found.shape[1] != 4):
        raise DataError(f"{where} has boxes of shape {list(found.shape)}: {FORM}")
    with np.errstate(over="ignore"):  # what is then infinite is refused
        boxes = found.astype(np.float32).reshape(-1, 4)
    if not np.isfinite(boxes).all():
        raise DataError(f"{where} has a box with a number that is not finite in float32: {FORM}")
    return boxes


def _numbers(values: object, where: str) -> NDArray[np.float64]:
    try:
        found = torch.as_tensor(values).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{where}: {error}: {FORM}") from error
    if found.is_complex():
        raise DataError(f"{where} has complex numbers: {FORM}")
    return np.asarray(found.to(torch.float64).numpy())
