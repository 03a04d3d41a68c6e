"""What batch norms imply of all values of a network: a distribution for each channel, without data.

A batch norm states the mean and deviation of each channel that it makes, taken as normal. From
there on a value is followed in one of two ways. What is computed number by number from one such
value (an activation, a gate and what it multiplies) stays a function of it, and is computed as one:
x sigmoid(x) knows that its factors go together. Everything else (sums of branches, pools, layers
without a batch norm) keeps the mean and the deviation alone, and is taken as normal once more.

Source: Nagel et al. 2019 (arXiv:1906.04721), section 4, for what a ReLU makes of a normal
distribution; functions, products and the one root are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.normal import Normal
from intaglio.ops import OPS
from intaglio.ops.schema import activate
from intaglio.ops.traits import ELEMENTWISE, TRAITS
from intaglio.passes.channel_statistics import moments_before, post_activation

REACH, POINTS = 8.0, 513
"""Deviations to either side at which a value is followed, and at how many points. Means over them
are exact to some 1e-4 deviations where a function bends sharply, and far better where it is smooth.
"""

LAST_BITS = 1e-12


@dataclass(frozen=True, eq=False)
class Implied:
    """A value's distribution, channel by channel.

    Attributes:
        root: The value that it is a function of; its own name where it is taken as normal.
        points: [POINTS, C] float64: the value where its root is as many deviations off its mean as
            `deviations` says, from -REACH to REACH.
        moments: Mean and deviation of it.
        before: The same before its activation, where it is taken as normal there, without bounds;
            else None.
    """

    root: str
    points: Tensor
    moments: Normal
    before: Normal | None = None

    def within(self, reach: float) -> tuple[Tensor, Tensor]:
        """Return (low, high), [C] each, for roots at most `reach` <= REACH deviations off."""
        held = self.points[deviations().abs() <= reach]
        return held.amin(0), held.amax(0)


def deviations() -> Tensor:
    """Return where values are followed, [POINTS] float64, in deviations of their root."""
    return torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64)


def implied_values(graph: Graph, statistics: Mapping[str, Normal]) -> dict[str, Implied]:
    """Return what is implied of every value, behind its activation, of which something is.

    What is assumed where batch norms do not say:
      - an addition adds independent values, a product multiplies such, unless both are functions of
        the same value;
      - a mean or average pool keeps the mean. Its deviation is smaller than its input's by an
        unknown amount (neighbours are alike): the input's is kept, as an upper bound;
      - a max pool, resizing and padding keep both, as if they only moved values;
      - a layer without statistics maps the mean exactly but for its zero padding, and takes
        channels as independent, positions of one channel as equal.

    Args:
        graph: Canonical or lowered.
        statistics: From `channel_statistics`, or as a later pass returned them.
    """
    found: dict[str, Implied] = {}
    for node in graph:
        stated = statistics.get(node.name)
        made = _rooted(node, stated) if stated is not None else _followed(graph, node, found)
        if made is not None:
            found[node.name] = made
    return found


def value_moments(graph: Graph, statistics: Mapping[str, Normal]) -> dict[str, Normal]:
    """Return mean and deviation of the channels of every value for which they follow.

    Arguments as of `implied_values`.
    """
    return {name: value.moments for name, value in implied_values(graph, statistics).items()}


def _rooted(node: Node, before: Normal, bounds: tuple[Tensor, Tensor] | None = None) -> Implied:
    """Return a value that is normal before its activation, as far as bounds [C] allow."""
    points = before.mean + deviations().unsqueeze(1) * before.std
    if bounds is not None:
        points = points.clamp(*bounds)
    activation = node.attrs.get("activation")
    behind = post_activation(before, activation)
    free = before if bounds is None else None
    return Implied(node.name, activate(points, activation), behind, free)


def _followed(graph: Graph, node: Node, known: Mapping[str, Implied]) -> Implied | None:
    roots = {known[name].root for name in node.inputs if name in known}
    if node.op in ELEMENTWISE and len(roots) == 1:
        made = _computed(graph, node, known, roots.pop())
        if made is not None:
            return made
    moments = {name: known[name].moments for name in node.inputs if name in known}
    before = moments_before(graph, node, moments)
    return None if before is None else _rooted(node, before, _bounds(node, known))


def _computed(graph: Graph, node: Node, known: Mapping[str, Implied], root: str) -> Implied | None:
    """Return a value that is computed, number by number, from a root and constants."""
    inputs = []
    for name in node.inputs:
        operand = graph[name]
        if operand.op == "constant":
            inputs.append(graph.param(operand, "value").double())
        elif name in known and len(operand.shape) == len(node.shape):
            points = known[name].points
            inputs.append(points.reshape(*points.shape, *[1] * (len(node.shape) - 2)))
        else:
            return None
    params = {role: value.double() for role, value in graph.params_of(node).items()}
    values = OPS[node.op].function(node, inputs, params)
    if values.numel() != POINTS * node.channels or not bool(values.isfinite().all()):
        return None  # constants that differ from place to place
    points = values.reshape(POINTS, -1)
    return Implied(root, points, averaged(points))


def averaged(points: Tensor) -> Normal:
    """Return mean and deviation [C] of a function of a normal value at all `deviations`."""
    shares = (-0.5 * deviations().square()).exp()
    shares /= shares.sum()
    middle = points[POINTS // 2]
    away = points - middle  # so that a constant has no deviation, but for a function's last bits
    away = away.where(away.abs().amax(0) > LAST_BITS * middle.abs(), 0.0)
    mean = shares @ away
    return Normal(middle + mean, (shares @ (away - mean).square()).sqrt())


def _bounds(node: Node, known: Mapping[str, Implied]) -> tuple[Tensor, Tensor] | None:
    """Return what a value cannot leave as long as its inputs are within REACH; None: anything."""
    if any(name not in known for name in node.inputs):
        return None
    ends = [known[name].within(REACH) for name in node.inputs]
    if node.op == "mul":
        (a_low, a_high), (b_low, b_high) = ends
        corners = torch.stack([a_low * b_low, a_low * b_high, a_high * b_low, a_high * b_high])
        return corners.amin(0), corners.amax(0)
    if TRAITS[node.op].values not in ("moved", "mean"):
        return None
    lows, highs = zip(*ends, strict=True)  # padding is zero, or is not seen
    return torch.cat(lows).amin().clamp(max=0.0), torch.cat(highs).amax().clamp(min=0.0)
