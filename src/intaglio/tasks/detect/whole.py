"""Whole detectors, whose own Python gives a dict of boxes for each picture, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from intaglio.boxes.detections import Detections
from intaglio.data.given_truths import FORM
from intaglio.data.truth import Truth
from intaglio.errors import DataError
from intaglio.tasks.detect.detect import DETECT
from intaglio.tasks.detect.meter import AveragePrecision, Kind
from intaglio.tasks.detect.placed import chosen
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
        names: Of the data set's classes, for those who look at them; () where unknown.
        preprocess: Done to the pictures, as a report has it; empty where nothing is known.
    """

    classes: NDArray[np.int64] | None = None
    kind: Kind = "coco"
    seen: Callable[[int], None] = lambda count: None
    names: Sequence[str] = ()
    preprocess: Mapping[str, JsonValue] = field(default_factory=dict)


def compare_wholes(
    real: Detector, found: Detector, batches: Iterable[Any], asked: Asked
) -> Compared:
    """Return the figures of two whole detectors over all pictures, and how they agree.

    Args:
        real: The float one.
        found: The one with integers inside.
        batches: (pictures, their boxes) each: what the detectors take, and for each picture a
            Truth, or a dict with `boxes` and `labels`; or one such pair.

    Raises:
        DataError: If there is no picture, boxes are missing, or a detector returns something else.
    """
    meters = [
        AveragePrecision(_as_read, asked.classes, asked.kind, names=asked.names) for _ in range(2)
    ]
    beside = SameBoxes((), _as_read)
    n = 0
    for number, batch in enumerate(_batches(batches)):
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
    return _compared(meters, beside, n, asked.preprocess)


def detected(detector: Detector, pictures: Any) -> list[Detections]:
    """Return what a whole detector finds in each picture, the surest first.

    A box that is not finite, or has no score, is left out, as those of a graph's outputs are.

    Raises:
        DataError: If it returns no list of dicts with as many boxes, labels and scores.
    """
    with torch.no_grad():
        made = detector(pictures)
    if not isinstance(made, list | tuple) or not all(map(_is_found, made)):
        raise DataError(
            "the detector returns no list of dicts with 'boxes' [n, 4], 'labels' [n] and 'scores'"
            " [n], one for each picture: it cannot be evaluated as a whole"
        )
    return [_sorted(one) for one in made]


def _is_found(one: object) -> bool:
    if not isinstance(one, Mapping) or not all(isinstance(one.get(key), Tensor) for key in KEYS):
        return False
    boxes, labels, scores = (tuple(one[key].shape) for key in KEYS)
    return len(scores) == 1 and labels == scores and boxes == (*scores, 4)


def _sorted(one: Mapping[str, Tensor]) -> Detections:
    boxes, labels, scores = (one[key].detach().cpu() for key in KEYS)
    found = Detections(boxes.float().numpy(), scores.float().numpy(), labels.long().numpy())
    is_finite = np.isfinite(found.boxes).all(axis=1) & np.isfinite(found.scores)
    found = chosen(found, np.flatnonzero(is_finite))
    return chosen(found, np.argsort(-found.scores, kind="stable"))


def _as_read(outputs: Outputs) -> list[Detections]:
    return cast(list[Detections], list(outputs))


def _batches(given: Any) -> Iterable[Any]:
    """Yield batches; of one pair of pictures and their boxes, a picture a batch."""
    if not isinstance(given, tuple) or len(given) != 2 or not _are_pictures(given[0]):
        return given  # type: ignore[no-any-return]
    pictures, boxes = given
    if not isinstance(boxes, Sequence) or len(boxes) != len(pictures):
        raise DataError(
            f"evaluate has {len(pictures)} pictures and other labels than boxes: {FORM}"
        )
    return [(pictures[n : n + 1], boxes[n : n + 1]) for n in range(len(pictures))]


def _are_pictures(given: object) -> bool:
    """Whether this is a batch of pictures: [N, C, H, W], or a list of [C, H, W]."""
    if isinstance(given, Tensor):
        return given.ndim == 4
    return isinstance(given, list) and all(isinstance(one, Tensor) for one in given)


def _parts(batch: Any, number: int) -> tuple[Any, list[Truth]]:
    if not isinstance(batch, tuple | list) or len(batch) != 2 or _are_pictures(batch):
        raise DataError(f"batch {number} of evaluate has no boxes: {FORM}")
    pictures, boxes = batch
    if isinstance(pictures, tuple):  # as a loader's collate_fn may leave them
        pictures = list(pictures)
    if not _are_pictures(pictures):
        raise DataError(
            f"batch {number} of evaluate has {type(pictures).__name__} for pictures: give a tensor"
            " [N, C, H, W], or a list of [C, H, W], as the detector takes them"
        )
    if not isinstance(boxes, Sequence) or len(boxes) != len(pictures):
        raise DataError(
            f"batch {number} of evaluate has {len(pictures)} pictures and other labels than boxes:"
            f" {FORM}"
        )
    where = f"batch {number}"
    return pictures, [
        truth_of(entry, (picture.shape[-2], picture.shape[-1]), where)
        for entry, picture in zip(boxes, pictures, strict=True)
    ]


def _compared(
    meters: Sequence[AveragePrecision],
    beside: SameBoxes,
    n: int,
    preprocess: Mapping[str, JsonValue],
) -> Compared:
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
    return Compared(*figures, judgement, found.shown(real, judgement.agreement, preprocess))
