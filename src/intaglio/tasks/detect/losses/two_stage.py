"""The loss of Faster R-CNN: that of the regions it proposes, and that of what it says of them.

Sources: Ren et al. 2015, arXiv:1506.01497, sections 3.1.2 and 3.1.3 (regions); Girshick 2015,
arXiv:1504.08083, sections 2.3 and 3 (what is said of them).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.boxes.coders import Deltas
from intaglio.boxes.postprocess import PostProcess, TwoStage
from intaglio.data.truth import Category, Truth
from intaglio.tasks.detect.losses.coding import encoded
from intaglio.tasks.detect.losses.match import IGNORED, Rule, matched
from intaglio.tasks.detect.losses.multibox import delta_losses
from intaglio.tasks.detect.losses.raw import anchored, raw_numbers
from intaglio.tasks.detect.losses.wanted import Wanted, wanted_of
from intaglio.zoo.faster_rcnn import FasterRcnn, proposals
from intaglio.zoo.regions import pooled_of_all

REGION_RULE = Rule(0.7, 0.3)
HEAD_RULE = Rule(0.5, 0.5, keeps_best=False)
BETA = 1 / 9


@dataclass(frozen=True)
class Sampled:
    """How many positions of an image count, drawn at random.

    Attributes:
        anchors, anchor_share: Of the first stage, and which share of them are objects at most.
        regions, region_share: Of the second stage likewise.
    """

    anchors: int = 256
    anchor_share: float = 0.5
    regions: int = 128
    region_share: float = 0.25


def as_given(images: Tensor) -> Tensor:
    """Return the images themselves."""
    return images


@dataclass(frozen=True, eq=False)
class Stages:
    """Both networks of a detector of two stages.

    Attributes:
        first: Images to its outputs, as `post` numbers them.
        second: Regions [R, C, size, size] to its outputs, as `post.head` numbers them.
        post: What the numbers mean; of what size the images are.
        seen: What the detector's own code makes of images [N, 3, H, W], of their size, before the
            first stage sees them; no gradient flows through it.
    """

    first: nn.Module
    second: nn.Module
    post: TwoStage
    seen: Callable[[Tensor], Tensor] = as_given

    def outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what the first stage puts out for images [N, 3, H, W]."""
        found: tuple[Tensor, ...] = tuple(self.first(self.seen(images)))
        return found


def stages_of(module: FasterRcnn, input_size: tuple[int, int]) -> Stages:
    """Return both networks of a module, for images of `input_size` (height, width)."""
    return Stages(*module.stages(), module.postprocess(input_size))


def faster_rcnn_loss(
    module: FasterRcnn,
    images: Tensor,
    truths: Sequence[Truth],
    *,
    categories: Sequence[Category] = (),
    sampled: Sampled = Sampled(),
) -> Tensor:
    """Return the loss of a whole module on a batch, a mean over its images, [].

    What is drawn comes from torch's generator.

    Args:
        module: In training mode or not; gradients reach all of its weights.
        images: [N, 3, H, W].
        truths: Of each, placed in it.
        categories: Of the data set; () where labels have the module's classes.
        sampled: How many positions count.

    Raises:
        DataError: If labels are not of the module's classes, or not placed.
    """
    stages = stages_of(module, (images.shape[2], images.shape[3]))
    wanted = wanted_of(stages.post.head, categories, truths, images.device)
    return stages_loss(stages, stages.outputs(images), wanted, sampled)


def stages_loss(
    stages: Stages, outputs: Sequence[Tensor], wanted: Sequence[Wanted], sampled: Sampled
) -> Tensor:
    """Return the loss, [], of what the first stage put out and of what the second says of it."""
    regions = region_loss(stages.post.regions, outputs, wanted, sampled)
    return regions + _head_loss(stages, outputs, wanted, sampled)


