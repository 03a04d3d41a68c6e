"""Mean intersection over union over batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import JsonValue
from torch import Tensor

from intaglio.data.mask import Mask
from intaglio.data.truth import Category
from intaglio.maps.postprocess import MapPostProcess
from intaglio.report.shown import Shown
from intaglio.tasks.segment.band import band, reach_of
from intaglio.tasks.segment.bootstrap import iou_error
from intaglio.tasks.segment.boundary import boundary_f
from intaglio.tasks.segment.by_class import segmentation
from intaglio.tasks.segment.classes import class_names, own_masks
from intaglio.tasks.segment.iou import Counts, mean_iou, pixel_accuracy, pixel_counts
from intaglio.tasks.segment.outputs import output_size, post_of, scores_of, shapes_of
from intaglio.tasks.segment.pairing import Classes, Pair, Pairing, paired
from intaglio.tasks.segment.scenes import pictures_section
from intaglio.tasks.segment.targets import masks_of
from intaglio.tasks.segment.worst import WorstMaps
from intaglio.tasks.task import Agreement, Labels, Outputs


@dataclass
class MeanIou:
    """Counts pixels of each picture and class; figures are made of the counts at the end.

    Pictures are read one after the other, and no map is kept but those of the last batch, at the
    network's input, for `look`.

    Memory: 48 bytes a class and picture: 1 kB of 21 classes, or 5 MB for 5,000 pictures.

    Attributes:
        post: How classes come of the outputs; None: of the highest score in the first of them.
        pairing: Which pixels are held against which.
        categories: Of the data set; (): labels have the network's classes.
        counts, bands: Of each picture [classes, 3] (`iou`): of all pixels that count, and of those
            near a border of classes (`band`).
        boundaries: Of each picture, `boundary_f`, NaN where it has none.
        worst: The pictures that `look` keeps.
    """

    post: MapPostProcess | None = None
    pairing: Pairing = field(default_factory=Pairing)
    categories: tuple[Category, ...] = ()
    counts: list[Counts] = field(default_factory=list, init=False)
    bands: list[Counts] = field(default_factory=list, init=False)
    boundaries: list[float] = field(default_factory=list, init=False)
    worst: WorstMaps = field(default_factory=WorstMaps, init=False)
    _last: list[tuple[Classes, Mask]] = field(default_factory=list, init=False)
    _names: tuple[str, ...] = field(default=(), init=False)

    def add(self, outputs: Outputs, labels: Labels) -> None:
        """Count one batch; labels are the Mask of each of its pictures, or a tensor [N, h, w].

        Raises:
            DataError: If outputs are no maps, labels are of another number of pictures, or a mask
                has no placement, or a class that the network has not.
        """
        post = post_of(self.post, shapes_of(outputs))
        size = self.pairing.input_size or output_size(post, outputs)
        given = masks_of(labels, len(outputs[post.output]), size)
        masks = own_masks(given, post, self.categories)
        self._names = class_names(post, self.categories)
        self._last = []
        for scores, mask in zip(scores_of(post, outputs), masks, strict=True):
            pair = paired(self.pairing, post, scores, mask)
            self._count(pair, post.classes)
            self._last.append((pair.seen, mask))

    def _count(self, pair: Pair, classes: int) -> None:
        truth, found = pair.truth, pair.found
        height, width = truth.shape
        near = band(truth, reach_of((height, width)))
        self.counts.append(pixel_counts(truth, found, classes))
        self.bands.append(pixel_counts(truth[near], found[near], classes))
        self.boundaries.append(boundary_f(truth, found))

    def figures(self) -> dict[str, float]:
        """Return the figures in percent, mean IoU first; {} where no pixel counts.

        `boundary_f` is among them where some picture has a border of classes.
        """
        counts = self._all(self.counts)
        miou = 100.0 * float(mean_iou(counts.sum(axis=0)))
        if math.isnan(miou):
            return {}
        found = {"miou": miou, "pixel_accuracy": 100.0 * pixel_accuracy(counts)}
        drawn = [each for each in self.boundaries if not math.isnan(each)]
        return found | ({"boundary_f": 100.0 * math.fsum(drawn) / len(drawn)} if drawn else {})

    def lost(self, real: MeanIou) -> float:
        """Return points of mean IoU lost."""
        own, other = self.figures(), real.figures()
        return other["miou"] - own["miou"] if own else 0.0

    def error_against(self, real: MeanIou) -> float:
        """Return the standard error of the points lost.

        By a bootstrap over pictures, and one picture more that differs by its whole part of the
        figure: that none of 24 differs says little about one point.
        """
        error = iou_error(self._all(real.counts), self._all(self.counts))
        worth = real.figures().get("miou", 0.0) / max(len(self.counts), 1)
        return math.hypot(error, worth)

    def by_image(self) -> None:
        """Return None: mean IoU is no mean over images."""

    def chance(self) -> float:
        """Return the mean IoU of a network that says the same class of every pixel, the best such.

        Of that class the pixels' share, of all others 0.
        """
        pixels = self._all(self.counts).sum(axis=0)[:, 1]
        there = int((pixels > 0).sum())
        return 100.0 * float(pixels.max()) / float(pixels.sum()) / there if there else 0.0

    def look(self, real: MeanIou, images: Sequence[Tensor] | Tensor) -> None:
        """Keep the images of the last batch, if they are among the worst (`WorstMaps`)."""
        for image, (one, _), (other, mask) in zip(images, real._last, self._last, strict=True):
            self.worst.add(image, one, other, mask)

    def shown(
        self, real: MeanIou, agreement: Agreement, preprocess: Mapping[str, JsonValue]
    ) -> Shown:
        """Return what changed class by class and near borders, and the worst pictures."""
        made = pictures_section(self.worst, self._names, preprocess)
        told = segmentation(
            self._all(real.counts),
            self._all(self.counts),
            names=self._names,
            bands=(self._all(real.bands), self._all(self.bands)),
            matched_percent=agreement.parts,
        )
        return Shown(sections=() if made is None else (made,), segmentation=told)

    def _all(self, each: Sequence[Counts]) -> Counts:
        """Return the counts of all pictures, [pictures, classes, 3]; one class of no picture."""
        return np.stack(each) if each else np.zeros((0, 1, 3), np.int64)
