"""From boxes to a coder's numbers, and back with gradients (`boxes/decode.py` is its NumPy)."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.boxes.coders import Coder, Darknet, Deltas, Distances, YoloV5
from intaglio.tasks.detect.losses.raw import Anchored

SWAPPED = [1, 0, 3, 2]
"""From TensorFlow's order (y, x, h, w) to (x, y, w, h), and back."""


def encoded(coder: Deltas, boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return the deltas [..., 4] that move anchors to boxes, in the coder's order.

    dx = wx (x - x_a) / w_a and dw = ww log(w / w_a); Girshick et al. 2014, arXiv:1311.2524,
    appendix C.

    Args:
        boxes, anchors: [..., 4], left, top, right, bottom, sides > 0.
    """
    sides, own = (each[..., 2:] - each[..., :2] for each in (boxes, anchors))
    shift = ((boxes[..., :2] + 0.5 * sides) - (anchors[..., :2] + 0.5 * own)) / own
    numbers = torch.cat((shift, (sides / own).log()), -1) * boxes.new_tensor(coder.weights)
    return numbers[..., SWAPPED] if coder.order == "yxhw" else numbers


def decoded(coder: Coder, numbers: Tensor, places: Anchored) -> Tensor:
    """Return boxes [..., P, 4] of the numbers [..., P, 4] of all places, with gradients.

    Raises:
        NotImplementedError: Of a coder that no loss here decodes.
    """
    first, second = numbers[..., :2], numbers[..., 2:]
    sides = places.boxes[:, 2:] - places.boxes[:, :2]
    match coder:
        case Darknet() | YoloV5():
            stretch = coder.stretch if isinstance(coder, Darknet) else 2.0
            centres = (first.sigmoid() - 0.5) * stretch * places.steps + places.points
            if isinstance(coder, Darknet):
                return _between(centres, second.exp() * sides)
            return _between(centres, (2 * second.sigmoid()).square() * sides)
        case Distances():
            return _around(coder, numbers, places)
    raise NotImplementedError(f"boxes of {type(coder).__name__} are not decoded here")


def distances(coder: Distances, numbers: Tensor, places: Anchored) -> Tensor:
    """Return left, top, right, bottom [..., P, 4] from the anchors' centres, in pixels."""
    if coder.activation == "relu":
        numbers = numbers.relu()
    elif coder.activation == "exp":
        numbers = numbers.exp()
    if coder.unit == "anchor":
        numbers = numbers * (places.boxes[:, 2:] - places.boxes[:, :2]).repeat(1, 2)
    return numbers


def _around(coder: Distances, numbers: Tensor, places: Anchored) -> Tensor:
    centres = 0.5 * (places.boxes[:, :2] + places.boxes[:, 2:])
    apart = distances(coder, numbers, places)
    return torch.cat((centres - apart[..., :2], centres + apart[..., 2:]), -1)


def _between(centres: Tensor, sides: Tensor) -> Tensor:
    return torch.cat((centres - 0.5 * sides, centres + 0.5 * sides), -1)
