"""What detectors do, a second time: plain loops over Python's own numbers."""

from __future__ import annotations

import math

LIMIT = math.log(1000 / 16)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def softmax(values):
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def overlap(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    inside = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside
    return inside / union if union > 0 else 0.0


def highest(found, most):
    """Of (score, class, box), the highest; ties by place."""
    return sorted(found, key=lambda one: -one[0])[:most]


def suppressed(found, limit, same=lambda a, b: a[1] == b[1]):
    """Of (score, class, box, ...), those that no surer one that stays covers by more than limit."""
    kept = []
    for one in highest(found, None):
        if all(not same(one, other) or overlap(one[2], other[2]) <= limit for other in kept):
            kept.append(one)
    return kept


def clipped(box, height, width):
    held = [min(max(box[0], 0), width), min(max(box[1], 0), height)]
    return [*held, min(max(box[2], 0), width), min(max(box[3], 0), height)]


def around(x, y, width, height):
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def from_deltas(anchor, deltas, weights, limit=LIMIT):
    """Faster R-CNN's coding, for an anchor of corners."""
    width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    dx, dy, dw, dh = (delta / weight for delta, weight in zip(deltas, weights, strict=True))
    x = (anchor[0] + anchor[2]) / 2 + dx * width
    y = (anchor[1] + anchor[3]) / 2 + dy * height
    return around(x, y, width * math.exp(min(dw, limit)), height * math.exp(min(dh, limit)))


def cells(maps, anchors):
    """Level, row, column, anchor of all positions, in order."""
    for level, (rows, columns) in enumerate(maps):
        for row in range(rows):
            for column in range(columns):
                for anchor in range(anchors):
                    yield level, row, column, anchor


def numbers(output, picture, place, width):
    """The numbers of an anchor of a cell, of a map [N, A * width, H, W]."""
    row, column, anchor = place
    channels = output[picture, anchor * width : (anchor + 1) * width, row, column]
    return [float(number) for number in channels]
