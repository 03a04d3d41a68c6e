"""A picture's map refined by a dense conditional random field, which sees the picture itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from intaglio.data.mask import Mask
from intaglio.data.seen_mask import seen_mask
from intaglio.errors import DataError
from intaglio.maps.class_map import probabilities
from intaglio.maps.postprocess import MapPostProcess
from intaglio.maps.sampling import sampled
from intaglio.tasks.crf.mean_field import refine
from intaglio.tasks.crf.parameters import Crf
from intaglio.tasks.segment.pairing import Classes, Pair, Pairing, affine_of, input_size_of


def refined(
    pairing: Pairing, post: MapPostProcess, scores: NDArray[np.generic], mask: Mask, *, crf: Crf
) -> Pair:
    """Return the true classes of a picture beside those that a field makes of scores.

    Scores are brought to the picture's own pixels, become probabilities there, and hear the
    picture (`crf.mean_field`), whichever pixels then count.

    Args:
        pairing: Which pixels count.
        post: What the scores mean.
        scores: Of the picture, [C, h, w].
        mask: Of the picture, placed, with the network's classes and the picture itself.
        crf: The field.

    Raises:
        DataError: If the picture is not with its mask, the mask has no placement, or the network
            gives classes without scores.
    """
    size = pairing.input_size or input_size_of(mask, (scores.shape[-2], scores.shape[-1]))
    found = refined_map(post, scores, mask, size, crf=crf)
    seen = seen_mask(replace(mask, classes=found), size)
    if pairing.scored_at == "input":
        return Pair(seen_mask(mask, size), seen, seen)
    return Pair(mask.classes, found, seen)


def refined_map(
    post: MapPostProcess,
    scores: NDArray[np.generic],
    mask: Mask,
    size: tuple[int, int],
    *,
    crf: Crf,
) -> Classes:
    """Return the refined classes at the picture's own pixels, [H, W].

    Args:
        size: (height, width) of the network's input. Others, and errors: as of `refined`.
    """
    if post.rule == "index":
        raise DataError(
            "the network gives the class of each pixel and not how sure it is: a field needs the"
            " scores; take the network without its arg max"
        )
    if mask.picture is None:
        raise DataError(
            "a field looks at the picture, and this mask comes without it: give Mask(...,"
            " picture=) [H, W, 3] uint8, or a data set through data.pictured.with_pictures"
        )
    numbers = np.asarray(scores, np.float32)
    says = probabilities(post, sampled(numbers, affine=affine_of(mask, size), size=mask.size))
    made = refine(says, mask.picture, crf)
    if post.rule == "threshold":
        return np.asarray(made[1] > post.threshold, np.uint8)
    return np.asarray(made.argmax(0), np.uint8)
