"""Accuracy of classifiers, and of two side by side on the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.errors import DataError, NonFiniteError, RequestError

Network = Callable[[Tensor], Tensor]
"""Images [N, C, H, W] -> scores [N, classes]."""

LabelledBatch = tuple[Tensor, Tensor]
"""(images [N, C, H, W], labels [N] int64)."""


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

    @property
    def top1(self) -> float:
        """Percent of images whose label has the highest score."""
        return 100.0 * self.right1 / self.n

    @property
    def top5(self) -> float:
        """Percent of images whose label is among the five highest scores."""
        return 100.0 * self.right5 / self.n

    def add(self, scores: Tensor, labels: Tensor) -> None:
        """Count one batch; of equal scores the lower class index wins."""
        order = scores.argsort(dim=1, descending=True, stable=True)
        hits = order[:, :5] == labels.reshape(-1, 1)
        self.n += len(labels)
        self.right1 += int(hits[:, 0].sum())
        self.right5 += int(hits.any(dim=1).sum())


@dataclass
class Comparison:
    """Two networks on the same images.

    Attributes:
        first, second: Accuracy of each.
        same: Images for which both name the same class.
    """

    first: Accuracy
    second: Accuracy
    same: int = 0

    @property
    def agreement(self) -> float:
        """Percent of images for which both name the same class."""
        return 100.0 * self.same / self.first.n


def accuracy(network: Network, batches: Iterable[LabelledBatch]) -> Accuracy:
    """Return the accuracy of one network over all batches, each seen once.

    Raises:
        DataError: If a label is no class of the network, or there is no image.
        NonFiniteError: If a score is NaN.
    """
    found = Accuracy()
    for images, labels in batches:
        scores = network(images)
        check_scores(scores, labels)
        found.add(scores, labels)
    _refuse_none(found)
    return found


def compare(
    first: Network,
    second: Network,
    batches: Iterable[LabelledBatch],
    *,
    seen: Callable[[int], None] = lambda count: None,
) -> Comparison:
    """Return the accuracy of two networks, and how often they agree; `seen` is told of each batch.

    Raises:
        DataError: If a label is no class of the networks, or there is no image.
        NonFiniteError: If a score is NaN.
    """
    found = Comparison(Accuracy(), Accuracy())
    for images, labels in batches:
        with torch.no_grad():
            scores = first(images), second(images)
        for side, part in zip((found.first, found.second), scores, strict=True):
            check_scores(part, labels)
            side.add(part, labels)
        best = [_best(part) for part in scores]
        found.same += int((best[0] == best[1]).sum())
        seen(len(labels))
    _refuse_none(found.first)
    return found


def check_scores(scores: Tensor, labels: Tensor) -> None:
    """Raise where scores and labels do not belong together."""
    if not isinstance(scores, Tensor) or scores.ndim != 2:
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise RequestError(
            f"accuracy needs a classifier with one output [N, classes], this network gives {shape}:"
            " leave --eval out"
        )
    if bool(scores.isnan().any()):
        raise NonFiniteError(
            "the network gives NaN on an image to evaluate on: check its weights and the"
            " preprocessing"
        )
    classes = scores.shape[1]
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise DataError(
            f"class index {int(wrong[0])} is out of range: the network has {classes} classes"
            f" (0..{classes - 1})"
        )


def _best(scores: Tensor) -> Tensor:
    return scores.argsort(dim=1, descending=True, stable=True)[:, 0]


def _refuse_none(found: Accuracy) -> None:
    if found.n == 0:
        raise DataError("there are no images to evaluate on: the data is empty")
