"""Pictures, and what a network may say of them."""

from __future__ import annotations

import numpy as np

from intaglio.tasks.crf.mean_field import softmax


def smooth(side):
    """Colours that change slowly, a few sigmas of any kernel across."""
    down, right = np.mgrid[:side, :side] / side
    planes = [255 * right, 128 + 100 * np.sin(5 * down), 255 * (1 - right) * down]
    return np.stack(planes, axis=-1).astype(np.uint8)


def noisy(side, deviation=40, seed=0):
    """The same with noise in each pixel."""
    noise = np.random.default_rng(seed).normal(0, deviation, (side, side, 3))
    return np.clip(smooth(side) + noise, 0, 255).astype(np.uint8)


def halves(side, seed=0):
    """A dark half and a light one, [side, side, 3], and which is which, [side, side]."""
    light = np.zeros((side, side), np.uint8)
    light[:, side // 2 :] = 1
    grey = 60 + 120 * light[..., None] + np.random.default_rng(seed).normal(0, 4, (side, side, 3))
    return grey.astype(np.uint8), light


def looks(picture, classes, seed=0):
    """Return probabilities [C, H, W] by how near a pixel is to one of each class, and like it.

    They have a quarter of the picture's resolution, as those of a network.
    """
    side = picture.shape[0]
    places = np.moveaxis(np.mgrid[:side, :side], 0, -1) * (1.5 / side)
    features = np.concatenate([picture / 255, places], axis=-1)
    chosen = np.random.default_rng(seed).choice(side * side, classes)
    centres = features.reshape(-1, 5)[chosen]
    apart = ((features[:, :, None] - centres) ** 2).sum(-1)  # [side, side, C]
    coarse = apart.reshape(side // 4, 4, side // 4, 4, classes).mean((1, 3))
    scores = -24 * coarse.repeat(4, axis=0).repeat(4, axis=1)
    return softmax(np.moveaxis(scores, -1, 0).astype(np.float32))


def blobs(side, classes, seed=0):
    """Return probabilities [C, H, W] that have nothing to do with any picture."""
    scores = np.random.default_rng(seed).normal(0, 2, (classes, side // 8, side // 8))
    return softmax(scores.repeat(8, axis=1).repeat(8, axis=2).astype(np.float32))
