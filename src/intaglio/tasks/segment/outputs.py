"""The output of a segmenter that says the classes of pixels, found and checked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from intaglio.errors import DataError
from intaglio.maps.postprocess import MOST_CLASSES, MapPostProcess
from intaglio.tasks.task import Outputs, Shapes

GIVE = (
    "give the network a method postprocess that says how classes come of its outputs"
    " (docs/segmenters.md: a MapPostProcess, such as MapPostProcess(2, rule='threshold'))"
)


def misfit_of(post: MapPostProcess | None, outputs: Shapes) -> str | None:
    """Return why outputs of these shapes are no maps of classes; None: they are.

    Args:
        post: How classes come of them; None: the first output has a score for each class.
        outputs: Their shapes, the batch first.
    """
    if post is not None:
        return _unlike(post, outputs)
    shape = tuple(outputs[0]) if outputs else ()
    if len(shape) != 4:
        return (
            "a class of each pixel needs a first output [N, classes, h, w], this network gives"
            f" {list(shape)}"
        )
    if shape[2] * shape[3] == 1:
        return f"a map of one pixel, {list(shape)}, says a class of the picture, not of its pixels"
    if shape[1] == 1:
        return (
            f"the first output, {list(shape)}, has one channel, and whether that is a probability"
            f" or a logit is not known: let the network end in a sigmoid, or {GIVE}"
        )
    if shape[1] > MOST_CLASSES:
        return f"{shape[1]} channels are more classes than {MOST_CLASSES}, the most there can be"
    return None


def _unlike(post: MapPostProcess, outputs: Shapes) -> str | None:
    if len(outputs) <= post.output:
        return f"classes are read from output {post.output}, and the network has {len(outputs)}"
    shape = tuple(outputs[post.output])
    wanted = f"[N, {post.channels}, h, w]" if post.channels else "[N, h, w]"
    is_right = len(shape) == 4 and shape[1] == post.channels if post.channels else len(shape) == 3
    if is_right:
        return None
    return f"classes are read from output {post.output} as {wanted}, and it is {list(shape)}"


def post_of(post: MapPostProcess | None, outputs: Shapes) -> MapPostProcess:
    """Return how classes come of outputs of these shapes.

    Args:
        post: As the network has it; None: of the highest score in the first output.
        outputs: Their shapes, the batch first.

    Raises:
        DataError: If they are no maps of classes.
    """
    reason = misfit_of(post, outputs)
    if reason is not None:
        raise DataError(reason)
    return post or MapPostProcess(classes=outputs[0][1])


def shapes_of(outputs: Outputs) -> list[tuple[int, ...]]:
    """Return the shapes of the outputs of a batch."""
    return [tuple(output.shape) for output in outputs]


def scores_of(post: MapPostProcess, outputs: Outputs) -> Iterator[NDArray[np.generic]]:
    """Yield what the output says of each picture, [C, h, w] float32, or [h, w] of classes.

    One picture after the other: no more than one is held as another type.
    """
    for picture in outputs[post.output].detach():
        yield (picture.float() if picture.is_floating_point() else picture).cpu().numpy()


def output_size(post: MapPostProcess, outputs: Outputs) -> tuple[int, int]:
    """Return (height, width) of the map that the output has."""
    height, width = outputs[post.output].shape[-2:]
    return height, width


def has_nan(outputs: Outputs) -> bool:
    """Whether some output has NaN; output by output, picture by picture."""
    return any(bool(torch.isnan(picture).any()) for output in outputs for picture in output)
