"""Segmentation: a class for each pixel.

How classes come of a network's outputs is data (`maps.postprocess`), which the network brings;
without it, a first output with several channels is taken for their scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intaglio.data.dataset import Dataset
from intaglio.data.mask import Mask, UnreadMask
from intaglio.data.truth import Category
from intaglio.errors import DataError, NonFiniteError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.report.figures import Wording, percentage
from intaglio.tasks.crf.parameters import Crf
from intaglio.tasks.segment.classes import label_table, own_masks, refuse_beyond
from intaglio.tasks.segment.losses import map_loss
from intaglio.tasks.segment.meter import AFTER, MeanIou
from intaglio.tasks.segment.outputs import has_nan, misfit_of, output_size, post_of, shapes_of
from intaglio.tasks.segment.pairing import Pairing, ScoredAt, Size, seen_classes
from intaglio.tasks.segment.same_pixels import SamePixels
from intaglio.tasks.segment.targets import are_labels, mask_batches, masks_of
from intaglio.tasks.segment.told import told_sections
from intaglio.tasks.task import TASKS, Labels, Outputs, Shapes
from intaglio.tasks.values import VALUES

WORDING = Wording(
    figures={
        "miou": percentage("Mean IoU", column="mIoU"),
        "pixel_accuracy": percentage("Pixel accuracy"),
        "boundary_f": percentage("Boundary F", column="boundary F"),
        f"miou{AFTER}": percentage("Mean IoU, CRF", column="mIoU, CRF"),
        f"pixel_accuracy{AFTER}": percentage("Pixel accuracy, CRF"),
        f"boundary_f{AFTER}": percentage("Boundary F, CRF", column="boundary F, CRF"),
    },
    agreement=percentage("Same map as float", column="same map"),
    sections=told_sections,
)


@dataclass(frozen=True, eq=False)
class Segment:
    """The task of segmenters; labels are a list with the Mask of each image, or [N, h, w].

    Attributes:
        post: How classes come of the outputs; None: of the highest score in the first of them.
        categories: Of the data set that it is evaluated on; (): labels have the network's classes.
        scored_at: Which pixels count: the picture's own, or those of the network's input.
        input_size: (height, width) of the network's input; None: as the placement of each picture
            tells it, or else the size of the map that it gives.
        crf: By which maps are refined where it is judged, beside what they are as they come;
            masks then bring their pictures along (`data.pictured`).
        hard_share: Share of the pixels, 0..1, that a loss is of at least, the hardest ones
            (`losses.hard_pixels`); 0: it is of all.
    """

    post: MapPostProcess | None = None
    categories: tuple[Category, ...] = ()
    scored_at: ScoredAt = "picture"
    input_size: Size | None = None
    crf: Crf | None = None
    hard_share: float = 0.0
    name: str = "segment"
    rank: int = 110
    needs_labels: bool = True
    has_metric: bool = True
    wording: Wording = field(default=WORDING)
    disagreements_a_point: float = 3.0
    """Of DeepLabv3 (21 classes) and MediaPipe's selfie network, on coco128 with rounded weights and
    with noise, a point of mean IoU went with 3 to 15 points of `SamePixels` down to 80 % agreement,
    so that 3 errs on the safe side; below that with 1.4 to 3."""

    def misfit(self, outputs: Shapes, labels: Labels) -> str | None:
        """Return why outputs of these shapes are no maps of classes, or labels are no masks."""
        reason = misfit_of(self.post, outputs)
        if reason is not None or labels is None or are_labels(labels):
            return reason
        return f"the labels are {type(labels).__name__}, no masks"

    def labels(self, dataset: Dataset, outputs: Shapes) -> Sequence[Mask | UnreadMask]:
        """Return the mask of each image, as it is: unread, if it is a file.

        Raises:
            DataError: If an image has none, or masks are not of the network's classes.
        """
        post = post_of(self.post, outputs)
        masks: list[Mask | UnreadMask] = []
        for item in dataset.items:
            if not isinstance(item.label, Mask | UnreadMask):
                raise DataError(
                    f"{dataset.path}: '{item.name}' has no mask: give a folder of pictures and one"
                    " of masks, or a description of both (docs/segmenters.md)"
                )
            masks.append(item.label)
        label_table(post, self.categories or dataset.categories)
        return masks

    def batches(self, data: Any, sample_shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Labels]]:
        """Yield (images, the mask of each) a batch."""
        return mask_batches(data, sample_shape)

    def check(self, outputs: Outputs, labels: Labels) -> None:
        """Make sure that no output has NaN, and that each image has a mask of known classes.

        Raises:
            NonFiniteError: If an output is NaN.
            DataError: If outputs are no maps, masks are missing, or a class is none of the
                network's, or of the categories'.
        """
        post = post_of(self.post, shapes_of(outputs))
        if has_nan(outputs):
            raise NonFiniteError(
                "the network gives NaN on an image to evaluate on: check its weights and the"
                " preprocessing"
            )
        size = self.input_size or output_size(post, outputs)
        count = len(label_table(post, self.categories))
        for mask in masks_of(labels, len(outputs[post.output]), size):
            refuse_beyond(mask.classes, count)

    def meter(self, names: Sequence[str]) -> MeanIou:
        """Return a new meter of mean IoU."""
        return MeanIou(self.post, self._pairing, self.categories, self.crf)

    def beside(self, names: Sequence[str], *, is_told: bool) -> SamePixels:
        """Return a new comparison of two networks by the classes of pixels."""
        return SamePixels(names, self.post)

    def loss(self, outputs: Outputs, labels: Labels, *, smoothing: float = 0.0) -> Tensor:
        """Return the cross entropy of the true classes (`losses.map_loss`), [], in nats.

        Of the one output that says classes; others, such as heads that help training, are not
        looked at.

        Args:
            outputs: Raw, [N, ...] each.
            labels: [N, h, w] whole numbers, or the Mask of each image, placed.
            smoothing: Share of a label that is spread over all classes, 0..1.

        Raises:
            RequestError: If the output has no gradient, or a share is not within 0..1.
            DataError: If outputs are no maps, masks are missing, or a class is none of the
                network's.
        """
        post = post_of(self.post, shapes_of(outputs))
        scores = outputs[post.output]
        wanted = self._wanted(post, outputs, labels).to(scores.device)
        return map_loss(post, scores, wanted, smoothing=smoothing, hard_share=self.hard_share)

    def distance(
        self, outputs: Outputs, float_outputs: Outputs, *, temperature: float = 1.0
    ) -> Tensor:
        """Return how far the outputs are from the float network's, as of any values."""
        return VALUES.distance(outputs, float_outputs, temperature=temperature)

    @property
    def _pairing(self) -> Pairing:
        return Pairing(self.scored_at, self.input_size)

    def _wanted(self, post: MapPostProcess, outputs: Outputs, labels: Labels) -> Tensor:
        """Return the network's class of each pixel, [N, h, w] uint8; IGNORED: none."""
        size = output_size(post, outputs)
        masks = masks_of(labels, len(outputs[post.output]), self.input_size or size)
        own = own_masks(masks, post, self.categories)
        if isinstance(labels, Tensor):  # at their own size: none of their pixels is lost
            return torch.from_numpy(np.stack([mask.classes for mask in own]))
        return torch.from_numpy(seen_classes(self._pairing, own, size))


SEGMENT = Segment()
TASKS.register(SEGMENT.name)(SEGMENT)


def segmenter_task(
    post: object,
    categories: tuple[Category, ...] = (),
    *,
    input_size: Size | None = None,
    crf: Crf | None = None,
) -> Segment | None:
    """Return the task of one network whose outputs become maps of classes; None of any other."""
    if not isinstance(post, MapPostProcess):
        return None
    return Segment(post, categories, input_size=input_size, crf=crf)
