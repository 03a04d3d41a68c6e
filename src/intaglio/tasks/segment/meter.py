"""Mean intersection over union over batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue
from torch import Tensor

from intaglio.data.mask import Mask
from intaglio.data.truth import Category
from intaglio.maps.postprocess import MapPostProcess
from intaglio.report.shown import Shown
from intaglio.tasks.crf.parameters import Crf
from intaglio.tasks.segment.bootstrap import iou_error, largest_part
from intaglio.tasks.segment.by_class import segmentation
from intaglio.tasks.segment.classes import class_names, own_masks
from intaglio.tasks.segment.outputs import output_size, post_of, scores_of, shapes_of
from intaglio.tasks.segment.pairing import Classes, Pairing, paired
from intaglio.tasks.segment.refined import refined
from intaglio.tasks.segment.scenes import pictures_section
from intaglio.tasks.segment.tally import Tally, together
from intaglio.tasks.segment.targets import masks_of
from intaglio.tasks.segment.worst import WorstMaps
from intaglio.tasks.task import Agreement, Labels, Outputs

AFTER = "_crf"
"""Ends the name of a figure of refined maps."""
TITLE = "Integer, CRF"


@dataclass
class MeanIou:
    """Counts pixels of each picture and class; figures are made of the counts at the end.

    Pictures are read one after the other, and no map is kept but those of the last batch, at the
    network's input, for `look`.

    Attributes:
        post: How classes come of the outputs; None: of the highest score in the first of them.
        pairing: Which pixels are held against which.
        categories: Of the data set; (): labels have the network's classes.
        crf: By which maps are refined, beside what they are as they come; None: they are not.
        tally: Of the maps as they come.
        refined: Of the refined ones, where there are such.
        worst: The pictures that `look` keeps.
    """

    post: MapPostProcess | None = None
    pairing: Pairing = field(default_factory=Pairing)
    categories: tuple[Category, ...] = ()
    crf: Crf | None = None
    tally: Tally = field(default_factory=Tally, init=False)
    refined: Tally = field(default_factory=Tally, init=False)
    worst: WorstMaps = field(default_factory=WorstMaps, init=False)
    _last: list[tuple[Classes, Classes | None, Mask]] = field(default_factory=list, init=False)
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
            pair, after = paired(self.pairing, post, scores, mask), None
            self.tally.add(pair.truth, pair.found, post.classes)
            if self.crf is not None:
                better = refined(self.pairing, post, scores, mask, crf=self.crf)
                self.refined.add(better.truth, better.found, post.classes)
                after = better.seen
            self._last.append((pair.seen, after, mask))

    def figures(self) -> dict[str, float]:
        """Return the figures in percent, mean IoU first; {} where no pixel counts.

        Those of refined maps are behind the others, NAME_crf.
        """
        after = self.refined.figures()
        return self.tally.figures() | {f"{name}{AFTER}": value for name, value in after.items()}

    def lost(self, real: MeanIou) -> float:
        """Return points of mean IoU lost."""
        own, other = self.figures(), real.figures()
        return other["miou"] - own["miou"] if own else 0.0

    def error_against(self, real: MeanIou) -> float:
        """Return the standard error of the points lost.

        By a bootstrap over pictures, and one picture more that counts as much as that of them which
        counts most (`largest_part`): a picture may turn up that is like none of those drawn. It is
        not the whole part of the figure that a picture has, as of pictures that are right or wrong:
        a map goes wrong by some of its pixels, of which a picture has very many, so that the points
        lost are known far better than the figure is. Where one picture alone counts, nothing is
        known of others: the error is then the whole figure of the float network.
        """
        sides = together(real.tally.counts), together(self.tally.counts)
        if (sides[0][:, :, 1].sum(axis=1) > 0).sum() < 2:
            return real.figures().get("miou", 0.0)
        return math.hypot(iou_error(*sides), largest_part(*sides))

    def by_image(self) -> None:
        """Return None: mean IoU is no mean over images."""

    def chance(self) -> float:
        """Return the mean IoU of a network that says the same class of every pixel, the best such.

        Of that class the pixels' share, of all others 0.
        """
        pixels = together(self.tally.counts).sum(axis=0)[:, 1]
        there = int((pixels > 0).sum())
        return 100.0 * float(pixels.max()) / float(pixels.sum()) / there if there else 0.0

    def look(self, real: MeanIou, images: Sequence[Tensor] | Tensor) -> None:
        """Keep the images of the last batch, if they are among the worst (`WorstMaps`)."""
        for image, (one, _, _), (other, after, mask) in zip(
            images, real._last, self._last, strict=True
        ):
            extra = None if after is None else {TITLE: after}
            self.worst.add(image, one, other, mask, extra=extra)

    def shown(
        self, real: MeanIou, agreement: Agreement, preprocess: Mapping[str, JsonValue]
    ) -> Shown:
        """Return what changed class by class and near borders, and the worst pictures."""
        made = pictures_section(self.worst, self._names, preprocess)
        told = segmentation(
            together(real.tally.counts),
            together(self.tally.counts),
            names=self._names,
            bands=(together(real.tally.bands), together(self.tally.bands)),
            matched_percent=agreement.parts,
        )
        return Shown(sections=() if made is None else (made,), segmentation=told)
