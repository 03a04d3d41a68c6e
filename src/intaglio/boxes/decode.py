"""From a coder's numbers to corners, in float32 and in the order that is written here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.coders import (
    Bins,
    Centers,
    Coder,
    Corners,
    Darknet,
    Deltas,
    Distances,
    Peaks,
    YoloV5,
    YoloX,
)
from intaglio.boxes.places import Anchors

Floats = NDArray[np.float32]
HALF = np.float32(0.5)
ONE = np.float32(1)
TWO = np.float32(2)


def corners(coder: Coder, numbers: Floats, anchors: Anchors, input_size: tuple[int, int]) -> Floats:
    """Return boxes [n, 4], left, top, right, bottom in pixels; infinite where numbers were huge.

    Args:
        coder: What the numbers mean.
        numbers: [n, as many as the coder takes], float32.
        anchors: Of the n positions.
        input_size: Height, width in pixels.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        match coder:
            case Deltas():
                return _from_deltas(coder, numbers, anchors)
            case Distances():
                return _from_distances(coder, numbers, anchors)
            case Bins():
                return _around(anchors, _mean_bins(coder, numbers) * _sides_twice(anchors))
            case Darknet() | YoloV5():
                return _from_cells(coder, numbers, anchors)
            case YoloX() | Peaks():
                return _from_points(coder, numbers, anchors)
            case Centers():
                scaled = numbers * _pixels(coder.unit, input_size)
                return _between(scaled[:, :2], scaled[:, 2:])
            case Corners():
                ordered = numbers[:, [1, 0, 3, 2]] if coder.order == "yxyx" else numbers
                return ordered * _pixels(coder.unit, input_size)


def sigmoid(values: Floats) -> Floats:
    """Return 1 / (1 + exp(-values)), float32."""
    with np.errstate(over="ignore"):
        return np.asarray(ONE / (ONE + np.exp(-values)), np.float32)


def softmax(values: Floats) -> Floats:
    """Return exp(values - largest) over their sum along the last axis, float32."""
    with np.errstate(invalid="ignore"):
        powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def _from_deltas(coder: Deltas, numbers: Floats, anchors: Anchors) -> Floats:
    """x = (dx / wx) w + (left + w / 2), width = exp(min(dw / ww, limit)) w."""
    if coder.order == "yxhw":
        numbers = numbers[:, [1, 0, 3, 2]]
    weights: Floats = np.asarray(coder.weights, np.float32)
    deltas: Floats = numbers / weights
    sides = _sides(anchors)
    growth = deltas[:, 2:]
    if coder.limit is not None:
        growth = np.minimum(growth, np.float32(coder.limit))
    centres = deltas[:, :2] * sides + (anchors.boxes[:, :2] + HALF * sides)
    return _between(centres, np.exp(growth) * sides)


def _from_distances(coder: Distances, numbers: Floats, anchors: Anchors) -> Floats:
    if coder.activation == "relu":
        numbers = np.maximum(numbers, np.float32(0))
    elif coder.activation == "exp":
        numbers = np.exp(numbers)
    if coder.unit == "anchor":
        numbers = numbers * _sides_twice(anchors)
    return _around(anchors, numbers)


def _mean_bins(coder: Bins, numbers: Floats) -> Floats:
    """Return [n, 4]: the mean bin of each distance, by products and a sum in order of the bins."""
    shares = softmax(numbers.reshape(len(numbers), 4, coder.count))
    weighted = shares * np.arange(coder.count, dtype=np.float32)
    return np.asarray(weighted.sum(axis=-1), np.float32)


def _from_cells(coder: Darknet | YoloV5, numbers: Floats, anchors: Anchors) -> Floats:
    """x = (sigmoid(tx) - 1/2) stretch step + place."""
    stretch = np.float32(coder.stretch) if isinstance(coder, Darknet) else TWO
    moved = (sigmoid(numbers[:, :2]) - HALF) * stretch
    centres = moved * np.asarray(anchors.step, np.float32) + anchors.points
    if isinstance(coder, Darknet):
        return _between(centres, np.exp(numbers[:, 2:]) * _sides(anchors))
    twice = sigmoid(numbers[:, 2:]) * TWO
    return _between(centres, np.square(twice) * _sides(anchors))


def _from_points(coder: YoloX | Peaks, numbers: Floats, anchors: Anchors) -> Floats:
    """x = tx w + place."""
    sides = _sides(anchors)
    centres, sizes = numbers[:, :2] * sides + anchors.points, numbers[:, 2:]
    if isinstance(coder, YoloX):
        return _between(centres, np.exp(sizes) * sides)
    return _between(centres, sizes * sides if coder.unit == "anchor" else sizes)


def _sides(anchors: Anchors) -> Floats:
    """Return [n, 2]: width and height."""
    return anchors.boxes[:, 2:] - anchors.boxes[:, :2]


def _sides_twice(anchors: Anchors) -> Floats:
    return np.tile(_sides(anchors), 2)


def _around(anchors: Anchors, distances: Floats) -> Floats:
    """Return corners at these distances from the anchors' centres, (left + right) / 2."""
    centres = HALF * (anchors.boxes[:, :2] + anchors.boxes[:, 2:])
    return np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)


def _between(centres: Floats, sides: Floats) -> Floats:
    half = HALF * sides
    return np.concatenate([centres - half, centres + half], axis=1)


def _pixels(unit: str, input_size: tuple[int, int]) -> Floats:
    """Return [4]: what x, y, x, y are multiplied by."""
    height, width = input_size if unit == "input" else (1, 1)
    return np.asarray([width, height, width, height], np.float32)
