"""Which of two integer networks is better, on images that neither was tuned on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from intaglio.ir.graph import Graph
from intaglio.numerics.metrics import sqnr_db
from intaglio.run.float import run_float
from intaglio.run.twin import IMAGES_AT_ONCE, Twin

DISAGREEMENTS_A_POINT = 3.0
"""Without labels, how many points of disagreement count as one point of accuracy lost.

An image whose class changes was often wrong before. Over the tools and settings measured on
MobileNetV2 (n = 1150) a point of accuracy went with 3.3 to 6 points of disagreement down to 90 %
agreement, so that 3 errs on the safe side.
"""


@dataclass(frozen=True)
class Verdict:
    """One integer network beside the float one on the judged images.

    Attributes:
        n: Images.
        same: Those for which both name the same class.
        right, float_right: Those that each gets right; None without labels.
        sqnr_db: Of the outputs.
    """

    n: int
    same: int
    sqnr_db: float
    right: int | None = None
    float_right: int | None = None

    @property
    def drop(self) -> float:
        """Points of accuracy lost; without labels, a cautious estimate from disagreement."""
        if self.n == 0:
            return 0.0
        if self.right is not None and self.float_right is not None:
            return 100.0 * (self.float_right - self.right) / self.n
        return 100.0 * (self.n - self.same) / self.n / DISAGREEMENTS_A_POINT

    def meets(self, max_drop: float) -> bool:
        """Whether no more than `max_drop` points are lost on these images."""
        return self.n > 0 and self.drop <= max_drop

    def surely_meets(self, max_drop: float) -> bool:
        """Whether enough images say so.

        That 24 images all agree says little about one point: by the rule of succession
        (changed + 1) / (n + 1) of all others may differ, and a third of that has to be within the
        wish. Where there are labels they decide alone once the standard error of the accuracy lost
        is within the wish.
        """
        if not self.meets(max_drop):
            return False
        changed = self.n - self.same
        expected = 100.0 * (changed + 1) / (self.n + 1) / DISAGREEMENTS_A_POINT
        error = 100.0 * math.sqrt(changed + 1) / self.n
        return expected <= max_drop or (self.right is not None and error <= max_drop)

    def is_better_than(self, other: Verdict) -> bool:
        """Whether it loses less; where the difference is within its own standard error, by SQNR.

        On n images two networks that differ in k answers have accuracies that differ by
        0 +- sqrt(k) / n: on a few hundred images top-1 alone would choose by luck.
        """
        if self.n:
            changed = 2 * self.n - self.same - other.same
            error = 100.0 * math.sqrt(max(changed, 1)) / self.n
            if abs(self.drop - other.drop) > error:
                return self.drop < other.drop
        return self.sqnr_db > other.sqnr_db

    def figures(self) -> dict[str, Any]:
        """Return what a report states: agreement, sqnr_db, and accuracies where there are labels.

        Percent and decibels.
        """
        found: dict[str, Any] = {"sqnr_db": self.sqnr_db}
        if self.n:
            found["agreement"] = 100.0 * self.same / self.n
        if self.n and self.right is not None and self.float_right is not None:
            found["top1"] = 100.0 * self.right / self.n
            found["float_top1"] = 100.0 * self.float_right / self.n
        return found

    def against(self, max_drop: float) -> str:
        """Say how far it is from the wish."""
        if not self.n:
            return "there were too few images to judge on"
        if self.right is not None:
            return f"{self.drop:.1f} points lost on {self.n} images, wished at most {max_drop:g}"
        agreement = 100.0 * self.same / self.n
        return (
            f"{agreement:.1f} % agreement with the float network on {self.n} images, wished at"
            f" least {100.0 - DISAGREEMENTS_A_POINT * max_drop:g} %"
        )


class Judge:
    """The float network's answers, computed once, and verdicts against them."""

    def __init__(self, graph: Graph, images: Tensor, labels: Tensor | None) -> None:
        """Run the float graph on the images [M, C, H, W]; labels [M] int64, or None."""
        self.images, self.labels = images, labels
        self.floats = [
            run_float(graph, piece) for piece in torch.split(images, IMAGES_AT_ONCE) if len(piece)
        ]

    def of(self, twin: Twin) -> Verdict:
        """Return the verdict on a twin.

        A network with several outputs, or one that is no classifier, is judged by SQNR alone.
        """
        same = right = float_right = 0
        signal = noise = 0.0
        pieces = torch.split(self.images, IMAGES_AT_ONCE)
        for index, (piece, floats) in enumerate(zip(pieces, self.floats, strict=False)):
            made = twin(piece)
            outputs = [made] if isinstance(made, Tensor) else list(made)
            for real, found in zip(floats, outputs, strict=True):
                signal += float(real.double().square().sum())
                noise += float((found.double() - real.double()).square().sum())
            if self.classifies:
                best, found_best = floats[0].argmax(1), outputs[0].argmax(1)
                same += int((best == found_best).sum())
                if self.labels is not None:
                    known = self.labels[index * IMAGES_AT_ONCE :][: len(piece)]
                    right += int((found_best == known).sum())
                    float_right += int((best == known).sum())
        labelled = self.classifies and self.labels is not None
        return Verdict(
            n=len(self.images) if self.classifies else 0,
            same=same,
            sqnr_db=sqnr_db(signal, noise) if self.floats else 0.0,
            right=right if labelled else None,
            float_right=float_right if labelled else None,
        )

    @property
    def classifies(self) -> bool:
        """Whether the network has one output, [N, classes]."""
        return bool(self.floats) and len(self.floats[0]) == 1 and self.floats[0][0].ndim == 2
