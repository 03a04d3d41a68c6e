"""From the raw output of a segmenter to the class of each pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from intaglio.maps.limit import score_limit
from intaglio.maps.postprocess import MapPostProcess
from intaglio.maps.sampling import Affine, Steps, sampled_plane, steps_of

Floats = NDArray[np.float32]
Classes = NDArray[np.uint8]

STRIP = 2**17
"""Pixels of a picture that are worked on at once: some 4 MB, which stay in a core's cache."""
LARGEST = np.float32(1e30)
"""Infinite scores are taken for that: between two of them there would be no number."""


def class_map(
    post: MapPostProcess, scores: NDArray[np.generic], *, affine: Affine, size: tuple[int, int]
) -> Classes:
    """Return the class of each pixel of a picture, [height, width].

    Scores are sampled at the picture's pixels (`sampling`), and the class is chosen there; of
    equal scores the first. Where the input does not hold a pixel, its border counts. Classes
    themselves ("index") are taken from the cell that the pixel's centre lies in.

    Args:
        post: What the scores mean.
        scores: Of one picture, [C, h, w], or [h, w] of classes; real values, none of them NaN.
        affine: Where the picture lies in the network's input.
        size: (height, width) of the picture.

    Raises:
        ValueError: If scores are of another shape, or an index is of no class.
    """
    planes = _planes(post, scores)
    rows, columns = steps_of(affine, size, places=(planes.shape[-2], planes.shape[-1]))
    if post.rule == "index":
        near = np.ix_(rows.nearest, columns.nearest)
        return np.asarray(_indices(post, planes[0])[near], np.uint8)
    found = np.empty(size, np.uint8)
    bounded = np.clip(planes.astype(np.float32, copy=False), -LARGEST, LARGEST)
    height = max(1, STRIP // max(size[1], 1))
    for begin in range(0, size[0], height):
        strip = slice(begin, begin + height)
        found[strip] = _chosen(post, bounded, (rows.cut(begin, begin + height), columns))
    return found


def own_classes(post: MapPostProcess, scores: NDArray[np.generic]) -> Classes:
    """Return the class of each place of the output itself, [h, w]; nothing is sampled.

    Args:
        post: What the scores mean.
        scores: Of one picture, [C, h, w], or [h, w] of classes.

    Raises:
        ValueError: As `class_map`.
    """
    planes = _planes(post, scores)
    if post.rule == "index":
        return _indices(post, planes[0])
    if post.rule == "threshold":
        return np.asarray(planes[0] > score_limit(post), np.uint8)
    return np.asarray(planes.argmax(axis=0), np.uint8)


def probabilities(post: MapPostProcess, scores: NDArray[np.generic]) -> Floats:
    """Return the probability of each class at each place of the output, [classes, h, w] float32.

    Of "threshold" both classes; of "index" 1 for the class that is said.

    Args:
        post: What the scores mean.
        scores: Of one picture, [C, h, w], or [h, w] of classes.

    Raises:
        ValueError: As `class_map`.
    """
    planes = _planes(post, scores)
    if post.rule == "index":
        said = _indices(post, planes[0])
        return np.asarray(said == np.arange(post.classes)[:, None, None], np.float32)
    values = np.clip(planes.astype(np.float32, copy=False), -LARGEST, LARGEST)
    if post.rule == "threshold":
        yes = values[0] if post.scores == "probabilities" else _sigmoid(values[0])
        return np.stack([np.float32(1) - yes, yes])
    if post.scores == "probabilities":
        return values
    powers = np.exp(values - values.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0), np.float32)


def _planes(post: MapPostProcess, scores: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return scores as [C, h, w]; one channel of classes."""
    wanted = f"[{post.channels}, h, w]" if post.channels else "[h, w]"
    axes = 3 if post.channels else 2
    channels = scores.shape[0] if scores.ndim == 3 else 0
    if scores.ndim != axes or channels != post.channels or not scores.size:
        raise ValueError(f"the scores of a picture are {list(scores.shape)}: {wanted} was expected")
    return scores if post.channels else scores[None]


def _indices(post: MapPostProcess, plane: NDArray[np.generic]) -> Classes:
    low, high = int(plane.min()), int(plane.max())
    if low < 0 or high >= post.classes:
        raise ValueError(
            f"the classes of a picture are {low} to {high}: there are {post.classes}, from 0"
        )
    return plane.astype(np.uint8)


def _chosen(post: MapPostProcess, planes: Floats, at: tuple[Steps, Steps]) -> Classes:
    """Return the class at each pixel of some rows and columns."""
    best = sampled_plane(planes[0], *at)
    if post.rule == "threshold":
        return np.asarray(best > score_limit(post), np.uint8)
    found = np.zeros(best.shape, np.uint8)
    for number in range(1, len(planes)):
        plane = sampled_plane(planes[number], *at)
        # numbers rise, so that the larger one is the later one: quicker than writing where it holds
        better = (plane > best).view(np.uint8)
        np.maximum(found, better * np.uint8(number), out=found)
        np.maximum(best, plane, out=best)
    return found


def _sigmoid(values: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(np.float32(1) / (np.float32(1) + np.exp(-values)), np.float32)
