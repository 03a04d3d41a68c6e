"""The pictures on which two segmenters agree least, kept while batches go by."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from intaglio.data.mask import IGNORED, Mask
from intaglio.tasks.segment.seen_part import NUMBERS, Map, Size, seen_part

MOST_PICTURES = 12


@dataclass(frozen=True, eq=False)
class Differing:
    """A picture, and what two networks say of its pixels, no larger than the scene that shows it.

    Attributes:
        number: Of the picture, from 0, in the order in which they were seen.
        image: [C, h, w] as the network takes it, without what preparation put beside the picture.
        scene: (height, width) in which it is shown.
        real, found: [h, w] classes, of the float network and of the other.
        truth: [h, w] classes, IGNORED where there is none.
        extra: Other maps [h, w] by their titles, such as the other network's after a CRF.
        share: How much of what either network says both say (`same_share`).
        miou: By the other network (`picture_miou`), in percent; infinite where no pixel counts.
    """

    number: int
    image: Tensor
    scene: Size
    real: Map
    found: Map
    truth: Map
    extra: Mapping[str, Map]
    share: float
    miou: float

    @property
    def rank(self) -> tuple[float, float, int]:
        """By which pictures are sorted, the worst first."""
        return self.share, self.miou, self.number


@dataclass
class WorstMaps:
    """Keeps the worst pictures, and no others.

    The worst are those whose maps are least the same; of equal ones those with the least mean IoU.
    Both are of the pixels that are shown, which are not all.

    Memory: 15 bytes a pixel, 320 x 320 a picture, and 1 for each extra map: 18 MB for `most` = 12.

    Attributes:
        most: Pictures that are kept.
        kept: Those so far, the worst first.
    """

    most: int = MOST_PICTURES
    kept: list[Differing] = field(default_factory=list, init=False)
    _seen: int = field(default=0, init=False)

    def add(
        self,
        image: Tensor,
        real: Map,
        found: Map,
        truth: Mask,
        *,
        extra: Mapping[str, Map] | None = None,
    ) -> None:
        """Look at one picture.

        Args:
            image: [C, H, W] as the network takes it.
            real, found: [h, w] classes of all that the network sees, of its input's pixels or of
                fewer: of the float network and of the other.
            truth: Of the picture, with the same classes.
            extra: Other such maps by their titles, which are shown beside.
        """
        number, self._seen = self._seen, self._seen + 1
        part = seen_part(truth, (image.shape[-2], image.shape[-1]))
        maps = [part.of_map(each) for each in (real, found)]
        share, is_full = same_share(*maps), len(self.kept) >= self.most
        if is_full and share > self.kept[-1].share:
            return
        there = part.of_truth(truth)
        miou = picture_miou(maps[1], there)
        if is_full and (share, miou, number) > self.kept[-1].rank:
            return
        others = {title: part.of_map(each) for title, each in (extra or {}).items()}
        shown = part.of_image(image), part.scene
        made = Differing(number, *shown, maps[0], maps[1], there, others, share, miou)
        bisect.insort(self.kept, made, key=lambda one: one.rank)
        del self.kept[self.most :]


def same_share(real: Map, found: Map) -> float:
    """Return how much of two maps is the same, 0..1.

    The mean over the classes that either says of their IoU, each weighted by the square root of
    how many pixels either says it of: a background that all networks see does not hide the rest,
    and a few stray pixels are no lost object.
    """
    one, other = (np.bincount(each.ravel(), minlength=NUMBERS) for each in (real, found))
    both = np.bincount(real[real == found], minlength=NUMBERS)
    union = one + other - both
    said = union > 0
    return float(np.average(both[said] / union[said], weights=np.sqrt(union[said])))


def picture_miou(found: Map, truth: Map) -> float:
    """Return the mean IoU over the classes of the truth, in percent; infinite where there are none.

    Pixels that are IGNORED in the truth count for nothing.
    """
    counts = truth != IGNORED
    found, truth = found[counts], truth[counts]
    if not len(truth):
        return math.inf
    one, other = (np.bincount(each, minlength=NUMBERS) for each in (found, truth))
    both = np.bincount(truth[truth == found], minlength=NUMBERS)
    there = other > 0
    return float(100.0 * np.mean(both[there] / (one + other - both)[there]))
