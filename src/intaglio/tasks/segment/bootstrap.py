"""How sure a difference of two mean IoUs is: the same pictures, drawn again and again.

As of average precision (`detect.bootstrap`): mean IoU is no mean over pictures either. And how much
one picture alone can make of it, by leaving each out in turn (Quenouille 1956, the jackknife).
"""

from __future__ import annotations

import numpy as np

from intaglio.errors import DataError, RequestError
from intaglio.tasks.detect.bootstrap import drawn
from intaglio.tasks.segment.iou import Counts, mean_iou


def iou_error(real: Counts, found: Counts, *, rounds: int = 200, seed: int = 0) -> float:
    """Return the standard error of the difference of two networks' mean IoU, in points.

    A class that no drawn picture has is in neither network's mean of that round. 0 of networks that
    find the same, however few pictures there are, and where no pixel counts.

    Args:
        real, found: [pictures, classes, 3], of the float network and of the other.
        rounds: At least 2; with 200 the error is known to about a twentieth of itself.
        seed: Of the pictures drawn.

    Raises:
        RequestError: If there are fewer rounds.
        DataError: If both are not of as many pictures and classes.
    """
    if rounds < 2:
        raise RequestError(f"a standard error needs at least 2 rounds, got rounds = {rounds}")
    _refuse_unlike(real, found)
    weights = drawn(len(real), rounds, seed).astype(np.int64)
    sums = [np.tensordot(weights, each, axes=1) for each in (real, found)]  # [rounds, classes, 3]
    apart = 100.0 * (mean_iou(sums[0]) - mean_iou(sums[1]))
    apart = apart[~np.isnan(apart)]
    return float(apart.std(ddof=1)) if len(apart) > 1 else 0.0


def largest_part(real: Counts, found: Counts) -> float:
    """Return by how many points the difference of mean IoU changes at most without one picture.

    Of each picture that is left out in turn. A class that no other picture has is then in neither
    mean. 0 of networks that find the same; where nothing is left that counts there is no change.

    Args:
        real, found: As of `iou_error`.

    Raises:
        DataError: As `iou_error`.
    """
    _refuse_unlike(real, found)
    apart = []
    for counts in (real, found):
        whole = counts.sum(axis=0)
        sums = np.concatenate([whole[None], whole - counts])  # [1 + pictures, classes, 3]
        apart.append(100.0 * mean_iou(sums))
    drops = apart[0] - apart[1]
    changes = np.abs(drops[1:] - drops[0])
    return float(np.max(changes, initial=0.0, where=~np.isnan(changes)))


def _refuse_unlike(real: Counts, found: Counts) -> None:
    if real.shape != found.shape:
        raise DataError(
            f"the float network was counted over {list(real.shape)} (pictures, classes, counts),"
            f" the other one over {list(found.shape)}: count both over the same pictures"
        )
