"""Ranges without images: from what batch norms imply, and from noise where they imply nothing.

    low = min over channels of (mean - n std),   high = max over channels of (mean + n std)

of a value before its activation, both then through the activation. Source: Nagel et al. 2019
(arXiv:1906.04721), section 4.2, with n = 6; functions of a value have the range of the function
over these deviations. Calibrators that weigh what they see against each other (`mse`, `aciq`, ...)
see noise with the network's own statistics instead, as they would see images: numbers drawn as
batch norms imply, each for itself, have lighter tails (ResNet-20 at 4 bits, top-1 73.6 with them
and 77.2 with noise). Scores of classes go by noise (noise_ranges.py) too: how far they get depends
on which features go together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from intaglio.calibrate.calibrator import Calibrator
from intaglio.calibrate.loop import unclipped_values
from intaglio.calibrate.minmax import MinMax
from intaglio.calibrate.noise_ranges import scores_classes
from intaglio.calibrate.plan import observed_values, stored_range
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantSpec
from intaglio.ops.schema import activate
from intaglio.passes.implied_values import REACH, Implied
from intaglio.targets.runtime import Ranges

DEVIATIONS = 5.0
"""To either side that a value's range holds. Six, as in the source, leave MobileNetV2 0.5 dB less:
the widest of many channels makes the range of all, and little of it lies beyond five."""
DEVIATIONS_OF_OUTPUTS = 12.0
"""The same of outputs that are no scores of classes: nothing behind them is known."""
Bounds = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class NoImages:
    """What is known in place of images.

    Attributes:
        values: What batch norms imply, by value.
        images: The range of the network's input, [] each.
        noise: Returns the ranges of the values that it is asked for, seen on noise.
        scores: The same for scores of classes.
        observed: Shows values on noise to calibrators, by value, and returns their ranges.
    """

    values: Mapping[str, Implied]
    images: Bounds
    noise: Callable[[set[str]], Ranges]
    scores: Callable[[set[str]], Ranges]
    observed: Callable[[Mapping[str, Calibrator]], Ranges]


@dataclass(frozen=True, eq=False)
class ImpliedRanges:
    """Ranges of all values that a plan wants seen.

    Attributes:
        ranges: Which.
        from_noise: Values of which batch norms imply nothing, in the graph's order.
    """

    ranges: Ranges
    from_noise: tuple[str, ...]


def implied_ranges(
    graph: Graph, plan: Plan, known: NoImages, *, calibrator: Callable[[QuantSpec], Calibrator]
) -> ImpliedRanges:
    """Return the range of every value that the plan wants seen, and of every constant."""
    wanted, unclipped = observed_values(graph, plan), unclipped_values(graph, plan)
    scores = {name for name in wanted & unclipped if scores_classes(graph[name])}
    ranges: dict[str, Bounds] = dict(known.scores(scores)) if scores else {}
    asked: dict[str, Calibrator] = {}
    for node in graph:
        value = known.values.get(node.name)
        if node.name in ranges:
            continue
        if node.name in wanted and node.op == "input":
            ranges[node.name] = known.images
        elif node.name in wanted and value is not None:
            if node.name in unclipped:
                ranges[node.name] = reached(node, value, DEVIATIONS_OF_OUTPUTS)
            elif calibrator is MinMax:
                ranges[node.name] = reached(node, value, DEVIATIONS)
            else:
                asked[node.name] = calibrator(plan.activations[node.name])
        elif node.name in plan.activations and (stored := stored_range(graph, node)) is not None:
            ranges[node.name] = stored
    ranges |= known.observed(asked) if asked else {}
    missing = wanted - ranges.keys()
    ranges |= known.noise(missing) if missing else {}
    blind = missing | (scores - known.values.keys())
    return ImpliedRanges(ranges, tuple(node.name for node in graph if node.name in blind))


def reached(node: Node, value: Implied, reach: float) -> Bounds:
    """Return (low, high), [] each, of all channels within so many deviations; 0 is between them.

    Functions and values with bounds have no more than what is within REACH.
    """
    low, high = value.within(min(reach, REACH))
    if value.before is not None:
        ends = value.before.lower(reach), value.before.upper(reach)
        low, high = (activate(end, node.attrs.get("activation")) for end in ends)
    return low.min().clamp(max=0.0).float(), high.max().clamp(min=0.0).float()