def region_loss(
    post: PostProcess, outputs: Sequence[Tensor], wanted: Sequence[Wanted], sampled: Sampled
) -> Tensor:
    """Return the loss of the first stage, [], the mean over images of

        (sum of cross entropies of objectness + sum over objects of smooth L1 of deltas) / sampled

    Args:
        post: `two_stage.rpn`.
        outputs: Of the first stage.
        wanted: The objects of each image.
        sampled: How many anchors count.
    """
    raw = raw_numbers(post, outputs)
    places = anchored(post, raw.scores)
    with torch.no_grad():
        found = torch.stack(
            [
                drawn(
                    matched(places.boxes, one, REGION_RULE), sampled.anchors, sampled.anchor_share
                )
                for one in wanted
            ]
        )
        counted = found != IGNORED
    yes = (found >= 0).to(raw.scores.dtype)
    each = F.binary_cross_entropy_with_logits(raw.scores[..., 0], yes, reduction="none")
    boxes = delta_losses(post, raw, places, wanted, found, beta=BETA)
    return (((each * counted).sum(1) + boxes) / counted.sum(1).clamp(min=1)).mean()


def drawn(found: Tensor, count: int, share: float) -> Tensor:
    """Return [P] with no more than `count` positions that are not IGNORED, drawn at random.

    Args:
        found: [P], the object of each; below 0 background and IGNORED.
        count: Of positions.
        share: Of them that find an object, at most; background fills the rest.
    """
    (objects,), (nothing,) = (
        which.nonzero(as_tuple=True) for which in (found >= 0, (found < 0) & (found != IGNORED))
    )
    objects = _some(objects, int(count * share))
    chosen = torch.cat((objects, _some(nothing, count - len(objects))))
    kept = torch.full_like(found, IGNORED)
    kept[chosen] = found[chosen]
    return kept


def _some(of: Tensor, count: int) -> Tensor:
    return of[torch.randperm(len(of)).to(of.device)[:count]]


def _head_loss(
    stages: Stages, outputs: Sequence[Tensor], wanted: Sequence[Wanted], sampled: Sampled
) -> Tensor:
    """Return the loss of the second stage, [], the mean over images of

    (sum of cross entropies + sum over objects of smooth L1 of their class's deltas) / sampled
    """
    level, pooling = stages.post.head.levels[0], stages.post.pooling
    coder = level.coder
    assert isinstance(coder, Deltas), "fast_rcnn has it"
    with torch.no_grad():
        boxes, found = _sampled_regions(stages.post, outputs, wanted, sampled)
    maps, size = [outputs[one] for one in pooling.maps], stages.post.head.input_size
    said = stages.second(pooled_of_all(maps, boxes, pooling=pooling, input_size=size))
    logits, deltas = said[level.scores.output], said[level.boxes[0].output]
    counts = [len(one) for one in boxes]
    losses = []
    parts = zip(boxes, found, wanted, logits.split(counts), deltas.split(counts), strict=True)
    for own, index, one, scores, numbers in parts:
        (at,) = (index >= 0).nonzero(as_tuple=True)
        classes = torch.zeros_like(index)  # the background is 0
        classes[at] = one.classes[index[at]]
        target = encoded(coder, one.boxes[index[at]], own[at])
        rows = numbers.reshape(len(own), -1, 4)  # of each class, or of all together
        moves = rows[at, classes[at] if rows.shape[1] > 1 else 0]
        near = F.smooth_l1_loss(moves, target, reduction="sum", beta=BETA)
        losses.append((F.cross_entropy(scores, classes, reduction="sum") + near) / max(1, len(own)))
    return torch.stack(losses).mean()


def _sampled_regions(
    post: TwoStage, outputs: Sequence[Tensor], wanted: Sequence[Wanted], sampled: Sampled
) -> tuple[list[Tensor], list[Tensor]]:
    """Return of each image regions [R, 4] that count, and the objects that they are of, [R].

    They are drawn from what the first stage proposes, and from the objects themselves.
    """
    levels = post.regions.levels
    boxes, found = [], []
    for number, one in enumerate(wanted):
        objectness = [outputs[level.scores.output][number] for level in levels]
        deltas = [outputs[level.boxes[0].output][number] for level in levels]
        own = torch.cat((proposals(post.regions, objectness, deltas), one.boxes))
        kept = drawn(matched(own, one, HEAD_RULE), sampled.regions, sampled.region_share)
        (at,) = (kept != IGNORED).nonzero(as_tuple=True)
        boxes.append(own[at])
        found.append(kept[at])
    return boxes, found
