"""Classification: the class with the highest score is the answer; of one score, its side of 0.

A single score is a logit, of which what is above 0 says yes, or a probability, of which what is
above 0.5 does. Which of both is seen from the scores: a probability lies within 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.data.batches import INTEGERS, are_decisions, labelled_batches
from intaglio.data.dataset import Dataset, check_labels
from intaglio.errors import DataError, NonFiniteError, RequestError
from intaglio.report.figures import Wording, percentage
from intaglio.tasks.accuracy import Accuracy
from intaglio.tasks.same_class import SameClass
from intaglio.tasks.task import TASKS, Labels, Outputs, Shapes

BACKGROUND_CLASSES = 1001
"""TensorFlow's ImageNet classifiers: class 0 is the background, and all others are one further."""


@dataclass(frozen=True)
class Classify:
    """The task of networks with one output [N, classes]; labels are class indices [N] int64.

    Of one score, [N, 1], the classes are 0 and 1.
    """

    name: str = "classify"
    rank: int = 0
    needs_labels: bool = True
    has_metric: bool = True
    wording: Wording = field(
        default=Wording(
            figures={"top1": percentage("Top-1"), "top5": percentage("Top-5")},
            agreement=percentage("Same class as float", column="same class"),
        )
    )
    disagreements_a_point: float = 3.0
    """An image whose class changes was often wrong before. Over the tools and settings measured on
    MobileNetV2 (n = 1150) a point of accuracy went with 3.3 to 6 points of disagreement down to
    90 % agreement, so that 3 errs on the safe side."""

    def misfit(self, outputs: Shapes, labels: Labels) -> str | None:
        """Return why it is no classifier, or the labels are no class indices."""
        if len(outputs) != 1 or len(outputs[0]) != 2:
            return (
                "accuracy needs a classifier with one output [N, classes], this network gives"
                f" {' and '.join(str(list(shape)) for shape in outputs)}"
            )
        if labels is None:
            return None
        try:
            given = torch.as_tensor(labels)
        except (TypeError, ValueError, RuntimeError) as error:
            return f"the labels are no class indices: {error}"
        if given.dtype in INTEGERS or (outputs[0][1] == 1 and are_decisions(given)):
            return None
        return f"the labels are {given.dtype}: give class indices"

    def labels(self, dataset: Dataset, outputs: Shapes) -> Sequence[int | None]:
        """Return the class indices; raise DataError where one is none of the network's."""
        check_labels(dataset, class_count(outputs[0]))
        return [item.label if isinstance(item.label, int) else None for item in dataset.items]

    def batches(self, data: Any, sample_shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images, class indices [N] int64) a batch."""
        return labelled_batches(data, sample_shape)

    def check(self, outputs: Outputs, labels: Labels) -> None:
        """Make sure of one output without NaN, and of labels that are its classes.

        Raises:
            RequestError: If the outputs are those of no classifier.
            NonFiniteError: If a score is NaN.
            DataError: If there are no labels, or one is no class of the network.
        """
        reason = self.misfit([tuple(output.shape) for output in outputs], None)
        if reason is not None:
            raise RequestError(reason)
        (scores,) = outputs
        if bool(scores.isnan().any()):
            raise NonFiniteError(
                "the network gives NaN on an image to evaluate on: check its weights and the"
                " preprocessing"
            )
        if labels is None:
            raise DataError("the images to evaluate on have no labels: give (images, labels)")
        classes = class_count(tuple(scores.shape))
        wrong = labels[(labels < 0) | (labels >= classes)]
        if len(wrong):
            raise DataError(
                f"class index {int(wrong[0])} is out of range: the network has {classes} classes"
                f" (0..{classes - 1})"
            )

    def meter(self, names: Sequence[str]) -> Accuracy:
        """Return a new meter of accuracy."""
        return Accuracy()

    def beside(self, names: Sequence[str], *, is_told: bool) -> SameClass:
        """Return a new comparison of two networks."""
        return SameClass(names[0], is_told)

    def loss(self, outputs: Outputs, labels: Labels, *, smoothing: float = 0.0) -> Tensor:
        """Return the cross entropy of the labels, in nats, []; a single score is a logit.

        Smoothing: Szegedy et al. 2016 (arXiv:1512.00567), section 7.
        """
        if outputs[0].shape[1] == 1:
            yes = labels.float() * (1.0 - smoothing) + smoothing / 2
            return F.binary_cross_entropy_with_logits(outputs[0][:, 0], yes)
        return F.cross_entropy(outputs[0], labels, label_smoothing=smoothing)

    def distance(
        self, outputs: Outputs, float_outputs: Outputs, *, temperature: float = 1.0
    ) -> Tensor:
        """Return the Kullback-Leibler divergence from the float network's classes, in nats, [].

        Of the softmax of scores / T, times T^2, so that gradients stay as large whatever T is
        (Hinton et al. 2015, arXiv:1503.02531, section 2). A single score is a logit.
        """
        own, wanted = (_both_scores(scores[0]) / temperature for scores in (outputs, float_outputs))
        divergence = F.kl_div(
            own.log_softmax(1), wanted.log_softmax(1), reduction="batchmean", log_target=True
        )
        return divergence * temperature**2


CLASSIFY = Classify()
TASKS.register(CLASSIFY.name)(CLASSIFY)


def without_background(
    network: Callable[[Tensor], Sequence[Tensor]], outputs: Shapes, labels: Sequence[int | None]
) -> Callable[[Tensor], Sequence[Tensor]]:
    """Return a network's scores for the classes of a data set.

    The same network, unless it has one class more than the data set, the background at index 0.

    Args:
        outputs: Shapes of its outputs.
        labels: Class indices of the data set.
    """
    highest = max((label for label in labels if label is not None), default=0)
    if outputs[0][1] != BACKGROUND_CLASSES or highest >= BACKGROUND_CLASSES - 1:
        return network

    def scores(images: Tensor) -> Sequence[Tensor]:
        """Return the scores [N, K] without the background's."""
        return [network(images)[0][:, 1:]]

    return scores


def class_count(shape: tuple[int, ...]) -> int:
    """Return how many classes an output of shape [N, scores] tells apart."""
    return max(2, shape[1])


def _both_scores(scores: Tensor) -> Tensor:
    """Return scores [N, K >= 2]: beside a single logit, that of "yes", the 0 of "no"."""
    return F.pad(scores, (1, 0)) if scores.shape[1] == 1 else scores
