"""What segmenters end in: logits brought to the image's size, and what these mean."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from intaglio.maps.postprocess import MapPostProcess

VOC_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""The classes of PASCAL VOC, in the order of its masks."""


def scored_classes(num_classes: int) -> MapPostProcess:
    """Return what logits [N, num_classes, H, W] mean; 21 classes are those of VOC.

    Raises:
        ValueError: If there are more classes than 255.
    """
    names = VOC_NAMES if num_classes == len(VOC_NAMES) else ()
    return MapPostProcess(num_classes, names=names)


def enlarged(features: Tensor, like: Tensor) -> Tensor:
    """Return [N, C, H, W] of features [N, C, h, w], bilinear, as high and wide as `like`.

    Pixels are known by their centres (align_corners=False).
    """
    return F.interpolate(features, size=list(like.shape[-2:]), mode="bilinear", align_corners=False)
