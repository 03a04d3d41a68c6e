"""The figures of COCO (Lin et al. 2014, arXiv:1405.0312) by its own evaluation, pycocotools.

The package is an extra: nothing else needs it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Truth
from intaglio.errors import DataError, RequestError, cause
from intaglio.tasks.detect.hits import Floats

PRECISIONS: Mapping[str, tuple[slice, int]] = {
    "ap": (slice(None), 0),
    "ap50": (slice(0, 1), 0),
    "ap75": (slice(5, 6), 0),
    "ap_small": (slice(None), 1),
    "ap_medium": (slice(None), 2),
    "ap_large": (slice(None), 3),
}
"""Figure to its overlaps (0.5, 0.55 .. 0.95) and its range of areas (all, small, medium, large)."""


def coco_figures(
    found: Sequence[Detections], truths: Sequence[Truth], *, most: int = 100
) -> dict[str, float]:
    """Return ap, ap50, ap75, ap_small, ap_medium and ap_large in percent.

    A figure is absent where no object is there that it could be of. Classes without objects are
    left out of the mean.

    Args:
        found: Of each picture, in its own pixels, with the classes of the data set.
        truths: Of each picture.
        most: Detections of a class in a picture that count, the surest; COCO has 100.

    Raises:
        DataError: If they are not of as many pictures.
        RequestError: If pycocotools is not installed.
    """
    coco, evaluation = _pycocotools()
    if len(found) != len(truths):
        raise DataError(
            f"there are detections of {len(found)} pictures, and labels of {len(truths)}"
        )
    classes = sorted({number for truth in truths for number in truth.classes.tolist()})
    if not classes:
        return {}
    with redirect_stdout(io.StringIO()):  # it says what it does at every step
        sides = [
            _indexed(coco(), entries, len(truths), classes)
            for entries in (_objects(truths), _detected(found, set(classes)))
        ]
        evaluated = evaluation(*sides, "bbox")
        evaluated.params.maxDets = [most]
        evaluated.evaluate()
        evaluated.accumulate()
    precision: Floats = evaluated.eval["precision"][..., 0]  # [T, R, classes, areas]
    return {
        name: 100.0 * float(known.mean())
        for name, (overlaps, area) in PRECISIONS.items()
        if len(known := _known(precision[overlaps, :, :, area]))
    }


def need_pycocotools() -> None:
    """Make sure that COCO's figures can be had, before a network runs for them.

    Raises:
        RequestError: If pycocotools is not installed.
    """
    _pycocotools()


def _pycocotools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise RequestError(
            f"the average precision of COCO needs the package pycocotools ({cause(error)}):"
            ' pip install "intaglio[detect]"'
        ) from error
    return COCO, COCOeval


def _known(precision: Floats) -> Floats:
    """Return the numbers of classes that have objects; pycocotools gives -1 for the others."""
    return precision[precision > -1.0]


def _indexed(side: Any, entries: list[dict[str, Any]], pictures: int, classes: list[int]) -> Any:
    # pycocotools takes the number 0 of an object for "not matched", so that all begin with 1
    side.dataset = {
        "images": [{"id": picture + 1} for picture in range(pictures)],
        "categories": [{"id": number} for number in classes],
        "annotations": [{"id": index + 1, **entry} for index, entry in enumerate(entries)],
    }
    side.createIndex()
    return side


def _objects(truths: Sequence[Truth]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": picture + 1,
            "category_id": int(truth.classes[index]),
            "bbox": box,
            "area": float(truth.areas[index]),
            "iscrowd": int(truth.crowd[index]),
        }
        for picture, truth in enumerate(truths)
        for index, box in enumerate(_sides(truth.boxes))
    ]


def _detected(found: Sequence[Detections], classes: set[int]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": picture + 1,
            "category_id": int(detections.classes[index]),
            "bbox": box,
            "area": box[2] * box[3],
            "score": float(detections.scores[index]),
        }
        for picture, detections in enumerate(found)
        for index, box in enumerate(_sides(detections.boxes))
        if int(detections.classes[index]) in classes
    ]


def _sides(boxes: NDArray[np.float32]) -> list[list[float]]:
    """Return boxes as COCO has them: left, top, width, height."""
    corners = boxes.astype(np.float64)
    listed: list[list[float]] = np.hstack(
        [corners[:, :2], corners[:, 2:] - corners[:, :2]]
    ).tolist()
    return listed
