"""Detections of a network that ends in them: what TFLite_Detection_PostProcess gives, in pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.detections import Detections
from intaglio.boxes.postprocess import PostProcess

Floats = NDArray[np.float32]


def given_detections(post: PostProcess, outputs: Sequence[Floats]) -> Detections:
    """Return the detections of one picture, the surest first.

    Args:
        post: Of the network in front: its input's size, and its background, which the given
            classes do not count.
        outputs: Boxes [1, most, 4] (top, left, bottom, right, as parts of the picture), classes
            [1, most], scores [1, most], and how many of these count, [1].

    Raises:
        ValueError: If they have other shapes.
    """
    shapes = [tuple(np.shape(output)) for output in outputs]
    most = shapes[0][1] if shapes and len(shapes[0]) == 3 else 0
    if shapes != [(1, most, 4), (1, most), (1, most), (1,)]:
        raise ValueError(f"outputs are {shapes}: give boxes, classes, scores and their number")
    count = min(max(int(outputs[3][0]), 0), most)
    boxes, classes, scores = (np.asarray(output)[0, :count] for output in outputs[:3])
    height, width = post.input_size
    sides = np.asarray([width, height, width, height], np.float32)
    own = classes.astype(np.int64) + (post.background == 0)
    return Detections(
        boxes[:, [1, 0, 3, 2]].astype(np.float32) * sides, scores.astype(np.float32), own
    )
