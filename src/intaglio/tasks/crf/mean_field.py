"""Mean field inference in a dense conditional random field: each pixel hears all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from intaglio.errors import DataError, RequestError
from intaglio.tasks.crf.kernels import Floats, Message, bilateral_features, message
from intaglio.tasks.crf.lattice import lattice
from intaglio.tasks.crf.parameters import Crf
from intaglio.tasks.crf.spatial import spatial

SMALLEST = 1e-5
"""A probability below it counts as this: nothing is impossible."""
UNHEARD = 1e-4
"""A class that no pixel believes in more than this sends no messages: a logit is off by 1e-4 of the
weights at most, about, a thousandth of a nat."""
FARTHEST = 46.0
"""Nats below the surest class, 1e-20: beliefs further down would be denormal numbers before long,
with which a processor takes ten times as long."""
OFF = 0.01
"""How far the probabilities of one pixel may sum from 1: what 8 bits of 21 classes round."""


def refine(probabilities: Floats, picture: NDArray[np.uint8], crf: Crf) -> Floats:
    """Return what each pixel is, once it has heard the pixels near it and those that look like it.

        Q = P, then `iterations` times: Q = softmax(log P - compatibility @ messages(Q))

    Source: Krähenbühl and Koltun 2011, algorithm 1. Each kernel is normalised symmetrically, as
    D^-1/2 K D^-1/2, and a pixel tells itself nothing (`kernels.Message`).

    Args:
        probabilities: [C, H, W], 0..1, sums of 1 over classes.
        picture: [H, W, 3], RGB, as large as the probabilities.
        crf: Its parameters.

    Returns:
        [C, H, W], probabilities.

    Raises:
        DataError: If sizes differ, or probabilities are none.
        RequestError: If the compatibility is that of another number of classes.
    """
    check(probabilities, picture, crf)
    return settled(probabilities, quick_messages(picture, crf), crf)


def quick_messages(
    picture: NDArray[np.uint8], crf: Crf, *, layout: tuple[int, int] | None = None
) -> list[Message]:
    """Return the field's kernels between the pixels of a picture [H, W, 3].

    Args:
        picture, crf: As of `refine`.
        layout: Of the lattices (`lattice.LAYOUTS`); None: what the picture can afford.
    """
    messages = []
    if crf.gaussian_weight:
        near = spatial((picture.shape[0], picture.shape[1]), crf.gaussian_xy)
        messages.append(message(near, crf.gaussian_weight))
    if crf.bilateral_weight:
        features = bilateral_features(picture, crf.bilateral_xy, crf.bilateral_rgb)
        messages.append(message(lattice(features, layout=layout), crf.bilateral_weight))
    return messages


def settled(probabilities: Floats, messages: Sequence[Message], crf: Crf) -> Floats:
    """Return the beliefs after all iterations of probabilities [C, H, W], in their shape."""
    logits = -unary(probabilities)
    beliefs = softmax(logits)
    for _ in range(crf.iterations):
        beliefs = updated(beliefs, logits, messages, crf)
    return beliefs


def updated(beliefs: Floats, logits: Floats, messages: Sequence[Message], crf: Crf) -> Floats:
    """Return the beliefs after one more iteration.

    With `damping` >= 1 - 1 / (the sum of the weights) the free energy never rises (`exact`).

    Args:
        beliefs: [C, H, W].
        logits: [C, H, W], minus what `unary` returns.
        messages: Of each kernel.
        crf: Its compatibility and damping count.
    """
    speaking = np.flatnonzero(beliefs.max((1, 2)) > UNHEARD)
    voices = np.ascontiguousarray(beliefs[speaking])
    heard = np.zeros_like(voices)
    for each in messages:
        heard += each.heard(voices)
    scores = logits.copy()
    if crf.compatibility is None:
        # Potts: a class costs what all others say, which is what all say, less what it says itself;
        # the first is the same for every class.
        scores[speaking] += heard
    else:
        costs = np.asarray(crf.compatibility, np.float32)[:, speaking]
        scores -= np.tensordot(costs, heard, 1)
    new = softmax(scores)
    if crf.damping:
        new = np.float32(1 - crf.damping) * new + np.float32(crf.damping) * beliefs
    return new


def unary(probabilities: Floats) -> Floats:
    """Return what each class costs at each pixel, in nats: -log P, P being SMALLEST at least."""
    return -np.log(np.clip(probabilities, SMALLEST, 1)).astype(np.float32)


def softmax(scores: Floats) -> Floats:
    """Return the softmax over the first axis, as if no score were more than FARTHEST below."""
    below = scores - scores.max(0)
    powers = np.exp(np.maximum(below, np.float32(-FARTHEST), out=below), out=below)
    powers /= powers.sum(0)
    return np.asarray(powers, np.float32)


def check(probabilities: Floats, picture: NDArray[np.uint8], crf: Crf) -> None:
    """Raise what `refine` raises."""
    if probabilities.ndim != 3 or 0 in probabilities.shape:
        raise DataError(f"probabilities are [classes, H, W], got {list(probabilities.shape)}")
    if picture.shape != (*probabilities.shape[1:], 3) or picture.dtype != np.uint8:
        raise DataError(
            f"the picture is {list(picture.shape)} of {picture.dtype}, the probabilities are"
            f" {list(probabilities.shape)}: a picture [H, W, 3] of uint8 of the same H and W is"
            " needed; resize one of them"
        )
    sums = probabilities.sum(0)
    if not (probabilities.min() >= 0 and np.abs(sums - 1).max() <= OFF):  # NaN is not >= 0
        raise DataError(
            f"probabilities of a pixel are from 0 and sum to 1; here the lowest is"
            f" {probabilities.min():g}, and sums are from {sums.min():g} to {sums.max():g}"
        )
    if crf.compatibility is not None and len(crf.compatibility) != len(probabilities):
        raise RequestError(
            f"crf: compatibility is of {len(crf.compatibility)} classes, the probabilities are of"
            f" {len(probabilities)}"
        )
