"""The pictures on which two detectors agree least, as a section of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from intaglio.boxes.detections import Detections
from intaglio.report.pictures import Kind, Mark, Pictures, Scene, View, jpeg_of, shown_size
from intaglio.report.section import Section
from intaglio.report.sheet import pixels_of
from intaglio.report.words import percent_text
from intaglio.tasks.detect.average_precision import Measure
from intaglio.tasks.detect.by_class import named
from intaglio.tasks.detect.matching import SCORE
from intaglio.tasks.detect.worst import Disputed, WorstPictures, picture_ap

HINT = (
    f"Boxes with a score of {SCORE:g} and more, and those of the other network that match one."
    " Drawn through: both networks find it. Dashed: one alone does. Green: what the labels say,"
    " dotted where it counts for nothing. Point at a box to read its words. First come the pictures"
    " with the least share of boxes that both networks find, of equal ones those with the least"
    " AP50."
)


def pictures_section(
    worst: WorstPictures, names: Sequence[str], preprocess: Mapping[str, JsonValue]
) -> Section | None:
    """Return the kept pictures, each with the boxes of both networks and of the labels.

    None where none was kept.

    Args:
        names: Of the data set's classes.
        preprocess: As a report has it; empty where nothing is known.
    """
    if not worst.kept:
        return None
    scenes = tuple(scene_of(one, names, preprocess, worst.measure) for one in worst.kept)
    title = "Pictures on which the networks agree least"
    return Section("pictures", title, Pictures(scenes), hint=HINT)


def scene_of(
    picture: Disputed, names: Sequence[str], preprocess: Mapping[str, JsonValue], measure: Measure
) -> Scene:
    """Return a picture with boxes: of the float network, of the integer one, and of the labels.

    Args:
        names, preprocess: As `pictures_section`.
        measure: Of average precision at one overlap.
    """
    frame, match = picture.frame, picture.match
    size = shown_size(round(frame.bottom - frame.top), round(frame.right - frame.left))
    real = _found(picture.real, match.both[:, 0], match.only_real, names)
    found = _found(picture.found, match.both[:, 1], match.only_found, names)
    views = tuple(
        View(f"{title}: {_boxes_text(len(boxes))}", _marks(boxes, picture, size))
        for title, boxes in (("Float", real), ("Integer", found), ("Labels", _true(picture, names)))
    )
    pixels, _ = pixels_of(picture.image[None], preprocess)
    return Scene(jpeg_of(pixels[0]), size[1], size[0], _told(picture, measure), views)


@dataclass(frozen=True, eq=False)
class _Box:
    """A box [4] in the picture's own pixels, and what is said at it."""

    corners: NDArray[np.float32]
    text: str
    kind: Kind


def _found(
    detections: Detections, both: NDArray[np.int64], alone: NDArray[np.int64], names: Sequence[str]
) -> list[_Box]:
    """Return the boxes of one network: those that it alone finds, then the others, by score."""
    kinds: list[tuple[int, Kind]] = [(index, "alone") for index in sorted(alone.tolist())]
    kinds += [(index, "both") for index in sorted(both.tolist())]
    return [
        _Box(
            detections.boxes[index],
            f"{named(int(detections.classes[index]), names)} {detections.scores[index]:.2f}",
            kind,
        )
        for index, kind in kinds
    ]


def _true(picture: Disputed, names: Sequence[str]) -> list[_Box]:
    """Return the boxes that labels give, the largest first."""
    truth = picture.truth
    order = np.argsort(-truth.areas, kind="stable")
    return [
        _Box(box, named(int(number), names), "crowd" if is_crowd else "truth")
        for box, number, is_crowd in zip(
            truth.boxes[order], truth.classes[order], truth.crowd[order], strict=True
        )
    ]


def _marks(boxes: Sequence[_Box], picture: Disputed, size: tuple[int, int]) -> tuple[Mark, ...]:
    """Return boxes as they are drawn on a scene of this (height, width)."""
    corners = np.array([box.corners for box in boxes], np.float32).reshape(-1, 4)
    placed = picture.frame.within(corners, size).tolist()
    return tuple(
        Mark(left, top, right - left, bottom - top, box.text, box.kind)
        for box, (left, top, right, bottom) in zip(boxes, placed, strict=True)
    )


def _told(picture: Disputed, measure: Measure) -> str:
    match = picture.match
    if not match.union:
        same = "neither network finds a box"
    else:
        same = f"{len(match.both)} of {_boxes_text(match.union)} found by both"
    right = "no object is labelled"
    if picture.ap < math.inf:
        real = picture_ap(picture.real, picture.truth, measure)
        right = f"AP50 {percent_text(real)} in float, {percent_text(picture.ap)} in integers"
    return f"Picture {picture.number + 1}: {same}; {right}."


def _boxes_text(count: int) -> str:
    return f"{count} box" if count == 1 else f"{count} boxes"
