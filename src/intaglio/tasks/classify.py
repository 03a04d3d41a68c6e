"""Classification: one score for each class, and the class with the highest one is the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.data.batches import INTEGERS, labelled_batches
from intaglio.data.dataset import Dataset, check_labels
from intaglio.errors import DataError, NonFiniteError, RequestError
from intaglio.numerics.metrics import sqnr_db
from intaglio.report.figures import Wording, percentage
from intaglio.tasks.task import TASKS, Agreement, Labels, Outputs, Shapes

BACKGROUND_CLASSES = 1001
"""TensorFlow's ImageNet classifiers: class 0 is the background, and all others are one further."""


@dataclass
class Accuracy:
    """Counts of right answers.

    Attributes:
        n: Images seen.
        right1, right5: Images whose label is the best, or among the five best.
    """

    n: int = 0
    right1: int = 0
    right5: int = 0

    def add(self, outputs: Outputs, labels: Labels) -> None:
        """Count one batch, labels [N]; of equal scores the lower class index wins."""
        order = outputs[0].argsort(dim=1, descending=True, stable=True)
        hits = order[:, :5] == labels.reshape(-1, 1)
        self.n += len(labels)
        self.right1 += int(hits[:, 0].sum())
        self.right5 += int(hits.any(dim=1).sum())

    def figures(self) -> dict[str, float]:
        """Return percents of images whose label has the highest score, or is among the best 5."""
        return {"top1": 100.0 * self.right1 / self.n, "top5": 100.0 * self.right5 / self.n}

    def lost(self, real: Accuracy) -> float:
        """Return points of top-1 lost."""
        return 100.0 * (real.right1 - self.right1) / self.n


@dataclass
class SameClass:
    """Counts the images for which two networks name the same class, and the noise of the scores.

    Attributes:
        name: Of the output.
        n, same: Images, and those of them with the same best class.
        signal, noise: Sums of squares of the float scores, and of the differences.
    """

    name: str
    n: int = 0
    same: int = 0
    signal: float = 0.0
    noise: float = 0.0

    def add(self, float_outputs: Outputs, outputs: Outputs) -> None:
        """Compare one batch."""
        (real,), (found,) = float_outputs, outputs
        self.n += len(real)
        self.same += int((_best(real) == _best(found)).sum())
        self.signal += float(real.double().square().sum())
        self.noise += float((found.double() - real.double()).square().sum())

    def agreement(self) -> Agreement:
        """Return the agreement over all batches."""
        return Agreement(self.n, self.same, {self.name: sqnr_db(self.signal, self.noise)})


@dataclass(frozen=True)
class Classify:
    """The task of networks with one output [N, classes]; labels are class indices [N] int64."""

    name: str = "classify"
    rank: int = 0
    needs_labels: bool = True
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
                f" {' and '.join(str(list(shape)) for shape in outputs)}: leave --eval out"
            )
        if labels is None:
            return None
        try:
            dtype = torch.as_tensor(labels).dtype
        except (TypeError, ValueError, RuntimeError) as error:
            return f"the labels are no class indices: {error}"
        return None if dtype in INTEGERS else f"the labels are {dtype}: give class indices"

    def labels(self, dataset: Dataset, outputs: Shapes) -> Sequence[int | None]:
        """Return the class indices; raise DataError where one is none of the network's."""
        check_labels(dataset, outputs[0][1])
        return [item.label for item in dataset.items]

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
        classes = scores.shape[1]
        wrong = labels[(labels < 0) | (labels >= classes)]
        if len(wrong):
            raise DataError(
                f"class index {int(wrong[0])} is out of range: the network has {classes} classes"
                f" (0..{classes - 1})"
            )

    def meter(self, names: Sequence[str]) -> Accuracy:
        """Return a new meter of accuracy."""
        return Accuracy()

    def beside(self, names: Sequence[str]) -> SameClass:
        """Return a new comparison of two networks."""
        return SameClass(names[0])

    def told(self, agreement: Agreement) -> dict[str, float]:
        """Return nothing: a report states the agreement itself, and the output's SQNR."""
        return {}

    def loss(self, outputs: Outputs, labels: Labels) -> Tensor:
        """Return the cross entropy of the labels, in nats, []."""
        return F.cross_entropy(outputs[0], labels)


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


def _best(scores: Tensor) -> Tensor:
    return scores.argsort(dim=1, descending=True, stable=True)[:, 0]
