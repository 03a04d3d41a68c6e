"""Each kind: its network, what it learns, and what it is worth in points (100 is perfect).

Nothing here uses intaglio: these are the truths that its verdicts are held against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.judged import detection
from benchmarks.judged.networks import (
    Larger,
    Maps,
    Pooled,
    Regression,
    Ssd,
    TwoHeads,
    YoloDecoded,
    YoloRaw,
)
from benchmarks.judged.scenes import SHAPES, SIZE, Scenes

Outputs = Sequence[Tensor]
Score = Callable[[Outputs, Scenes], Tensor]
Groups = Callable[[Outputs], dict[str, Tensor]]

REACH = 1.5
"""Cells that a keypoint may be off, of sixteen a side."""
POINTS_A_DECIBEL = 2.0
"""A decibel of PSNR is worth two points, so that half of one can be seen."""


@dataclass(frozen=True)
class Kind:
    """One kind of network.

    Attributes:
        name: What it is called in rows.
        build: Makes it, untrained.
        loss: Of outputs for pictures; what it is trained by.
        points: What outputs are worth on pictures, the more the better.
        labels: What the user of such a network has to give as labels; None where there is no form
            of them that a task takes.
        groups: Groups of channels that mean something else each, [N, C, ...] by name.
        steps: Of training.
    """

    name: str
    build: Callable[[], nn.Module]
    loss: Score
    points: Score
    labels: Callable[[Scenes], Tensor] | None
    groups: Groups
    steps: int = 200


def whole(outputs: Outputs) -> dict[str, Tensor]:
    """Return each output as one group."""
    return {f"output {number}": output for number, output in enumerate(outputs)}


def channels(outputs: Outputs) -> dict[str, Tensor]:
    """Return each channel of the first output as a group."""
    return {f"channel {index}": outputs[0][:, [index]] for index in range(outputs[0].shape[1])}


def classes(scenes: Scenes) -> Tensor:
    """Return the class, 0..9: shape and colour."""
    return scenes.shape * 2 + scenes.warm


def is_round(scenes: Scenes) -> Tensor:
    """Return 1 for discs and rings, [N] int64."""
    return ((scenes.shape == 0) | (scenes.shape == 2)).long()


def attributes(scenes: Scenes) -> Tensor:
    """Return what is true of a picture, [N, 4] of 0 and 1: round, warm, large, left."""
    large, left = scenes.radius > 6.75, scenes.centre[:, 0] < SIZE / 2
    return torch.stack([is_round(scenes), scenes.warm, large, left], 1).float()


def numbers(scenes: Scenes) -> Tensor:
    """Return four numbers of a picture, [N, 4]: where, how large, how near the background is."""
    ground = scenes.images[:, :, -2:].mean((1, 2, 3))
    columns = [*scenes.centre.unbind(1), scenes.radius, ground * 10.0]
    return torch.stack(columns, 1)


def heat(scenes: Scenes) -> Tensor:
    """Return a bump at the centre and at both ends of the shape, [N, 3, 16, 16]."""
    steps = (torch.arange(16) + 0.5) * 2.0
    reach = torch.tensor([0.0, -1.0, 1.0])
    x = scenes.centre[:, :1] + reach * scenes.radius[:, None]  # [N, 3]
    across = (steps.reshape(1, 1, 1, -1) - x[..., None, None]).square()
    down = (steps.reshape(1, 1, -1, 1) - scenes.centre[:, 1:, None, None]).square()
    return (-(across + down) / 18.0).exp()


def halved(scenes: Scenes) -> Tensor:
    """Return the depth at half the size, [N, 1, 16, 16]."""
    return functional.avg_pool2d(scenes.depth, 2)


def correct(found: Tensor, right: Tensor) -> Tensor:
    """Return the percentage of equal entries."""
    return 100.0 * (found == right).double().mean()


def explained(found: Tensor, target: Tensor) -> Tensor:
    """Return 100 (1 - RMSE / standard deviation of the target), the mean over channels (axis 1)."""
    apart = (found - target).double().transpose(0, 1).flatten(1)
    spread = target.double().transpose(0, 1).flatten(1).std(1)
    return 100.0 * (1.0 - apart.square().mean(1).sqrt() / spread).mean()


def keypoints_found(found: Tensor, target: Tensor) -> Tensor:
    """Return the percentage of maps whose highest place is within REACH of the target's."""

    def places(maps: Tensor) -> Tensor:
        """Return row and column of the highest value of each map, [N, K, 2]."""
        best = maps.flatten(2).argmax(2)
        return torch.stack([best // maps.shape[3], best % maps.shape[3]], 2).double()

    apart = (places(found) - places(target)).square().sum(2).sqrt()
    return 100.0 * (apart <= REACH).double().mean()


def overlap(found: Tensor, target: Tensor) -> Tensor:
    """Return the mean intersection over union of masks at one half, in percent."""
    inside, right = found.flatten(1) > 0.5, target.flatten(1) > 0.5
    union = (inside | right).sum(1).clamp(min=1)
    return 100.0 * ((inside & right).sum(1).double() / union).mean()


def psnr_points(found: Tensor, target: Tensor) -> Tensor:
    """Return the PSNR for pictures from -1 to 1, in points."""
    return POINTS_A_DECIBEL * -10.0 * ((found - target).double().square().mean() / 4.0).log10()


def near_in_depth(found: Tensor, target: Tensor) -> Tensor:
    """Return 100 (1 - mean of |found - target| / target)."""
    return 100.0 * (1.0 - ((found - target).abs() / target).double().mean())


def bce(found: Tensor, target: Tensor) -> Tensor:
    """Return the cross entropy of probabilities, away from their ends."""
    return functional.binary_cross_entropy(found.clamp(1e-4, 1 - 1e-4), target)


def two_losses(outputs: Outputs, scenes: Scenes) -> Tensor:
    """Return the loss of a class and a place."""
    place = functional.mse_loss(outputs[1] / 5.0, scenes.centre / 5.0)
    return functional.cross_entropy(outputs[0], scenes.shape) + place


def worse_of_two(outputs: Outputs, scenes: Scenes) -> Tensor:
    """Return the points of two heads: half of each, so that either shows."""
    place = explained(outputs[1], scenes.centre)
    return correct(outputs[0].argmax(1), scenes.shape) / 2 + place / 2


KINDS = (
    Kind(
        "classifier",
        lambda: Pooled(2 * SHAPES),
        lambda y, scenes: functional.cross_entropy(y[0], classes(scenes)),
        lambda y, scenes: correct(y[0].argmax(1), classes(scenes)),
        classes,
        whole,
    ),
    Kind(
        "one logit",
        lambda: Pooled(1),
        lambda y, scenes: bce(y[0][:, 0].sigmoid(), is_round(scenes).float()),
        lambda y, scenes: correct(y[0][:, 0] > 0, is_round(scenes) == 1),
        is_round,
        whole,
    ),
    Kind(
        "multi-label",
        lambda: Pooled(4, gated=True),
        lambda y, scenes: bce(y[0], attributes(scenes)),
        lambda y, scenes: correct(y[0] > 0.5, attributes(scenes) > 0.5),
        attributes,
        channels,
    ),
    Kind(
        "regression",
        Regression,
        lambda y, scenes: functional.mse_loss(y[0] / 4.0, numbers(scenes) / 4.0),
        lambda y, scenes: explained(y[0], numbers(scenes)),
        numbers,
        channels,
    ),
    Kind(
        "heat map",
        lambda: Maps(3),
        lambda y, scenes: functional.mse_loss(y[0], heat(scenes)),
        lambda y, scenes: keypoints_found(y[0], heat(scenes)),
        heat,
        channels,
        steps=120,
    ),
    Kind(
        "mask",
        lambda: Maps(1, whole=True, gated=True),
        lambda y, scenes: bce(y[0], scenes.mask),
        lambda y, scenes: overlap(y[0], scenes.mask),
        lambda scenes: scenes.mask,
        whole,
        steps=80,
    ),
    Kind(
        "super-resolution",
        Larger,
        lambda y, scenes: functional.mse_loss(y[0], scenes.fine),
        lambda y, scenes: psnr_points(y[0], scenes.fine),
        lambda scenes: scenes.fine,
        channels,
        steps=80,
    ),
    Kind(
        "depth",
        lambda: Maps(1),
        lambda y, scenes: functional.l1_loss(y[0], halved(scenes)),
        lambda y, scenes: near_in_depth(y[0], halved(scenes)),
        halved,
        whole,
        steps=120,
    ),
    Kind(
        "yolo raw",
        YoloRaw,
        detection.raw_loss,
        lambda y, scenes: detection.hits(detection.raw_detections(y), scenes),
        None,
        detection.raw_groups,
    ),
    Kind(
        "yolo decoded",
        YoloDecoded,
        detection.decoded_loss,
        lambda y, scenes: detection.hits(detection.decoded_detections(y), scenes),
        None,
        detection.decoded_groups,
        steps=300,
    ),
    Kind(
        "ssd",
        Ssd,
        detection.ssd_loss,
        lambda y, scenes: detection.hits(detection.ssd_detections(y), scenes),
        None,
        whole,
        steps=120,
    ),
    Kind("two heads", TwoHeads, two_losses, worse_of_two, None, whole),
)
