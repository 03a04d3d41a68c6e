"""The same field without any approximation, for small pictures: what `refine` is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intaglio.errors import DataError
from intaglio.tasks.crf.kernels import Floats, Message, bilateral_features, message, places
from intaglio.tasks.crf.mean_field import check, settled, unary
from intaglio.tasks.crf.parameters import Crf

MOST_PIXELS = 64 * 64
"""The kernel of a picture has its square of values: 67 MB."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """A kernel, pair by pair.

    Attributes:
        values: [H W, H W].
        size: (H, W).
    """

    values: Floats
    size: tuple[int, int]

    @property
    def own(self) -> Floats:
        """k(i, i), [H, W]."""
        return np.diag(self.values).reshape(self.size)

    def summed(self, values: Floats) -> Floats:
        """Return sum_j k(i, j) values_j of values [C, H, W]."""
        flat = values.reshape(len(values), -1)
        return np.asarray((flat @ self.values).reshape(values.shape), np.float32)


def exact_refine(probabilities: Floats, picture: NDArray[np.uint8], crf: Crf) -> Floats:
    """Return what `mean_field.refine` returns, with every pair of pixels looked at.

    Args, raises: As `refine`; DataError, too, if there are more pixels than MOST_PIXELS.
    """
    check(probabilities, picture, crf)
    return settled(probabilities, exact_messages(picture, crf), crf)


def exact_messages(picture: NDArray[np.uint8], crf: Crf) -> list[Message]:
    """Return the field's kernels between the pixels of a picture [H, W, 3].

    Raises:
        DataError: If there are more pixels than MOST_PIXELS.
    """
    size = (picture.shape[0], picture.shape[1])
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(
            f"a picture of {size[0]}x{size[1]} has too many pairs of pixels: at most {MOST_PIXELS}"
            " pixels can be looked at pair by pair; use refine"
        )
    messages = []
    if crf.gaussian_weight:
        near = pairs(places(size) / np.float32(crf.gaussian_xy))
        messages.append(message(near, crf.gaussian_weight))
    if crf.bilateral_weight:
        alike = pairs(bilateral_features(picture, crf.bilateral_xy, crf.bilateral_rgb))
        messages.append(message(alike, crf.bilateral_weight))
    return messages


def pairs(features: Floats) -> Pairs:
    """Return exp(-|f_i - f_j|² / 2) of features [H, W, d]."""
    points = features.reshape(-1, features.shape[-1]).astype(np.float64)
    lengths = (points**2).sum(1)
    apart = np.maximum(lengths[:, None] + lengths - 2 * points @ points.T, 0)
    np.fill_diagonal(apart, 0)
    values = np.exp(-apart / 2).astype(np.float32)
    return Pairs(values, (features.shape[0], features.shape[1]))


def free_energy(
    beliefs: Floats, probabilities: Floats, messages: Sequence[Message], crf: Crf
) -> float:
    """Return the variational free energy of beliefs, in nats; mean field seeks its minimum.

        sum_i Q_i . (U_i + log Q_i) + 1/2 sum_{i != j} k(i, j) Q_i . compatibility @ Q_j

    with U = -log P and kernels normalised and weighted. Up to a constant it is the divergence of
    the beliefs from the field's distribution. Source: Krähenbühl and Koltun 2011, section 3.

    When it falls: with Potts' model and kernels that are positive semidefinite (as a Gaussian is,
    and a lattice), only what a pixel does not tell itself is convex in the energy, with at most the
    sum of weights as its curvature. A step of 1 - damping <= 1 / that sum then never raises it.

    Args:
        beliefs, probabilities: [C, H, W].
        messages: Of each kernel.
        crf: Its compatibility counts.
    """
    logs = np.log(np.maximum(beliefs, np.finfo(np.float32).tiny)).astype(np.float64)
    alone = float((beliefs * (unary(probabilities) + logs)).sum(dtype=np.float64))
    heard = np.sum([each.heard(beliefs) for each in messages], axis=0, dtype=np.float64)
    costs = 1 - np.eye(len(beliefs)) if crf.compatibility is None else crf.compatibility
    against = np.tensordot(np.asarray(costs, np.float64), heard, 1) if messages else 0 * logs
    return alone + float((beliefs * against).sum()) / 2
