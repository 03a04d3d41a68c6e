"""Two segmenters class by class, and near the borders of classes, from counts of pixels.

Counts are those of each picture and class, [pictures, classes, 3] (`segment.iou`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intaglio.errors import DataError
from intaglio.report.segmentation import Borders, ClassIou, Segmentation, Zone
from intaglio.tasks.detect.by_class import named
from intaglio.tasks.segment.band import REACH
from intaglio.tasks.segment.iou import Counts, class_ious, mean_iou, pixel_accuracy


def segmentation(
    real: Counts,
    found: Counts,
    *,
    names: Sequence[str] = (),
    bands: tuple[Counts, Counts] | None = None,
    matched_percent: float | None = None,
) -> Segmentation:
    """Return what report.json holds of two segmenters.

    Args:
        real, found: Of the float network and of the other.
        names: Of the classes.
        bands: The same counts of pixels in the band (`segment.band`) alone; None: not counted.
        matched_percent: `Agreement.parts`.

    Raises:
        DataError: If the networks were not counted against the same truth.
    """
    rows = class_rows(real, found, names)
    borders = None if bands is None else borders_of((real, found), bands)
    return Segmentation(rows, matched_percent, borders)


def class_rows(real: Counts, found: Counts, names: Sequence[str] = ()) -> list[ClassIou]:
    """Return each class that some pixel truly is of, that which lost most first.

    Args:
        real, found: Of the float network and of the other.
        names: Of the classes; one without a name is called by its number.

    Raises:
        DataError: If the networks were not counted against the same truth.
    """
    _refuse_unlike(real, found)
    pixels = real[:, :, 1].sum(axis=0)
    # as report.json holds them: else a loss of a thousandth is one before a result is loaded only
    each = [(100.0 * class_ious(side.sum(axis=0))).round(2).tolist() for side in (real, found)]
    rows = [
        ClassIou(named(number, names), int(pixels[number]), each[0][number], each[1][number])
        for number in np.flatnonzero(pixels).tolist()
    ]
    return sorted(rows, key=lambda row: row.change)  # stable: else as the data set has them


def borders_of(whole: tuple[Counts, Counts], bands: tuple[Counts, Counts]) -> Borders | None:
    """Return what both networks say near borders and inside; None where no pixel is near one.

    Args:
        whole: Of the float network and of the other, all pixels.
        bands: The same, of pixels in the band alone.

    Raises:
        DataError: If the networks were not counted against the same truth.
    """
    near = zone(*bands)
    real, found = (all_of - part for all_of, part in zip(whole, bands, strict=True))
    return None if near is None else Borders(100.0 * REACH, near, zone(real, found))


def zone(real: Counts, found: Counts) -> Zone | None:
    """Return what both networks say of the pixels counted; None where none is.

    Raises:
        DataError: If the networks were not counted against the same truth.
    """
    _refuse_unlike(real, found)
    pixels = int(real[:, :, 1].sum())
    if not pixels:
        return None
    shares = [float(mean_iou(side.sum(axis=0))) for side in (real, found)]
    shares += [pixel_accuracy(side) for side in (real, found)]
    return Zone(pixels, *(round(100.0 * share, 2) for share in shares))


def _refuse_unlike(real: Counts, found: Counts) -> None:
    if real.shape != found.shape or not np.array_equal(real[:, :, 1], found[:, :, 1]):
        raise DataError(
            f"the float network's counts {list(real.shape)} and the other's {list(found.shape)} are"
            " not of the same truth: count both over the same pictures"
        )
