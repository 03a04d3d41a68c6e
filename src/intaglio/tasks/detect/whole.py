"""Whole detectors, whose own Python gives a dict of boxes for each picture, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Truth
from intaglio.errors import DataError
from intaglio.tasks.detect.detect import DETECT
from intaglio.tasks.detect.meter import AveragePrecision, Kind
from intaglio.tasks.detect.same_boxes import SameBoxes
from intaglio.tasks.detect.targets import truth_of
from intaglio.tasks.evaluate import Compared
from intaglio.tasks.judgement import Judgement, Loss
from intaglio.tasks.task import Outputs

Detector = Callable[[Any], Any]
"""Pictures as the user's module takes them -> a list with a dict for each."""

KEYS = ("boxes", "labels", "scores")


@dataclass(frozen=True)
class Asked:
    """What is measured.

    Attributes:
        classes: [network's labels] the data set's class of each, -1: none; None: they are the same.
        kind: Whose figures.
        seen: Told of each batch's pictures.
    """

    classes: NDArray[np.int64] | None = None
    kind: Kind = "coco"
    seen: Callable[[int], None] = lambda count: None


def compare_wholes(
    real: Detector, found: Detector, batches: Iterable[Any], asked: Asked
) -> Compared:
    """Return the figures of two whole detectors over all pictures, and how they agree.

    Args:
        real: The float one.
        found: The one with integers inside.
        batches: (pictures, their boxes) each: what the detectors take, and for each picture a
            Truth, or a dict with `boxes` and `labels`.

    Raises:
        DataError: If there is no picture, boxes are missing, or a detector returns something else.
    """
    meters = [AveragePrecision(_as_read, asked.classes, asked.kind) for _ in range(2)]
    beside = SameBoxes((), _as_read)
    n = 0
    for number, batch in enumerate(batches):
        pictures, truths = _parts(batch, number)
        made = [detected(detector, pictures) for detector in (real, found)]
        for meter, boxes in zip(meters, made, strict=True):
            meter.add(cast(Outputs, boxes), truths)
        beside.compare(*made)
        meters[1].look(meters[0], pictures)
        n += len(truths)
        asked.seen(len(truths))
    if not n:
        raise DataError("there are no images to evaluate on: the data is empty")
    return _compared(meters, beside, n)


def detected(detector: Detector, pictures: Any) -> list[Detections]:
    """Return what a whole detector finds in each picture, the surest first.

    Raises:
        DataError: If it returns no list of dicts with boxes, labels and scores.
    """
    with torch.no_grad():
        made = detector(pictures)
    if not isinstance(made, list | tuple) or not all(map(_is_found, made)):
        raise DataError(
            "the detector returns no list of dicts with 'boxes', 'labels' and 'scores', one for"
            " each picture: it cannot be evaluated as a whole"
        )
    return [_sorted(one) for one in made]


def _is_found(one: object) -> bool:
    return isinstance(one, Mapping) and all(isinstance(one.get(key), Tensor) for key in KEYS)


def _sorted(one: Mapping[str, Tensor]) -> Detections:
    boxes, labels, scores = (one[key].detach().cpu().numpy() for key in KEYS)
    order = np.argsort(-scores, kind="stable")
    return Detections(
        boxes[order].astype(np.float32).reshape(-1, 4),
        scores[order].astype(np.float32),
        labels[order].astype(np.int64),
    )


def _as_read(outputs: Outputs) -> list[Detections]:
    return cast(list[Detections], list(outputs))


def _parts(batch: Any, number: int) -> tuple[Any, list[Truth]]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise DataError(f"batch {number} of evaluate has no boxes: give (pictures, boxes)")
    pictures, boxes = batch
    if not isinstance(boxes, Sequence) or len(boxes) != len(pictures):
        raise DataError(
            f"batch {number} of evaluate has {len(pictures)} pictures and other labels than boxes"
        )
    if isinstance(pictures, tuple):  # as a loader's collate_fn may leave them
        pictures = list(pictures)
    where = f"batch {number}"
    return pictures, [
        truth_of(entry, (picture.shape[-2], picture.shape[-1]), where)
        for entry, picture in zip(boxes, pictures, strict=True)
    ]


def _compared(meters: Sequence[AveragePrecision], beside: SameBoxes, n: int) -> Compared:
    real, found = meters
    figures = real.figures(), found.figures()
    first = next(iter(figures[0]), None)
    loss = None
    if first is not None and figures[0][first] > 0.0:
        loss = Loss(found.lost(real), found.error_against(real))
    judgement = Judgement(
        n=n,
        agreement=beside.agreement(),
        disagreements_a_point=DETECT.disagreements_a_point,
        is_told=True,
        labelled=loss,
    )
    return Compared(*figures, judgement, found.shown(real, judgement.agreement, {}))
