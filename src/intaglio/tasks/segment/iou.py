"""Intersection over union of the classes of pixels, from counts that add up over pictures.

Source: Everingham et al. 2015 (The PASCAL Visual Object Classes Challenge: A Retrospective),
section 3.4: of each class, over the pixels of all pictures, true positives over true positives,
false positives and false negatives together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from intaglio.data.mask import IGNORED

Counts = NDArray[np.int64]
"""[..., classes, 3]: pixels that truly are of a class and are found so, that truly are of it, and
that are found to be."""


def pixel_counts(truth: NDArray[np.uint8], found: NDArray[np.uint8], classes: int) -> Counts:
    """Return the counts of one picture, [classes, 3]; pixels that are IGNORED are in none.

    Args:
        truth: Of some pixels, of any shape, 0 to classes - 1 or IGNORED.
        found: Of the same pixels, 0 to classes - 1.
        classes: How many there are.
    """
    counted = truth != IGNORED
    pairs = truth[counted].astype(np.int64) * classes + found[counted]
    table = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    return np.stack([table.diagonal(), table.sum(axis=1), table.sum(axis=0)], axis=1)


def class_ious(counts: Counts) -> NDArray[np.float64]:
    """Return the IoU of each class, [..., classes], 0..1; NaN where no pixel truly is of it."""
    both, truth, found = counts[..., 0], counts[..., 1], counts[..., 2]
    union = np.where(truth > 0, truth + found - both, 1)
    return np.where(truth > 0, both / union, np.nan)


def mean_iou(counts: Counts) -> NDArray[np.float64]:
    """Return the mean IoU over the classes that some pixel truly is of, [...], 0..1; NaN of none.

    A class that is only found, and nowhere true, has no share in the mean; its pixels are missing
    in those of the true classes.
    """
    each = class_ious(counts)
    there = ~np.isnan(each)
    number = there.sum(axis=-1)
    total = np.where(there, each, 0.0).sum(axis=-1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def pixel_accuracy(counts: Counts) -> float:
    """Return the share of pixels whose class is found, 0..1; NaN where none counts."""
    right, pixels = int(counts[..., 0].sum()), int(counts[..., 1].sum())
    return right / pixels if pixels else float("nan")
