"""A task of the third party: networks that name two points in the image, (x, y) each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from intaglio.data.dataset import Dataset
from intaglio.errors import DataError, NonFiniteError, RequestError
from intaglio.numerics.metrics import sqnr_db
from intaglio.report.figures import Wording, percentage
from intaglio.report.parts import ReportData
from intaglio.report.section import Facts, Section
from intaglio.tasks.task import TASKS, Agreement, Outputs, Shapes

NEAR = 0.1


def told_points(report: ReportData) -> list[Section]:
    """Return the section that the task adds to reports."""
    if "near" not in report.integer.figures:
        return []
    lost = report.float.figures["near"] - report.integer.figures["near"]
    return [Section("points", "Points", Facts((("Points lost", f"{lost:.2f} %"),)))]


@dataclass
class NearPoints:
    """Counts the points that lie near where they should."""

    points: int = 0
    near: int = 0

    def add(self, outputs: Outputs, labels: Tensor) -> None:
        """Count one batch; labels [N, 2, 2]."""
        found = torch.stack(list(outputs), 1)  # [N, point, (x, y)]
        self.near += int(((found - labels).norm(dim=2) <= NEAR).sum())
        self.points += labels.shape[0] * 2

    def figures(self) -> dict[str, float]:
        """Return the percent of points that are near."""
        return {"near": 100.0 * self.near / self.points}

    def lost(self, real: NearPoints) -> float:
        """Return percent of points lost."""
        return 100.0 * (real.near - self.near) / self.points

    def by_image(self) -> None:
        """Return None: what each image adds was not kept."""

    def chance(self) -> float:
        """Return 0: no two points are near to all."""
        return 0.0


@dataclass
class SamePoints:
    """Compares the points of two networks."""

    names: Sequence[str]
    n: int = 0
    same: int = 0
    power: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0], [0.0, 0.0]])

    def add(self, float_outputs: Outputs, outputs: Outputs) -> None:
        """Compare one batch."""
        pairs = list(zip(float_outputs, outputs, strict=True))
        near = [(real - found).norm(dim=1) <= NEAR for real, found in pairs]
        self.n, self.same = self.n + len(near[0]), self.same + int((near[0] & near[1]).sum())
        for sums, (real, found) in zip(self.power, pairs, strict=True):
            sums[0] += float(real.double().square().sum())
            sums[1] += float((found - real).double().square().sum())

    def agreement(self) -> Agreement:
        """Return the agreement over all batches."""
        noise = {name: sqnr_db(*sums) for name, sums in zip(self.names, self.power, strict=True)}
        return Agreement(self.n, self.same, noise)


@dataclass(frozen=True)
class Points:
    """Two outputs [N, 2]; labels are [N, 2, 2], float32."""

    name: str = "points"
    rank: int = 50
    needs_labels: bool = True
    has_metric: bool = True
    wording: Wording = field(
        default_factory=lambda: Wording(
            {"near": percentage("Points within a tenth")}, percentage("Same points"), told_points
        )
    )
    disagreements_a_point: float = 1.0

    def misfit(self, outputs: Shapes, labels: Any) -> str | None:
        """Return why outputs or labels are no points."""
        if [tuple(shape[1:]) for shape in outputs] != [(2,), (2,)]:
            return "points are two outputs [N, 2]"
        if labels is not None and tuple(torch.as_tensor(labels).shape[1:]) != (2, 2):
            return "labels of points are [N, 2, 2]"
        return None

    def labels(self, dataset: Dataset, outputs: Shapes) -> Sequence[Any]:
        """Refuse: a data set of files names no points."""
        raise DataError("points come from Python alone: give evaluate=(images, points)")

    def batches(self, data: Any, sample_shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images, points) a batch."""
        images, points = data
        yield from zip(images.split(8), points.split(8), strict=True)

    def check(self, outputs: Outputs, labels: Any) -> None:
        """Raise where an output is NaN."""
        if any(bool(output.isnan().any()) for output in outputs):
            raise NonFiniteError("a point is NaN")

    def meter(self, names: Sequence[str]) -> NearPoints:
        """Return a new meter."""
        return NearPoints()

    def beside(self, names: Sequence[str], *, is_told: bool) -> SamePoints:
        """Return a new comparison."""
        return SamePoints(names)

    def loss(self, outputs: Outputs, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Return the mean squared distance."""
        if smoothing:
            raise RequestError("points are no classes: train with smoothing = 0")
        return (torch.stack(list(outputs), 1) - labels).square().sum(2).mean()

    def distance(
        self, outputs: Outputs, float_outputs: Outputs, *, temperature: float = 1.0
    ) -> Tensor:
        """Return the mean squared distance to the float network's points."""
        return self.loss(outputs, torch.stack(list(float_outputs), 1))


TASKS.register("points")(Points())
