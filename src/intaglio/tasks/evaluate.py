"""One network measured by its task, and two side by side on the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.errors import DataError, RequestError
from intaglio.tasks.task import Agreement, Labels, Outputs, Task, task_for

Network = Callable[[Tensor], Tensor | Sequence[Tensor]]
"""Images [N, C, H, W] -> one output, or several."""

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


@dataclass(frozen=True)
class Compared:
    """A float network and its integer network on the same images.

    Attributes:
        float_figures, figures: Of each, by their names in report.json.
        agreement: Of the two; `agreement.n` images.
    """

    float_figures: dict[str, float]
    figures: dict[str, float]
    agreement: Agreement


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
    meters = task.meter(names), task.meter(names)
    beside = task.beside(names)
    n = 0
    for images, labels in batches:
        with torch.no_grad():
            both = listed(real(images)), listed(integer(images))
        for outputs, meter in zip(both, meters, strict=True):
            task.check(outputs, labels)
            meter.add(outputs, labels)
        beside.add(*both)
        n += len(images)
        seen(len(images))
    if not n:
        raise DataError(NOTHING)
    agreement = beside.agreement()
    float_figures, figures = (meter.figures() for meter in meters)
    return Compared(float_figures, {**figures, **task.told(agreement)}, agreement)


def listed(made: Tensor | Sequence[Tensor]) -> Outputs:
    """Return what a network returned as a list of its outputs.

    Raises:
        RequestError: If it is no tensor and no sequence of them.
    """
    outputs = [made] if isinstance(made, Tensor) else made
    if not isinstance(outputs, tuple | list) or not all(isinstance(x, Tensor) for x in outputs):
        raise RequestError(
            f"the network returns a {type(made).__name__}: evaluation takes a tensor, or several"
        )
    return outputs
