"""Small detectors of each kind, their outputs and their labels, made for tests of losses."""

from __future__ import annotations

import math

import numpy as np
import torch

from intaglio.boxes import anchors, families, yolo
from intaglio.data.truth import Placement, Truth
from intaglio.tasks.detect.losses.raw import Raw
from intaglio.tasks.detect.losses.wanted import Wanted

SIZE = (64, 64)
MAPS = ((8, 8), (4, 4))
RATIOS = ((2.0,), (2.0,))


def ssd_post(classes=4):
    places = anchors.default_boxes(SIZE, MAPS, ratios=RATIOS, scales=(0.2, 0.5, 0.9))
    return families.ssd(SIZE, places, classes=classes)


def tf_ssd_post(classes=4, **changes):
    places = anchors.default_boxes(SIZE, MAPS, ratios=RATIOS, scales=(0.2, 0.5, 0.9))
    return families.tf_ssd(SIZE, places, classes=classes, **changes)


def retinanet_post(classes=3):
    places = anchors.anchor_grids(SIZE, MAPS, sizes=((12.0, 16.0), (24.0, 32.0)))
    return families.retinanet(SIZE, places, classes=classes)


def yolo_post(classes=3):
    shapes = [[(10, 12), (20, 16)], [(30, 30), (50, 40)]]
    return yolo.yolov3(SIZE, anchors.yolo_grids(SIZE, (8, 16), shapes), classes=classes)


def yolov5_post(classes=3):
    shapes = [[(10, 12), (20, 16)], [(30, 30), (50, 40)]]
    return yolo.yolov5(SIZE, anchors.yolo_grids(SIZE, (8, 16), shapes), classes=classes)


def fcos_post(classes=3):
    return families.fcos(SIZE, anchors.point_grids(SIZE, MAPS), classes=classes)


POSTS = {
    "ssd": ssd_post,
    "tf_ssd": tf_ssd_post,
    "retinanet": retinanet_post,
    "yolov3": yolo_post,
    "yolov5": yolov5_post,
    "fcos": fcos_post,
}


def outputs_for(post, count, seed=0, scale=1.0):
    """Random outputs of a network of this kind, for `count` images."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {}
    for level in post.levels:
        for part in level.parts:
            if part.layout == "map":
                grid = level.places
                shapes[part.output] = (len(grid.anchors) * part.width, grid.rows, grid.columns)
            else:
                rows = sum(one.places.count for one in post.levels)
                shapes[part.output] = (rows, part.width)
    return [
        (scale * torch.randn(count, *shapes[number], generator=generator)).requires_grad_()
        for number in sorted(shapes)
    ]


def truth_of(rows, *, crowd=(), placement=Placement()):  # noqa: B008  it is frozen
    """Of rows (left, top, right, bottom, class)."""
    table = np.asarray(rows, np.float64).reshape(-1, 5)
    flags = np.zeros(len(table), np.bool_)
    flags[list(crowd)] = True
    boxes = table[:, :4].astype(np.float32)
    areas = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(1)
    return Truth(boxes, table[:, 4].astype(np.int64), flags, areas, SIZE, placement)


def wanted_boxes(rows, crowd=()):
    """Of rows (left, top, right, bottom, class), and of crowds."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    return Wanted(
        table[:, :4].contiguous(),
        table[:, 4].long(),
        torch.tensor(crowd, dtype=torch.float32).reshape(-1, 4),
    )


def raw_of(boxes, scores, objectness=None):
    tensors = [torch.as_tensor(one, dtype=torch.float32) for one in (boxes, scores)]
    more = None if objectness is None else torch.as_tensor(objectness, dtype=torch.float32)
    return Raw(*tensors, more)


def log_softmax(values):
    largest = max(values)
    total = math.log(sum(math.exp(value - largest) for value in values)) + largest
    return [value - total for value in values]


def smooth(value, beta):
    value = abs(value)
    return 0.5 * value * value / beta if value < beta else value - 0.5 * beta


def entropy(logit, yes):
    """Binary cross entropy of a logit."""
    return math.log1p(math.exp(-abs(logit))) + max(logit, 0) - logit * yes
