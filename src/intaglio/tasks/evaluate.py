"""One network measured by its task, and two side by side on the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from pydantic import JsonValue
from torch import Tensor

from intaglio.errors import DataError, RequestError
from intaglio.report.figures import FLOAT
from intaglio.report.shown import NOTHING as NOTHING_SHOWN
from intaglio.report.shown import Shown
from intaglio.tasks.judgement import Judgement, Loss, paired_loss, unpaired_loss
from intaglio.tasks.task import (
    Agreement,
    Labels,
    Meter,
    Outputs,
    Resampled,
    Showing,
    Task,
    task_for,
)

Made = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
Network = Callable[[Tensor], Made]
"""Images [N, C, H, W] -> one output, or several, maybe by their names."""

NOTHING = "there are no images to evaluate on: the data is empty"


def evaluate(
    network: Network,
    batches: Iterable[Tensor | tuple[Tensor, Labels]],
    task: Task | None = None,
) -> dict[str, float]:
    """Return the figures of one network over all batches, each seen once, and `n`, the images.

    Names are those of report.json. Outputs without a name are told by their number.

    Args:
        network: What is called with the images of a batch.
        batches: (images [N, C, H, W], labels) each.
        task: What is measured; None: what the outputs and labels of the first batch fit.

    Raises:
        RequestError: If there is no image, an output is NaN, or labels do not belong to outputs.
    """
    meter = None
    n = 0
    for batch in batches:
        images, labels = (batch, None) if isinstance(batch, Tensor) else batch
        with torch.no_grad():
            outputs = listed(network(images))
        if meter is None:
            task = task or task_for([tuple(output.shape) for output in outputs], labels)
            meter = task.meter([str(number) for number in range(len(outputs))])
        assert task is not None
        task.check(outputs, labels)
        meter.add(outputs, labels)
        n += len(images)
    if meter is None or not n:
        raise DataError(NOTHING)
    figures = meter.figures()
    if not figures:
        raise DataError(
            "a network alone has no figures without labels: give (images, labels), the labels of"
            " the shapes of the outputs"
        )
    return {**figures, "n": n}


class SideBySide:
    """A float network and its integer network, output by output of the same images."""

    def __init__(self, task: Task, names: Sequence[str], *, is_told: bool) -> None:
        """Begin.

        Args:
            names: Of the outputs.
            is_told: Whether the user, or labels, said what the network is for.
        """
        self.task, self.is_told, self.n = task, is_told, 0
        self.meters = task.meter(names), task.meter(names)
        self._beside = task.beside(names, is_told=is_told)
        self._is_labelled = False

    def add(self, real: Outputs, found: Outputs, labels: Labels) -> None:
        """Take in what both give for a batch that the task's `check` has passed."""
        self._beside.add(real, found)
        self.n += len(real[0])
        if labels is not None:
            self._is_labelled = True
            for outputs, meter in zip((real, found), self.meters, strict=True):
                meter.add(outputs, labels)

    def look(self, images: Tensor) -> None:
        """Keep, where the task has such, what a page shows of the batch that was added last."""
        real, found = self.meters
        if self._is_labelled and isinstance(found, Showing):
            found.look(real, images)

    def shown(self, preprocess: Mapping[str, JsonValue] | None = None) -> Shown:
        """Return what there is to show beside figures; of a task without such things nothing.

        Args:
            preprocess: How images were prepared, as a report has it; None where it is not known.
        """
        real, found = self.meters
        if not (self._is_labelled and isinstance(found, Showing)):
            return NOTHING_SHOWN
        return found.shown(real, self._beside.agreement(), preprocess or {})

    def figures(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return the figures of the float network and of the other; empty without labels."""
        if not self._is_labelled:
            return {}, {}
        real, found = (meter.figures() for meter in self.meters)
        return real, found

    def judgement(self) -> Judgement:
        """Return what is known over all batches."""
        agreement = self._beside.agreement() if self.n else Agreement(0, None, {})
        is_labelled = self._is_labelled and self.task.has_metric
        return Judgement(
            n=self.n,
            agreement=agreement,
            disagreements_a_point=self.task.disagreements_a_point,
            is_told=self.is_told,
            labelled=_loss(*self.meters, self.n) if is_labelled else None,
            figures=_wished(*self.figures()) if is_labelled else {},
            by_image=self.meters[1].by_image() if is_labelled else None,
        )


def _loss(real: Meter, found: Meter, n: int) -> Loss | None:
    """Return the points lost; None where the float network shows none that could be lost."""
    figure = next(iter(real.figures().values()), None)
    if figure is None or figure <= real.chance():
        return None
    if isinstance(found, Resampled):
        return Loss(found.lost(real), found.error_against(real))
    images = real.by_image(), found.by_image()
    if images[0] is None or images[1] is None:
        return unpaired_loss(found.lost(real), n)
    return paired_loss(images[0], images[1])


def _wished(real: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
    if not found:
        return {}
    name, value = next(iter(found.items()))
    return {name: value, f"{FLOAT}{name}": real[name]}


@dataclass(frozen=True)
class Compared:
    """A float network and its integer network on the same images.

    Attributes:
        float_figures, figures: Of each, by their names in report.json; empty without labels.
        judgement: Of the two.
        shown: What there is to show beside.
    """

    float_figures: dict[str, float]
    figures: dict[str, float]
    judgement: Judgement
    shown: Shown = field(default=NOTHING_SHOWN)


def compare(
    real: Network,
    integer: Network,
    batches: Iterable[tuple[Tensor, Labels]],
    task: Task,
    *,
    names: Sequence[str],
    seen: Callable[[int], None] = lambda count: None,
) -> Compared:
    """Return the figures of two networks over all batches, and how they agree.

    Args:
        real: The float network.
        names: Of the outputs.
        seen: Told of each batch's images.

    Raises:
        RequestError: As `evaluate`.
    """
    (both,) = side_by_side(real, [integer], batches, task, names=names, seen=seen)
    return compared(both)


def compared(both: SideBySide, preprocess: Mapping[str, JsonValue] | None = None) -> Compared:
    """Return what two networks came to; `preprocess` as of `SideBySide.shown`."""
    return Compared(*both.figures(), both.judgement(), both.shown(preprocess))


def side_by_side(
    real: Network,
    others: Sequence[Network],
    batches: Iterable[tuple[Tensor, Labels]],
    task: Task,
    *,
    names: Sequence[str],
    seen: Callable[[int], None] = lambda count: None,
    looks: bool = False,
) -> list[SideBySide]:
    """Return each of the other networks beside the float one, which is run once for all of them.

    Args:
        others: The float one itself may be among them; it is not run again.
        looks: Whether what a page shows of the first of them is kept.

    Other arguments, Raises: As `compare`.
    """
    sides = [SideBySide(task, names, is_told=True) for _ in others]
    n = 0
    for images, labels in batches:
        with torch.no_grad():
            given = listed(real(images))
            found = [given if other is real else listed(other(images)) for other in others]
        for outputs in (given, *found):
            task.check(outputs, labels)
        for side, outputs in zip(sides, found, strict=True):
            side.add(given, outputs, labels)
        if looks:
            sides[0].look(images)
        n += len(images)
        seen(len(images))
    if not n:
        raise DataError(NOTHING)
    return sides


def listed(made: Made) -> Outputs:
    """Return what a network returned as a list of its outputs.

    Raises:
        RequestError: If it is no tensor, and no sequence or dict of them.
    """
    outputs = [made] if isinstance(made, Tensor) else made
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    if not isinstance(outputs, tuple | list) or not all(isinstance(x, Tensor) for x in outputs):
        raise RequestError(
            f"the network returns a {type(made).__name__}: evaluation takes a tensor, or several"
        )
    return outputs
