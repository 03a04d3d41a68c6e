"""Ranges that are seen on noise with the statistics of batch norms, where these imply too little.

Values of which batch norms say nothing get the range that they have there, widened; those that are
clamped at both ends get these ends.

Scores of classes get more. Batch norms end before them, and taking the features that they are
computed from as independent is wrong by any factor: features of one class go together. Noise that
a network computes with its own statistics says how they do: the ratio of the scores' deviation to
the one that independent features would give is 1.2 to 2.2 there for six networks, and 1.4 to 2.5
on photographs. So their range is

    low = min over classes of mean - 6 d,   high = max over classes of mean + 12 d

where d is the deviation of the scores on noise, widened: photographs differ from each other more
than noise does. The class that wins is far above the mean of all images, and those that lose are
not as far below it. One deviation serves all classes, as their scores are compared to each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from intaglio.calibrate.calibrator import Calibrator
from intaglio.calibrate.noise import run_matched
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.normal import Normal
from intaglio.ops.schema import activate
from intaglio.targets.runtime import Ranges

MARGIN = 1.25
"""By how much ranges that were seen on noise are widened: images have tails that noise has not."""
FEWEST_CLASSES = 3
"""Fewer numbers, or maps of them, may be anything."""
PHOTOGRAPHS = 1.6
"""The deviation of scores on images, of that on noise: 1.37 to 1.90 in six networks."""
PIECE = 8
"""Images that are computed at once."""
ABOVE, BELOW = 12.0, 6.0
"""Deviations of scores that their range holds. On 256 photographs the largest is 4 to 14 above the
mean, and the least 2 to 5 below it; a range that is too narrow costs every answer."""

Bounds = tuple[Tensor, Tensor]


def noise_ranges(
    graph: Graph, noise: Tensor, statistics: Mapping[str, Normal], names: set[str]
) -> Ranges:
    """Return the range of each value on noise with the statistics of batch norms, widened."""

    def widened(node: Node, value: Tensor) -> Bounds:
        """Return the ends of a value, further from zero; those of a clamp, where it has two."""
        ends = node.attrs.get("activation") or (-math.inf, math.inf)
        if all(map(math.isfinite, ends)):
            low, high = (torch.tensor(float(end)) for end in ends)
        else:
            low, high = (activate(MARGIN * end, ends) for end in value.aminmax())
        return low.clamp(max=0.0), high.clamp(min=0.0)

    return _seen(graph, noise, statistics, names, widened)


def score_ranges(
    graph: Graph, noise: Tensor, statistics: Mapping[str, Normal], names: set[str]
) -> Ranges:
    """Return the range of each value of scores, [N, classes], as it is expected on images."""

    def expected(node: Node, value: Tensor) -> Bounds:
        """Return the ends of scores."""
        variance, mean = torch.var_mean(value.double(), 0, correction=0)
        deviation = PHOTOGRAPHS * variance.mean().sqrt()
        ends = mean.min() - BELOW * deviation, mean.max() + ABOVE * deviation
        low, high = (activate(end, node.attrs.get("activation")) for end in ends)
        return low.clamp(max=0.0).float(), high.clamp(min=0.0).float()

    return _seen(graph, noise, statistics, names, expected)


def calibrated_ranges(
    graph: Graph, noise: Tensor, statistics: Mapping[str, Normal], by: Mapping[str, Calibrator]
) -> Ranges:
    """Return what calibrators, by value, make of noise with the statistics of batch norms.

    Args:
        noise: [N, C, ...]; it is shown in pieces of `PIECE`.
    """

    def seen(node: Node, value: Tensor) -> None:
        """Show a value to its calibrator."""
        if node.name in by:
            by[node.name].observe(value)

    for piece in torch.split(noise, PIECE):
        run_matched(graph, piece, statistics, seen)
    return {name: calibrator.range() for name, calibrator in by.items()}


def scores_classes(node: Node) -> bool:
    """Whether an output can be scores of classes: [N, C], C not too small."""
    return len(node.shape) == 2 and node.channels >= FEWEST_CLASSES


def _seen(
    graph: Graph,
    noise: Tensor,
    statistics: Mapping[str, Normal],
    names: set[str],
    bounds: Callable[[Node, Tensor], Bounds],
) -> Ranges:
    found: dict[str, Bounds] = {}

    def seen(node: Node, value: Tensor) -> None:
        """Note the ends of a value."""
        if node.name in names:
            found[node.name] = bounds(node, value)

    run_matched(graph, noise, statistics, seen)
    return found
