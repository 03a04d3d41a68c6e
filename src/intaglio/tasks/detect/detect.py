"""Detection: boxes of things, each with a class and a score.

How boxes come of a network's outputs is data (`boxes.postprocess`), which the network brings; the
task without it fits no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from intaglio.boxes.detect import detections
from intaglio.boxes.detections import Detections
from intaglio.boxes.postprocess import PostProcess
from intaglio.data.dataset import Dataset
from intaglio.data.truth import Category, Truth
from intaglio.errors import DataError, NonFiniteError, RequestError
from intaglio.report.figures import Wording, percentage
from intaglio.targets.ending import Ending
from intaglio.tasks.detect.classes import class_map
from intaglio.tasks.detect.losses.choose import detection_loss
from intaglio.tasks.detect.meter import AveragePrecision, Kind
from intaglio.tasks.detect.same_boxes import SameBoxes
from intaglio.tasks.detect.targets import box_batches
from intaglio.tasks.detect.told import told_sections
from intaglio.tasks.task import TASKS, Labels, Outputs, Shapes
from intaglio.tasks.values import VALUES

WORDING = Wording(
    figures={
        "ap": percentage("AP"),
        "ap50": percentage("AP50"),
        "ap75": percentage("AP75"),
        "ap_small": percentage("AP, small"),
        "ap_medium": percentage("AP, medium"),
        "ap_large": percentage("AP, large"),
        "voc_ap50": percentage("AP50 (VOC)"),
    },
    agreement=percentage("Same boxes as float", column="same boxes"),
    sections=told_sections,
)


@dataclass(frozen=True, eq=False)
class Detect:
    """The task of detectors; labels are a list with the truth of each image.

    Attributes:
        post: How boxes come of the outputs; None: nobody knows.
        categories: Of the data set that it is evaluated on; (): labels have the network's classes.
        kind: Whose figures: "coco", or "voc", which is AP at an overlap of 0.5, by area.
    """

    post: PostProcess | None = None
    categories: tuple[Category, ...] = ()
    kind: Kind = "coco"
    name: str = "detect"
    rank: int = 10
    needs_labels: bool = True
    has_metric: bool = True
    wording: Wording = field(default=WORDING)
    disagreements_a_point: float = 3.0

    def misfit(self, outputs: Shapes, labels: Labels) -> str | None:
        """Return why nothing is detected by outputs of these shapes, or labels are no boxes."""
        if self.post is None:
            return (
                "boxes need a network of which is known how they come of its outputs, and of this"
                " one it is not: give a detector of the zoo or of a known kind"
            )
        wanted = 1 + max(_outputs_read(self.post))
        if len(outputs) < wanted:
            return f"boxes are read from {wanted} outputs, and the network has {len(outputs)}"
        if labels is None or _are_truths(labels):
            return None
        return f"the labels are {type(labels).__name__}, no boxes"

    def read(self, outputs: Outputs) -> list[Detections]:
        """Return what the outputs of a batch say was found in each image."""
        assert self.post is not None, "misfit() says so"
        return detections(self.post, [output.detach().cpu().numpy() for output in outputs])

    def labels(self, dataset: Dataset, outputs: Shapes) -> Sequence[Truth]:
        """Return the boxes of each image.

        Raises:
            DataError: If the labels are no boxes, or not of the network's classes.
        """
        assert self.post is not None, "misfit() says so"
        class_map(self.post, dataset.categories)
        found = [item.label for item in dataset.items if isinstance(item.label, Truth)]
        if len(found) < len(dataset):
            raise DataError(
                f"{dataset.path}: the labels are no boxes: give a COCO .json, a folder of VOC"
                " annotations, or the data.yaml of a YOLO set"
            )
        return found

    def batches(self, data: Any, sample_shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Labels]]:
        """Yield (images, the truth of each) a batch."""
        return box_batches(data, sample_shape)

    def check(self, outputs: Outputs, labels: Labels) -> None:
        """Make sure that no output has NaN, and that each image has its boxes.

        Raises:
            NonFiniteError: If an output is NaN.
            DataError: If labels are missing, or of classes that the network does not have.
        """
        if any(bool(output.isnan().any()) for output in outputs):
            raise NonFiniteError(
                "the network gives NaN on an image to evaluate on: check its weights and the"
                " preprocessing"
            )
        if not _are_truths(labels) or len(labels) != len(outputs[0]):
            raise DataError("the images to evaluate on have no boxes: give those of each image")
        highest = max((int(truth.classes.max()) for truth in labels if len(truth)), default=0)
        classes = len(self.categories) or (self.post.classes if self.post else 0)
        if highest >= classes:
            raise DataError(
                f"class {highest} of a box is out of range: there are {classes} (0..{classes - 1})"
            )

    def meter(self, names: Sequence[str]) -> AveragePrecision:
        """Return a new meter of average precision."""
        assert self.post is not None, "misfit() says so"
        called = tuple(category.name for category in self.categories) or self.post.names
        return AveragePrecision(
            self.read, self._classes(), self.kind, names=called, clip=self.post.clip
        )

    def beside(self, names: Sequence[str], *, is_told: bool) -> SameBoxes:
        """Return a new comparison of two networks by their boxes."""
        return SameBoxes(names, self.read)

    def loss(self, outputs: Outputs, labels: Labels, *, smoothing: float = 0.0) -> Tensor:
        """Return the loss that goes with the detector (`losses.choose`), a mean over images, [].

        Raises:
            RequestError: If there is smoothing, or no loss for detectors of this kind.
            DataError: If a box is of no class of the network.
        """
        assert self.post is not None, "misfit() says so"
        if smoothing:
            raise RequestError(
                f"smoothing = {smoothing:g} spreads a label over all classes, and most positions of"
                " a detector have none: train with smoothing = 0"
            )
        return detection_loss(self.post, outputs, labels, self.categories)

    def distance(
        self, outputs: Outputs, float_outputs: Outputs, *, temperature: float = 1.0
    ) -> Tensor:
        """Return how far the outputs are from the float network's, as of any values."""
        return VALUES.distance(outputs, float_outputs, temperature=temperature)

    def _classes(self) -> NDArray[np.int64]:
        assert self.post is not None, "misfit() says so"
        return class_map(self.post, self.categories)


DETECT = Detect()
TASKS.register(DETECT.name)(DETECT)


def detector_task(post: Ending | None, categories: tuple[Category, ...] = ()) -> Detect | None:
    """Return the task of one network whose outputs become boxes; None of any other."""
    return Detect(post, categories) if isinstance(post, PostProcess) else None


def _outputs_read(post: PostProcess) -> set[int]:
    parts = [part for level in post.levels for part in (*level.boxes, level.scores)]
    parts += [level.objectness for level in post.levels if level.objectness is not None]
    return {part.output for part in parts}


def _are_truths(labels: object) -> bool:
    return isinstance(labels, list) and all(isinstance(entry, Truth) for entry in labels)
