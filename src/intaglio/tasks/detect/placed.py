"""From what a network found in its input to the picture that its labels are of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.detections import Detections
from intaglio.data.seen import scale_and_offset
from intaglio.data.truth import Truth
from intaglio.errors import DataError


def placed_back(detections: Detections, truth: Truth, *, clip: bool = True) -> Detections:
    """Return the detections in the picture's own pixels.

    picture = (seen - offset) / scale, the inverse of the placement, in float64. A box beside the
    picture (in the bar of a letterbox) stays, without area: it is wrong, and counts as that.

    Args:
        detections: Boxes in pixels of the network's input.
        truth: Of the picture. Where its size is not known, boxes are held at its left and top only.
        clip: Whether they are held within the picture: a detector that cuts its boxes off at its
            input's border would do so at the picture's.

    Raises:
        DataError: If it has no placement.
    """
    scale, offset = scale_and_offset(truth)
    boxes = (detections.boxes.astype(np.float64) - offset) / scale
    if clip:
        most = [np.inf] * 4 if truth.size is None else [truth.size[1], truth.size[0]] * 2
        boxes = boxes.clip(0.0, most)
    return Detections(boxes.astype(np.float32), detections.scores, detections.classes)


def of_classes(detections: Detections, classes: NDArray[np.int64]) -> Detections:
    """Return the detections with the classes of a data set; those of none of them are left out.

    Args:
        classes: [network's classes] the data set's class of each, -1: none.

    Raises:
        DataError: If the network names a class beyond them.
    """
    own = detections.classes
    if len(own) and not 0 <= own.min() <= own.max() < len(classes):
        wrong = own[(own < 0) | (own >= len(classes))][0]
        raise DataError(
            f"the network finds class {wrong}, and {len(classes)} classes (0..{len(classes) - 1})"
            " are mapped to those of the data set: give one for each class of the network"
        )
    named = classes[own]
    return chosen(
        Detections(detections.boxes, detections.scores, named), np.flatnonzero(named >= 0)
    )


def chosen(detections: Detections, kept: NDArray[np.intp] | slice) -> Detections:
    """Return some of the detections, by their index."""
    return Detections(detections.boxes[kept], detections.scores[kept], detections.classes[kept])
