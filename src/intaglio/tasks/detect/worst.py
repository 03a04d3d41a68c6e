"""The pictures on which two detectors agree least, kept while batches go by."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Placement, Truth
from intaglio.report.pictures import shown_size
from intaglio.tasks.detect.average_precision import MEASURES, Measure, by_class
from intaglio.tasks.detect.hits import hits
from intaglio.tasks.detect.matching import Match, matched

MOST_PICTURES = 12


@dataclass(frozen=True)
class Frame:
    """The part of a picture that the network sees, in the picture's own pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def within(self, boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return boxes [n, 4] in the pixels of a scene of this (height, width), within it."""
        scale = [size[1] / (self.right - self.left), size[0] / (self.bottom - self.top)] * 2
        found = (boxes.astype(np.float64) - [self.left, self.top] * 2) * scale
        return found.clip(0.0, [size[1], size[0]] * 2)


@dataclass(frozen=True, eq=False)
class Disputed:
    """A picture, and what two networks find in it.

    Attributes:
        number: Of the picture, from 0, in the order in which they were seen.
        image: [C, h, w] as the network takes it, no larger than the scene that it is shown as.
        frame: What of the picture that is.
        real, found: Of the float network and of the other, in the picture's own pixels.
        truth: Of the picture.
        match: The boxes that are the same.
        ap: Its average precision at an overlap of 0.5 by the other network, in percent; infinite
            where there is nothing to be found.
    """

    number: int
    image: Tensor
    frame: Frame
    real: Detections
    found: Detections
    truth: Truth
    match: Match
    ap: float

    @property
    def rank(self) -> tuple[float, float, int]:
        """By which pictures are sorted, the worst first."""
        return self.match.share, self.ap, self.number


@dataclass
class WorstPictures:
    """Keeps the worst pictures, and no others.

    The worst have the smallest share of boxes that both networks find; of equal ones those with the
    least average precision.

    Memory: 12 bytes a pixel, 320 x 320 a picture: 15 MB for `most` = 12.

    Attributes:
        most: Pictures that are kept.
        measure: Of average precision at one overlap.
        kept: Those so far, the worst first.
    """

    most: int = MOST_PICTURES
    measure: Measure = MEASURES["ap50"]
    kept: list[Disputed] = field(default_factory=list, init=False)
    _seen: int = field(default=0, init=False)

    def add(self, image: Tensor, real: Detections, found: Detections, truth: Truth) -> None:
        """Look at one picture.

        Args:
            image: [C, H, W] as the network takes it.
            real, found: Of the float network and of the other, in the picture's own pixels.
        """
        number, self._seen = self._seen, self._seen + 1
        match, is_full = matched(real, found), len(self.kept) >= self.most
        if is_full and match.share > self.kept[-1].match.share:
            return
        ap = picture_ap(found, truth, self.measure)
        if is_full and (match.share, ap, number) > self.kept[-1].rank:
            return
        seen, frame = seen_of(image, truth)
        made = Disputed(number, seen, frame, real, found, truth, match, ap)
        bisect.insort(self.kept, made, key=lambda one: one.rank)
        del self.kept[self.most :]


def picture_ap(found: Detections, truth: Truth, measure: Measure) -> float:
    """Return the mean average precision of one picture, in percent; infinite without objects."""
    each = by_class(hits([found], [truth], measure.rule), measure.points)
    return float(np.mean(list(each.values()))) if each else math.inf


def seen_of(image: Tensor, truth: Truth) -> tuple[Tensor, Frame]:
    """Return the picture without what preparation put beside it, and which part of it that is.

    Args:
        image: [C, H, W] as the network takes it.

    Returns:
        [C, h, w] float32, of its own; no larger than the scene that shows the frame.
    """
    place = truth.placement or Placement()
    rows = _seen_span(place.top, place.scale_y, truth.size and truth.size[0], image.shape[-2])
    columns = _seen_span(place.left, place.scale_x, truth.size and truth.size[1], image.shape[-1])
    frame = Frame(
        (columns.start - place.left) / place.scale_x,
        (rows.start - place.top) / place.scale_y,
        (columns.stop - place.left) / place.scale_x,
        (rows.stop - place.top) / place.scale_y,
    )
    cut = image.detach().float().cpu()[None, :, rows, columns]
    scene = shown_size(round(frame.bottom - frame.top), round(frame.right - frame.left))
    size = [min(pair) for pair in zip(cut.shape[-2:], scene, strict=True)]
    return interpolate(cut, size, mode="bilinear", antialias=True)[0].clone(), frame


def _seen_span(offset: float, scale: float, pixels: int | None, whole: int) -> slice:
    """Return which of `whole` pixels of the input are of the picture; all, if its size is unknown.

    Args:
        pixels: Of the picture.
    """
    if pixels is None:
        return slice(0, whole)
    begin, end = max(round(offset), 0), min(round(offset + scale * pixels), whole)
    return slice(begin, end) if begin < end else slice(0, whole)
