"""Average precision over batches, by COCO or by PASCAL VOC."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Truth
from intaglio.errors import DataError
from intaglio.report.detection import Detection
from intaglio.report.shown import Shown
from intaglio.tasks.detect.average_precision import (
    MEASURES,
    Measure,
    counted_figures,
    voc_figures,
)
from intaglio.tasks.detect.bootstrap import bootstrap_error
from intaglio.tasks.detect.by_class import class_pairs, curves_section
from intaglio.tasks.detect.coco import coco_figures, need_pycocotools
from intaglio.tasks.detect.placed import chosen, of_classes, placed_back
from intaglio.tasks.detect.scenes import pictures_section
from intaglio.tasks.detect.worst import WorstPictures
from intaglio.tasks.task import Agreement, Labels, Outputs

Kind = Literal["coco", "coco_counted", "voc", "voc2007"]
Figures = Callable[[Sequence[Detections], Sequence[Truth]], dict[str, float]]


@dataclass(frozen=True, eq=False)
class Metric:
    """Whose figures are made.

    Attributes:
        figures: Makes them of all pictures, in percent, that of the wish first.
        measure: How the first one is counted, for its error.
        half: How average precision at an overlap of 0.5 is counted.
    """

    figures: Figures
    measure: Measure
    half: Measure


VOC = MEASURES["voc_ap50"]
VOC2007 = Measure(VOC.rule, "eleven")
METRICS: dict[Kind, Metric] = {
    "coco": Metric(coco_figures, MEASURES["ap"], MEASURES["ap50"]),
    "coco_counted": Metric(counted_figures, MEASURES["ap"], MEASURES["ap50"]),
    "voc": Metric(voc_figures, VOC, VOC),
    "voc2007": Metric(partial(voc_figures, points="eleven"), VOC2007, VOC2007),
}
"""COCO's by pycocotools ("ap" first), and the same numbers without it and faster, for searches;
PASCAL VOC's ("voc_ap50") since 2010, and before."""
MOST = 100
"""Detections of a picture that count, as COCO has it."""


@dataclass
class AveragePrecision:
    """Keeps what is found in each picture; figures are made of it at the end.

    Memory: 28 bytes a detection, `most` a picture: 3 kB, or 14 MB for the 5,000 pictures of COCO.

    Attributes:
        read: From the outputs of a batch to what is found in each of its pictures, in pixels of
            the network's input.
        classes: [network's classes] the data set's class of each, -1: none; None: they are the
            same.
        kind: Whose figures, of METRICS.
        most: Detections of a picture that count, the surest of all its classes.
        clip: Whether boxes are held within the picture.
        names: Of the data set's classes, for those who look at them; () where they have none.
    """

    read: Callable[[Outputs], list[Detections]]
    classes: NDArray[np.int64] | None = None
    kind: Kind = "coco"
    most: int = MOST
    names: Sequence[str] = ()
    clip: bool = True
    found: list[Detections] = field(default_factory=list, init=False)
    truths: list[Truth] = field(default_factory=list, init=False)
    worst: WorstPictures = field(init=False)
    _figures: dict[str, float] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if METRICS[self.kind].figures is coco_figures:
            need_pycocotools()
        self.worst = WorstPictures(measure=METRICS[self.kind].half)

    def add(self, outputs: Outputs, labels: Labels) -> None:
        """Count one batch; labels are the Truth of each of its pictures.

        Raises:
            DataError: If they are not of as many pictures, one has no placement, or the network
                finds a class beyond `classes`.
        """
        batch = self.read(outputs)
        if len(batch) != len(labels):
            raise DataError(
                f"the outputs are of {len(batch)} pictures, the labels of {len(labels)}"
            )
        for detections, truth in zip(batch, labels, strict=True):
            named = detections if self.classes is None else of_classes(detections, self.classes)
            self.found.append(self._placed(named, truth))
            self.truths.append(truth)
        self._figures = None

    def _placed(self, named: Detections, truth: Truth) -> Detections:
        return placed_back(chosen(named, slice(self.most)), truth, clip=self.clip)

    def figures(self) -> dict[str, float]:
        """Return the figures in percent, that of the wish first; {} where there is no object."""
        if self._figures is None:
            self._figures = METRICS[self.kind].figures(self.found, self.truths)
        return self._figures

    def look(self, real: AveragePrecision, images: Sequence[Tensor] | Tensor) -> None:
        """Keep the images of the last batch, if they are among the worst (`WorstPictures`)."""
        begin = len(self.truths) - len(images)
        for place, image in enumerate(images, start=begin):
            self.worst.add(image, real.found[place], self.found[place], self.truths[place])

    def shown(
        self, real: AveragePrecision, agreement: Agreement, preprocess: Mapping[str, JsonValue]
    ) -> Shown:
        """Return what changed class by class, the worst pictures, and precision over recall."""
        half = METRICS[self.kind].half
        pairs = class_pairs(real.found, self.found, self.truths, measure=half, names=self.names)
        made = curves_section(pairs), pictures_section(self.worst, self.names, preprocess)
        return Shown(
            Detection([pair.row for pair in pairs], agreement.parts),
            tuple(section for section in made if section is not None),
        )

    def lost(self, real: AveragePrecision) -> float:
        """Return points of the first figure lost."""
        own, other = self.figures(), real.figures()
        return next((other[name] - own[name] for name in own), 0.0)

    def error_against(self, real: AveragePrecision) -> float:
        """Return the standard error of the points lost.

        By a bootstrap over pictures, and one picture more that differs by its whole part of the
        figure: that none of 24 differs says little about one point.
        """
        error = bootstrap_error(real.found, self.found, self.truths, METRICS[self.kind].measure)
        worth = next(iter(real.figures().values()), 0.0) / max(len(self.truths), 1)
        return math.hypot(error, worth)

    def by_image(self) -> None:
        """Return None: average precision is no mean over images."""

    def chance(self) -> float:
        """Return 0: no boxes that are the same for every picture find much."""
        return 0.0
