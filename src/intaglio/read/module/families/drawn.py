"""Raw outputs that are made up, to ask a detector's code about everything it might do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from intaglio.boxes.coders import Deltas, Distances
from intaglio.boxes.postprocess import Level, Part, PostProcess
from intaglio.read.module.families.rig import Behind

SURE = 60
"""Places of a picture that might be something."""
NEIGHBOURS = 6
"""Positions side by side that say the same of each place: their boxes overlap."""
LOW, HIGH = -12.0, 6.0
"""Logits of nothing, and of the background where there is one; those of something lie around."""
SHARES = (0.45, 0.9)
"""Of the numbers of boxes: up to here small, up to here as large as an anchor; the rest far beyond
what a trained head says."""


def drawn_outputs(
    post: PostProcess, outputs: Sequence[Tensor], generator: Generator
) -> list[Tensor]:
    """Return outputs of a first core that find a hundred or so boxes, of all sizes and places.

    Some boxes are far too large, some lie outside; nearly all positions are nothing.

    Args:
        post: What the outputs are held to mean: scores and boxes in outputs of their own.
        outputs: Real ones; those that are no scores and no boxes stay.
        generator: Of the noise.
    """
    made = [own.clone() for own in outputs]
    scores = {level.scores.output: level.scores for level in post.levels}
    for part in scores.values():
        _draw_scores(post, part, made[part.output], SURE / len(scores), generator)
    boxes = {part.output: level for level in post.levels for part in level.boxes}
    for output, level in boxes.items():
        _draw_boxes(level, made[output], generator)
    for output in {own.objectness.output for own in post.levels if own.objectness is not None}:
        made[output] = 2.0 + 2.0 * torch.randn(made[output].shape, generator=generator)
    return made


def drawn_behind(
    head: PostProcess, regions: Tensor, outputs: Sequence[Tensor], generator: Generator
) -> Behind:
    """Return a second core that tells each region's class and box by random sums over it.

    What it gives depends on what was cut out, not on the order of the regions.

    Args:
        head: What its outputs are held to mean.
        regions: [R, C, size, size], of the example, for their spread.
        outputs: The real core's for them, for their shapes.
        generator: Of the weights.
    """
    level = head.levels[0]
    length = regions[0].numel()
    unit = length**0.5 * float(regions.std().clamp(min=1e-6))
    weights = [
        torch.randn((length, own.shape[1]), generator=generator) / unit
        if own.ndim == 2
        else torch.zeros(length, 1)
        for own in outputs
    ]
    for part in level.boxes:
        assert isinstance(level.coder, Deltas), "regions are moved by deltas"
        weights[part.output] *= torch.tensor(level.coder.weights).repeat(part.width // 4) / 3
    weights[level.scores.output] *= 3

    def behind(regions: Tensor) -> list[Tensor]:
        """Return the sums."""
        return [regions.flatten(1) @ own for own in weights]

    return behind


def _draw_scores(
    post: PostProcess, part: Part, scores: Tensor, count: float, generator: Generator
) -> None:
    """Fill scores, of all levels that they hold, with nothing but for `count` of each picture."""
    scores.copy_(LOW + torch.randn(scores.shape, generator=generator))
    if post.background is not None:
        nothing = _of_class(part, scores, post.background)
        nothing.copy_(HIGH + torch.randn(nothing.shape, generator=generator))
    chosen = torch.rand(scores.shape, generator=generator) < count * len(scores) / scores.numel()
    axis = 3 if part.layout == "map" else 1
    alone = chosen.clone()
    for step in range(1, NEIGHBOURS):
        chosen |= alone.roll(step, axis)
    logits = torch.rand(scores.shape, generator=generator) * 10 - 4
    scores[chosen] = logits[chosen] + (0.0 if post.background is None else HIGH)


def _of_class(part: Part, scores: Tensor, number: int) -> Tensor:
    """Return the numbers of one class, not copied."""
    if part.layout == "map":
        return scores[:, number :: part.width]
    return scores.select(scores.ndim - 1, number)


def _draw_boxes(level: Level, numbers: Tensor, generator: Generator) -> None:
    noise = torch.randn(numbers.shape, generator=generator)
    kind = torch.rand(numbers.shape, generator=generator)
    noise = noise.where(kind > SHARES[0], 0.1 * noise).where(kind < SHARES[1], 12 * noise)
    if isinstance(level.coder, Distances):
        noise = noise.abs() + 0.5  # behind a ReLU
        noise *= 1 if level.coder.unit == "anchor" else 16
    elif isinstance(level.coder, Deltas):
        noise *= sum(level.coder.weights) / 12
    numbers.copy_(noise)
