"""What SSD, RetinaNet and FCOS share: from head maps to rows, and from rows to results."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from detectors.torchvision_style.boxes import batched_nms
from detectors.torchvision_style.transform import GeneralizedRCNNTransform, ImageList, sizes_of

Results = list[dict[str, Tensor]]
"""One dict an image: boxes [n, 4], scores [n], labels [n]."""


def rows_of(maps: Tensor, columns: int) -> Tensor:
    """Return [N, H * W * A, columns] from [N, A * columns, H, W]."""
    batch, _, height, width = maps.shape
    maps = maps.view(batch, -1, columns, height, width)
    return maps.permute(0, 3, 4, 1, 2).reshape(batch, -1, columns)


def best(
    boxes: list[Tensor], scores: list[Tensor], labels: list[Tensor], *, overlap: float, most: int
) -> dict[str, Tensor]:
    """Return the result of an image from candidates by level or class, suppressed by class."""
    all_boxes, all_scores, all_labels = torch.cat(boxes), torch.cat(scores), torch.cat(labels)
    kept = batched_nms(all_boxes, all_scores, all_labels, overlap)[:most]
    return {"boxes": all_boxes[kept], "scores": all_scores[kept], "labels": all_labels[kept]}


class OneStage(nn.Module):
    """A transform, a backbone, a head, anchors, and what is left of them after thresholds."""

    def __init__(
        self,
        backbone: nn.Module,
        anchor_generator: nn.Module,
        *,
        head: nn.Module,
        transform: GeneralizedRCNNTransform,
        score_thresh: float,
        nms_thresh: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.anchor_generator = anchor_generator
        self.head = head
        self.transform = transform
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_img, self.topk_candidates = 60, 300

    def detections(
        self,
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        *,
        images: ImageList,
        features: list[Tensor],
    ) -> Results:
        """Return the results in pixels of the resized images."""
        raise NotImplementedError

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> Results:
        if self.training:
            raise ValueError("these detectors are for eval mode")
        original_image_sizes = sizes_of(images)
        seen, targets = self.transform(images, targets)
        features = self.backbone(seen.tensors)
        if isinstance(features, Tensor):
            features = OrderedDict([("0", features)])
        features = list(features.values())
        head_outputs = self.head(features)
        anchors = self.anchor_generator(seen, features)
        found = self.detections(head_outputs, anchors, images=seen, features=features)
        return self.transform.postprocess(found, seen.image_sizes, original_image_sizes)


def by_level(
    head_outputs: dict[str, Tensor], anchors: list[Tensor], features: list[Tensor]
) -> tuple[dict[str, list[Tensor]], list[list[Tensor]]]:
    """Return head outputs and the anchors of each image, cut into the levels of the pyramid."""
    places = [feature.size(2) * feature.size(3) for feature in features]
    at_each = next(iter(head_outputs.values())).size(1) // sum(places)
    counts = [count * at_each for count in places]
    outputs = {name: list(rows.split(counts, dim=1)) for name, rows in head_outputs.items()}
    return outputs, [list(of_image.split(counts)) for of_image in anchors]


def candidates(scores: Tensor, threshold: float, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return score, place and class of the best of scores [P, K] above a threshold, best first."""
    classes = scores.shape[-1]
    flat = scores.flatten()
    above = flat > threshold
    indices = torch.where(above)[0]
    found, order = flat[above].topk(min(len(indices), most))
    indices = indices[order]
    return found, torch.div(indices, classes, rounding_mode="floor"), indices % classes
