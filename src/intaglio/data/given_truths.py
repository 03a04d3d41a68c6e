"""The boxes of one image as Python users give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

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
    boxes = _numbers(entry["boxes"], where).astype(np.float32).reshape(-1, 4)
    classes = _numbers(entry["labels"], where).astype(np.int64).reshape(-1)
    count = len(classes)
    sides = boxes[:, 2:] - boxes[:, :2]
    if len(boxes) != count or not np.isfinite(boxes).all() or bool((sides < 0).any()):
        raise DataError(
            f"{where} has {len(boxes)} boxes and {count} labels, or a box that ends before it"
            f" begins: {FORM}"
        )
    crowd = _numbers(entry.get("iscrowd", np.zeros(count)), where).astype(bool).reshape(-1)
    areas = entry.get("area", sides[:, 0].astype(np.float64) * sides[:, 1])
    return Truth(
        boxes, classes, crowd, _numbers(areas, where).astype(np.float64), size, Placement()
    )


def _numbers(values: object, where: str) -> Any:
    try:
        return torch.as_tensor(values).detach().cpu().numpy()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{where}: {error}: {FORM}") from error
