"""What is said of a set of predictions: accuracy, and what was lost against float."""

from __future__ import annotations

import math

import numpy as np


def score(
    predictions: np.ndarray, *, labels: np.ndarray, float_predictions: np.ndarray
) -> dict[str, float]:
    """Return the figures of a row, in percent of the images, with 2 decimals.

    `drop` is float minus quantized top-1 on the same images; `drop_se` is the standard error of
    that paired difference, the deviation of the images' differences (-1, 0 or 1) over the root of
    their number; `agreement` the share of images of which both networks say the same class.

    Args:
        predictions, labels, float_predictions: [images], class indices.

    Raises:
        ValueError: If there are not as many predictions as labels.
    """
    if not len(predictions) == len(labels) == len(float_predictions):
        raise ValueError(f"{len(predictions)} predictions for {len(labels)} images")
    right = (predictions == labels).astype(np.float64)
    float_right = (float_predictions == labels).astype(np.float64)
    lost = float_right - right
    return {
        "top1": _percent(right.mean()),
        "drop": _percent(lost.mean()),
        "drop_se": _percent(lost.std(ddof=1) / math.sqrt(len(lost))),
        "agreement": _percent((predictions == float_predictions).mean()),
    }


def _percent(share: float) -> float:
    return round(100.0 * float(share), 2)
