"""Which of two integer networks is better, on images that neither was tuned on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from intaglio.ir.graph import Graph
from intaglio.report.figures import FLOAT
from intaglio.run.float import run_float
from intaglio.run.twin import IMAGES_AT_ONCE, Twin
from intaglio.tasks.evaluate import listed
from intaglio.tasks.task import Meter, Outputs, Task, output_shapes, task_for


@dataclass(frozen=True)
class Verdict:
    """One integer network beside the float one on the judged images.

    Attributes:
        n: Images; 0 where the task cannot say of an image that both networks say the same.
        same: Those for which both say the same.
        sqnr_db: Of the output that has the lowest.
        disagreements_a_point: As the task has it.
        lost: Points of the task's figure lost; None without labels.
        figures: That figure of both, by their names in report.json; empty without labels.
    """

    n: int
    same: int
    sqnr_db: float
    disagreements_a_point: float
    lost: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def agreement(self) -> float | None:
        """Percent of images for which both say the same."""
        return 100.0 * self.same / self.n if self.n else None

    @property
    def drop(self) -> float:
        """Points lost; without labels, a cautious estimate from disagreement."""
        if self.n == 0:
            return 0.0
        if self.lost is not None:
            return self.lost
        return 100.0 * (self.n - self.same) / self.n / self.disagreements_a_point

    def meets(self, max_drop: float) -> bool:
        """Whether no more than `max_drop` points are lost on these images."""
        return self.n > 0 and self.drop <= max_drop

    def surely_meets(self, max_drop: float) -> bool:
        """Whether enough images say so.

        That 24 images all agree says little about one point: by the rule of succession
        (changed + 1) / (n + 1) of all others may differ, and what that costs has to be within the
        wish. Where there are labels they decide alone once the standard error of the points lost
        is within the wish.
        """
        if not self.meets(max_drop):
            return False
        changed = self.n - self.same
        expected = 100.0 * (changed + 1) / (self.n + 1) / self.disagreements_a_point
        error = 100.0 * math.sqrt(changed + 1) / self.n
        return expected <= max_drop or (self.lost is not None and error <= max_drop)

    def is_better_than(self, other: Verdict) -> bool:
        """Whether it loses less; where the difference is within its own standard error, by SQNR.

        On n images two networks that differ in k answers have figures that differ by
        0 +- sqrt(k) / n: on a few hundred images the figure alone would choose by luck.
        """
        if self.n:
            changed = 2 * self.n - self.same - other.same
            error = 100.0 * math.sqrt(max(changed, 1)) / self.n
            if abs(self.drop - other.drop) > error:
                return self.drop < other.drop
        return self.sqnr_db > other.sqnr_db

    def against(self, max_drop: float) -> str:
        """Say how far it is from the wish."""
        if not self.n:
            return "there were too few images to judge on"
        if self.lost is not None:
            return f"{self.drop:.1f} points lost on {self.n} images, wished at most {max_drop:g}"
        return (
            f"{self.agreement:.1f} % agreement with the float network on {self.n} images, wished at"
            f" least {100.0 - self.disagreements_a_point * max_drop:g} %"
        )


class Judge:
    """The float network's answers, computed once, and verdicts against them."""

    def __init__(
        self, graph: Graph, images: Tensor, labels: Tensor | None, task: Task | None = None
    ) -> None:
        """Run the float graph on the images [M, C, H, W].

        Args:
            labels: Class indices of the images, [M] int64, or None; a task that takes other labels
                does without.
            task: None: the first that the outputs fit.
        """
        shapes = output_shapes(graph)
        self.task = task or task_for(shapes)
        self.names = list(graph.outputs)
        self.images = images
        are_its = self.task.needs_labels and self.task.misfit(shapes, labels) is None
        self.labels = labels if are_its else None
        self.floats = [
            run_float(graph, piece) for piece in torch.split(images, IMAGES_AT_ONCE) if len(piece)
        ]
        self._real = self.task.meter(self.names)
        for index, outputs in enumerate(self.floats):
            self._count(self._real, index, outputs)

    def of(self, twin: Twin) -> Verdict:
        """Return the verdict on a twin.

        Each output is judged by itself; of their SQNR the lowest counts. A network whose task
        cannot say of an image that both say the same is judged by that SQNR alone.
        """
        meter, beside = self.task.meter(self.names), self.task.beside(self.names)
        pieces = torch.split(self.images, IMAGES_AT_ONCE)
        for index, (piece, floats) in enumerate(zip(pieces, self.floats, strict=False)):
            outputs = listed(twin(piece))
            beside.add(floats, outputs)
            self._count(meter, index, outputs)
        found = beside.agreement()
        is_counted = self.labels is not None and bool(self.floats)
        return Verdict(
            n=0 if found.same is None or not self.floats else found.n,
            same=found.same or 0,
            sqnr_db=min(found.sqnr_db.values(), default=0.0) if self.floats else 0.0,
            disagreements_a_point=self.task.disagreements_a_point,
            lost=meter.lost(self._real) if is_counted else None,
            figures=self._figures(meter) if is_counted else {},
        )

    def _count(self, meter: Meter, index: int, outputs: Outputs) -> None:
        """Count a piece of the images, where there are labels."""
        if self.labels is not None:
            first = index * IMAGES_AT_ONCE
            meter.add(outputs, self.labels[first : first + IMAGES_AT_ONCE])

    def _figures(self, meter: Meter) -> dict[str, float]:
        """Return the figure that a wish is about, of both networks."""
        name, value = next(iter(meter.figures().items()))
        return {name: value, f"{FLOAT}{name}": self._real.figures()[name]}
