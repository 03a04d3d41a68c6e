"""Any other network: maps, regression, several outputs. What counts is how near the values are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from intaglio.data.batches import target_batches
from intaglio.data.dataset import Dataset
from intaglio.errors import DataError, NonFiniteError, RequestError
from intaglio.report.figures import Figure, Wording
from intaglio.tasks.deviation import Deviation
from intaglio.tasks.task import TASKS, Agreement, Labels, Outputs, Shapes


@dataclass
class Deviations:
    """Compares two networks, each output by itself.

    Attributes:
        names: Of the outputs.
        n: Images.
    """

    names: Sequence[str]
    n: int = 0
    _outputs: list[Deviation] = field(default_factory=list)

    def add(self, float_outputs: Outputs, outputs: Outputs) -> None:
        """Compare one batch."""
        self._outputs = self._outputs or [Deviation() for _ in float_outputs]
        self.n += len(float_outputs[0])
        for sums, real, found in zip(self._outputs, float_outputs, outputs, strict=True):
            sums.add(real, found)

    def agreement(self) -> Agreement:
        """Return the agreement over all batches; there is no `same`."""
        pairs = zip(self.names, self._outputs, strict=False)
        noise, grouped = {}, []
        for name, sums in pairs:
            lowest = sums.lowest_db
            if lowest is not None:
                noise[name] = lowest
                grouped += [name] if len(sums.groups()) > 1 else []
        return Agreement(self.n, None, noise, grouped=tuple(grouped))


@dataclass
class Errors:
    """Root mean square error of each output against its targets.

    Attributes:
        names: Of the outputs.
    """

    names: Sequence[str]
    _squares: list[float] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)

    def add(self, outputs: Outputs, labels: Labels) -> None:
        """Count one batch; without labels there is nothing to count."""
        if labels is None:
            return
        self._squares = self._squares or [0.0] * len(outputs)
        self._counts = self._counts or [0] * len(outputs)
        for index, (output, target) in enumerate(zip(outputs, _tensors(labels), strict=True)):
            self._squares[index] += float((output.double() - target.double()).square().sum())
            self._counts[index] += output.numel()

    def figures(self) -> dict[str, float]:
        """Return the errors, in the outputs' own units; none where there were no labels."""
        sums = zip(self.names, self._squares, self._counts, strict=False)
        return {f"rmse.{name}": math.sqrt(square / count) for name, square, count in sums if count}

    def lost(self, real: Errors) -> float:
        """Return by how much the error of the first output has grown."""
        own, other = self.figures(), real.figures()
        return next((own[name] - other[name] for name in own), 0.0)

    def by_image(self) -> None:
        """Return None: no wish is about these errors, which have the outputs' units."""

    def chance(self) -> float:
        """Return 0: no answer is the same for all."""
        return 0.0


@dataclass(frozen=True)
class Values:
    """The task of every network; labels are targets of its outputs' shapes, or there are none.

    Without labels the integer network is held against the float one. With them both have errors.
    """

    name: str = "values"
    rank: int = 100
    needs_labels: bool = False
    has_metric: bool = False
    wording: Wording = field(default=Wording(figures={"rmse": Figure("RMS error")}))
    disagreements_a_point: float = math.inf

    def misfit(self, outputs: Shapes, labels: Labels) -> str | None:
        """Return why the labels are no targets; outputs are always right."""
        if labels is None:
            return None
        given = labels if isinstance(labels, tuple | list) else [labels]
        are_tensors = all(isinstance(part, Tensor) for part in given)
        wanted = [list(shape[1:]) for shape in outputs]
        if are_tensors and [list(part.shape[1:]) for part in given] == wanted:
            return None
        said = " and ".join(str(["N", *shape]).replace("'", "") for shape in wanted)
        return f"values are compared with targets of their own shapes, here {said}"

    def labels(self, dataset: Dataset, outputs: Shapes) -> Sequence[None]:
        """Return None for each image: no data set on disk holds targets."""
        return [None] * len(dataset)

    def batches(self, data: Any, sample_shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Labels]]:
        """Yield (images, targets or None) a batch; what is given may be images alone."""
        return target_batches(data, sample_shape)

    def check(self, outputs: Outputs, labels: Labels) -> None:
        """Make sure that no output has NaN, and that targets have the shapes of the outputs.

        Raises:
            NonFiniteError: If an output is NaN.
            DataError: If the targets are misfit.
        """
        if any(bool(output.isnan().any()) for output in outputs):
            raise NonFiniteError(
                "the network gives NaN on an image to evaluate on: check its weights and the"
                " preprocessing"
            )
        shapes = [tuple(output.shape) for output in outputs]
        reason = self.misfit(shapes, labels)
        if reason is not None:
            raise DataError(reason)

    def meter(self, names: Sequence[str]) -> Errors:
        """Return a new meter of errors."""
        return Errors(names)

    def beside(self, names: Sequence[str], *, is_told: bool) -> Deviations:
        """Return a new comparison of two networks."""
        return Deviations(names)

    def loss(self, outputs: Outputs, labels: Labels, *, smoothing: float = 0.0) -> Tensor:
        """Return the mean over outputs of squared error over squared deviation of the targets, [].

        So that outputs in different units count alike.

        Raises:
            RequestError: If there is smoothing.
        """
        if smoothing:
            raise RequestError(
                f"smoothing = {smoothing:g} spreads labels over classes, and targets of task"
                f" '{self.name}' are none: train with smoothing = 0"
            )
        parts = []
        for output, target in zip(outputs, _tensors(labels), strict=True):
            spread = (target - target.mean()).square().mean()
            error = (output - target).square().mean()
            parts.append(error / spread if bool(spread > 0) else error)
        return torch.stack(parts).mean()

    def distance(
        self, outputs: Outputs, float_outputs: Outputs, *, temperature: float = 1.0
    ) -> Tensor:
        """Return the loss with the float network's outputs as targets, []; nothing is warmer."""
        return self.loss(outputs, float_outputs)


VALUES = Values()
TASKS.register(VALUES.name)(VALUES)


def _tensors(labels: Labels) -> Sequence[Tensor]:
    return [labels] if isinstance(labels, Tensor) else list(labels)
