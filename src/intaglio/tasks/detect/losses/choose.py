"""Which loss goes with a detector, told by its post-processing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from intaglio.boxes.coders import Darknet, Deltas, Distances, YoloV5
from intaglio.boxes.postprocess import PostProcess, Proposed
from intaglio.data.truth import Category, Truth
from intaglio.errors import RequestError
from intaglio.tasks.detect.losses.fcos import fcos_loss
from intaglio.tasks.detect.losses.focal import focal_loss
from intaglio.tasks.detect.losses.multibox import multibox_loss
from intaglio.tasks.detect.losses.raw import Anchored, Raw, anchored, raw_numbers
from intaglio.tasks.detect.losses.wanted import Wanted, wanted_of
from intaglio.tasks.detect.losses.yolo import yolo_loss

Loss = Callable[[PostProcess, Raw, Anchored, Sequence[Wanted]], Tensor]
"""Of what a network says and what is wanted of it: a mean over images, []."""

KNOWN = "SSD (deltas, a background), RetinaNet (deltas, sigmoids), YOLOv3 and v5, FCOS"


def detection_loss(
    post: PostProcess,
    outputs: Sequence[Tensor],
    truths: Sequence[Truth],
    categories: Sequence[Category] = (),
) -> Tensor:
    """Return the loss that goes with a detector, a mean over images, [].

    Boxes of a crowd are left alone; an image without boxes is all background.

    Args:
        post: Of the detector.
        outputs: Raw, [N, ...] each.
        truths: Of each of the N images, placed in the network's input.
        categories: Of the data set; () where labels have the network's classes.

    Raises:
        RequestError: If the detector is of a kind that has no loss here.
        DataError: If outputs are not what `post` says, or labels not of its classes.
    """
    loss = loss_of(post)
    raw = raw_numbers(post, outputs)
    wanted = wanted_of(post, categories, truths, raw.scores.device)
    return loss(post, raw, anchored(post, raw.scores), wanted)


def loss_of(post: PostProcess) -> Loss:
    """Return the loss that goes with a detector.

    Raises:
        RequestError: If there is none; says what was known of it.
    """
    coders = {type(level.coder) for level in post.levels}
    whole = all(sum(part.count for part in level.boxes) == 4 for level in post.levels)
    placed = not any(isinstance(level.places, Proposed) for level in post.levels)
    objectness = {level.objectness is not None for level in post.levels}
    if whole and placed and coders == {Deltas} and objectness == {False}:
        if post.background is not None and post.activation == "softmax":
            return multibox_loss
        if post.activation == "sigmoid":  # each class by itself: a background is nobody's wish
            return focal_loss
    if whole and post.activation == "sigmoid" and objectness == {True}:
        if coders <= {Darknet, YoloV5}:
            return yolo_loss
        if coders == {Distances}:
            return fcos_loss
    kinds = ", ".join(sorted(kind.__name__ for kind in coders))
    more = ", objectness" if objectness == {True} else ""
    raise RequestError(
        f"no loss is known for detectors of the family '{post.family}' (boxes: {kinds};"
        f" activation: {post.activation}{more}): trained can be {KNOWN}, on raw scores. Learn from"
        " the float network's outputs alone (distill = 1)"
    )
