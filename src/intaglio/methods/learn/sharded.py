"""Images measured by several processes together, each image by one of them, once.

Each runs the network on its part of a batch. What it gives is gathered to the whole batch, in the
order of the images, and counted by the task's meter in every process: the meter takes in what it
would take in where one process does it all, and all processes have the same figures. In memory is a
batch at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from intaglio.data.packed_masks import MASK_PARTS, packed_masks, unpacked_masks
from intaglio.data.packed_truths import PARTS, packed_truths, unpacked_truths
from intaglio.data.samples import Samples
from intaglio.data.seen import are_truths
from intaglio.data.seen_mask import are_masks
from intaglio.errors import DataError
from intaglio.methods.learn.processes import Processes
from intaglio.tasks.evaluate import NOTHING
from intaglio.tasks.task import Labels, Outputs, Task

Network = Callable[[Tensor], Outputs]
"""Images [N, C, H, W], N >= 1 -> outputs [N, ...] in order, on any device."""

NO_LABELS, ONE_TENSOR, SEVERAL, BOXES, MASKS = range(5)
"""Forms of a batch's labels: none, a tensor [N, ...], several such, or of each image its boxes or
its mask."""


def measured_by_parts(
    network: Network,
    samples: Samples,
    *,
    indices: Sequence[int],
    task: Task,
    names: Sequence[str],
    processes: Processes,
    batch: int,
) -> dict[str, float]:
    """Return the task's figures over all images, and `n`, the images; the same in all processes.

    To the image what one process finds, as far as the network gives an image the same whatever
    stands beside it in a batch.

    Args:
        network: What is measured; in its measuring mode, if it has one.
        samples: Where images are from, the same in all processes.
        indices: Which; those that cannot be read are left out where `samples` passes over them.
        task: Whose figures.
        names: Of the outputs.
        processes: Those that measure; all of them call this.
        batch: Images at a time, over all processes together.

    Raises:
        DataError: If no image could be read, or labels have a form that is not known here.
        RequestError: If outputs are NaN, or labels do not belong to them.
    """
    meter, n = task.meter(names), 0
    for outputs, labels in whole_batches(
        network, samples, indices=indices, processes=processes, batch=batch
    ):
        task.check(outputs, labels)
        meter.add(outputs, labels)
        n += len(outputs[0])
    if not n:
        raise DataError(NOTHING)
    return {**meter.figures(), "n": n}


def whole_batches(
    network: Network,
    samples: Samples,
    *,
    indices: Sequence[int],
    processes: Processes,
    batch: int,
) -> Iterator[tuple[Outputs, Labels]]:
    """Yield (outputs, labels) a batch, in the order of the images, on the CPU, in each process.

    Every process has to take all batches. The network is called with this process's images alone,
    and not at all where it has none of a batch. For arguments and errors see `measured_by_parts`.
    """
    for start in range(0, len(indices), batch):
        whole = indices[start : start + batch]
        own = _own(network, samples, whole[processes.part(len(whole))])
        parts = [part for part in processes.gathered(own) if part]
        if parts:
            yield _joined(parts)


def _own(network: Network, samples: Samples, indices: Sequence[int]) -> list[Tensor]:
    """Return (how many outputs, form of labels) as a tensor, outputs and labels; or nothing."""
    if not len(indices):
        return []
    taken = samples.take(indices)
    if not len(taken.images):
        return []
    with torch.no_grad():
        outputs = [output.cpu() for output in network(taken.images)]
    form, labels = _listed(taken.labels)
    return [torch.tensor([len(outputs), form]), *outputs, *labels]


def _listed(labels: Labels) -> tuple[int, list[Tensor]]:
    """Return the form of labels, and their tensors."""
    if labels is None:
        return NO_LABELS, []
    if isinstance(labels, Tensor):
        return ONE_TENSOR, [labels]
    if are_truths(labels):
        return BOXES, packed_truths(labels)
    if are_masks(labels):
        return MASKS, packed_masks(labels)
    if isinstance(labels, tuple | list) and all(isinstance(part, Tensor) for part in labels):
        return SEVERAL, list(labels)
    raise DataError(
        f"the labels of a batch are {type(labels).__name__}: to be measured by several processes"
        " they are a tensor [N, ...], several, or the boxes or the mask of each image"
    )


def _joined(parts: Sequence[Sequence[Tensor]]) -> tuple[Outputs, Labels]:
    """Return the outputs and labels of all parts, one behind the other."""
    count, form = parts[0][0].tolist()
    columns = zip(*(part[1:] for part in parts), strict=True)
    joined = [torch.cat(column) for column in columns]
    outputs, labels = joined[:count], joined[count:]
    if form == NO_LABELS:
        return outputs, None
    if form == BOXES:
        return outputs, unpacked_truths(labels[:PARTS])
    if form == MASKS:
        return outputs, unpacked_masks(labels[:MASK_PARTS])
    return outputs, labels[0] if form == ONE_TENSOR else tuple(labels)
