"""From the raw outputs of a detector to its detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.coders import numbers_of
from intaglio.boxes.decode import corners, sigmoid, softmax
from intaglio.boxes.detections import Detections
from intaglio.boxes.nms import falling, suppressed_by
from intaglio.boxes.parts import numbers
from intaglio.boxes.places import anchors_at
from intaglio.boxes.postprocess import Level, PostProcess
from intaglio.boxes.select import Candidates, candidates

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Picture:
    """What a network gave for one picture.

    Attributes:
        outputs: All of them, [N, ...].
        number: Which of the N.
        proposed: [regions, 4]: what positions are, in a second stage; else None.
    """

    outputs: Sequence[Floats]
    number: int = 0
    proposed: Floats | None = None


def detections(post: PostProcess, outputs: Sequence[Floats]) -> list[Detections]:
    """Return what was found, for each picture of a batch.

    Scores and boxes are decoded in float32; boxes that are not finite are dropped.

    Args:
        post: What the outputs mean.
        outputs: Each [N, ...], float, real values (no integers of a quantized network).

    Raises:
        ValueError: If outputs are missing, have other shapes, or are of different numbers of
            pictures.
    """
    counts = sorted({len(output) for output in outputs})
    if len(counts) != 1:
        raise ValueError(f"outputs are of {counts} pictures: they must be of the same")
    return [found_in(post, Picture(outputs, number)) for number in range(counts[0])]


def found_in(post: PostProcess, picture: Picture) -> Detections:
    """Return what was found in one picture."""
    found = candidates(post, [level_scores(post, level, picture) for level in post.levels])
    boxes = np.empty((len(found), 4), np.float32)
    for number, level in enumerate(post.levels):
        members = np.flatnonzero(found.levels == number)
        boxes[members] = _level_boxes(post, level, picture, found.at(members))
    return _kept(post, found, boxes)


def level_scores(post: PostProcess, level: Level, picture: Picture) -> Floats:
    """Return the scores of a level, [positions, classes], after activation and objectness."""
    scores = _activated(post, numbers(level.scores, level.places, picture.outputs, picture.number))
    if level.objectness is None:
        return scores
    raw = numbers(level.objectness, level.places, picture.outputs, picture.number)
    objectness = raw if post.activation == "none" else sigmoid(raw)  # [positions, 1]
    product = scores * objectness
    return np.sqrt(product) if post.combine == "root" else product


def _activated(post: PostProcess, raw: Floats) -> Floats:
    if post.activation == "softmax":
        return softmax(raw)
    return sigmoid(raw) if post.activation == "sigmoid" else raw


def _level_boxes(post: PostProcess, level: Level, picture: Picture, found: Candidates) -> Floats:
    """Return the boxes [n, 4] of candidates of one level."""
    parts = [
        numbers(part, level.places, picture.outputs, picture.number)[found.positions]
        for part in level.boxes
    ]
    coded = np.concatenate(parts, axis=1)
    need = numbers_of(level.coder)
    if coded.shape[1] != need:  # boxes of each class: [n, classes * need]
        own = coded.reshape(len(coded), post.classes, need)
        coded = own[np.arange(len(own)), found.classes]
    anchors = anchors_at(level.places, found.positions, picture.proposed)
    return corners(level.coder, coded, anchors, post.input_size)


def clipped(boxes: Floats, input_size: tuple[int, int]) -> Floats:
    """Return boxes [n, 4] cut off at the border of a picture (height, width)."""
    height, width = input_size
    ends = np.asarray([width, height, width, height], np.float32)
    return np.minimum(np.maximum(boxes, np.float32(0)), ends)


def _kept(post: PostProcess, found: Candidates, boxes: Floats) -> Detections:
    """Return the candidates that are large enough and stay in suppression."""
    usable = np.asarray(np.isfinite(boxes).all(axis=1))
    boxes = clipped(boxes, post.input_size) if post.clip else boxes
    if post.smallest:
        with np.errstate(invalid="ignore"):
            sides = boxes[:, 2:] - boxes[:, :2]
        usable &= (sides >= np.float32(post.smallest)).all(axis=1)
    found, boxes = found.at(usable), boxes[usable]
    if post.suppress is None:
        kept = falling(found.scores)[: post.most]
    else:
        groups = _groups(post.suppress.within, found)
        kept = suppressed_by(boxes, found.scores, groups, post.suppress.overlap, most=post.most)
    return Detections(boxes[kept], found.scores[kept], found.classes[kept])


def _groups(within: str, found: Candidates) -> Indices:
    """Return what group each candidate is suppressed in."""
    if within == "class":
        return found.classes
    return found.levels if within == "level" else np.zeros_like(found.levels)
