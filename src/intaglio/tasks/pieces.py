"""A batch of images cut up, so that what networks give for it stays small in memory.

An evaluation holds the outputs of two networks at once, and what is computed on the way to them.
Scores of 21 classes at 513 x 513 pixels are 22 MB a picture: of a usual batch, a gigabyte.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor

from intaglio.data.batches import BATCH_SIZE
from intaglio.ir.graph import Graph
from intaglio.tasks.task import Labels, Shapes, Task, output_shapes

VALUES_AT_ONCE = 10_000_000
"""Values of all outputs together, 40 MB of float32: BATCH_SIZE images of what classifiers and
detectors give, 7 maps of 21 classes at 257 x 257 pixels, one at 513 x 513."""


def images_at_once(outputs: Shapes) -> int:
    """Return how many images are to be evaluated together, 1..BATCH_SIZE.

    Args:
        outputs: Shapes of the network's outputs, the batch first.
    """
    each = sum(math.prod(shape[1:]) for shape in outputs)
    return max(1, min(BATCH_SIZE, VALUES_AT_ONCE // max(each, 1)))


def evaluation_batches(task: Task, given: Any, captured: Graph) -> Iterator[tuple[Tensor, Labels]]:
    """Yield what a user evaluates on, as the task takes it, `images_at_once` together at most.

    Args:
        given: As `Task.batches` takes it.
        captured: The network: what it takes of an image, and how much it gives.
    """
    shape = captured[captured.inputs[0]].shape[1:]
    return in_pieces(task.batches(given, shape), output_shapes(captured))


def in_pieces(
    batches: Iterable[tuple[Tensor, Labels]], outputs: Shapes
) -> Iterator[tuple[Tensor, Labels]]:
    """Yield the same images and labels in the same order, at most `images_at_once` together.

    A batch whose labels are not one for each image is passed on whole: the task says what is wrong.

    Args:
        batches: (images [N, C, H, W], labels) each. Labels are None, a tensor or a list with an
            entry for each image, or a tuple with a tensor [N, ...] for each output.
        outputs: As of `images_at_once`.
    """
    most = images_at_once(outputs)
    for images, labels in batches:
        count = len(images)
        if count <= most or not _is_for_each(labels, count):
            yield images, labels
            continue
        for begin in range(0, count, most):
            part = slice(begin, begin + most)
            yield images[part], _part(labels, part)


def _is_for_each(labels: Labels, count: int) -> bool:
    if isinstance(labels, tuple):
        return all(isinstance(each, Tensor) and _is_long(each, count) for each in labels)
    return labels is None or (isinstance(labels, Tensor | list) and _is_long(labels, count))


def _is_long(entries: Tensor | list[Any], count: int) -> bool:
    return (isinstance(entries, list) or entries.ndim > 0) and len(entries) == count


def _part(labels: Labels, part: slice) -> Any:
    if isinstance(labels, tuple):
        return tuple(each[part] for each in labels)
    return None if labels is None else labels[part]
