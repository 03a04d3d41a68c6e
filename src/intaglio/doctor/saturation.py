"""Activations that sit at their bounds: ReLU6, hard-swish and the gates of squeeze-excite."""

from __future__ import annotations

from collections.abc import Iterator

from intaglio.doctor.case import Case, add_db
from intaglio.doctor.evidence import ValueSeen, ends_of
from intaglio.doctor.finding import (
    HARD_SWISH,
    RELU6,
    SQUEEZE_EXCITE,
    Figures,
    Finding,
    Treatment,
)
from intaglio.ir.graph import Graph, Node

MOST_SATURATED = {RELU6: 0.25, HARD_SWISH: 0.5, SQUEEZE_EXCITE: 0.75}
"""Share of the numbers at a bound from which a layer is named.

What trained networks of the data pack have at most: ReLU6 at 6: 0.073 (MobileNetV1 0.25, last
layer); hard-swish shut or open: 0.20 (the stem of selfie_segmentation); its gates: 0.22 to within
half a step, but 0.55 beyond 0.05 and 0.95, which is where a hard sigmoid ends.
"""

REMEDIES = {
    RELU6: (
        "the layer's numbers are cut off at {high:g} in float already: retrain it with smaller"
        " gains, or try the recipe's step replace-relu6, which is harmless only where --apply or"
        " --eval shows it"
    ),
    HARD_SWISH: (
        "keep the activation in float (--keep-float {layer}), or retrain: most of its gates are"
        " fully shut or open, so that its input's grid is spent outside of -3..3"
    ),
    SQUEEZE_EXCITE: (
        "keep the gate in float (--keep-float {layer}), or retrain: it is a switch, and one step of"
        " its input decides over a whole channel"
    ),
}

CARRIERS = ("rescale", "reshape", "resize", "clamp", "quantize")
"""What may stand between a gate and its product: as networks spell squeeze-excite, and lowering.

Other ops that move values take a gate elsewhere than over its own channels.
"""


def find_saturation(case: Case) -> Iterator[Finding]:
    """Find activations of which more numbers are at a bound than in trained networks."""
    if case.evidence is None:
        return
    for node in case.graph:
        seen = case.evidence.values.get(node.name)
        high = ends_of(node)[1]
        if seen is None or high == float("inf"):
            continue
        cause = kind_of(case.graph, node)
        share = seen.share_at_high if cause == RELU6 else seen.share_at_high + seen.share_at_low
        if share > MOST_SATURATED[cause]:
            yield _finding(case, node, seen, cause, high)


def kind_of(graph: Graph, node: Node) -> str:
    """Return which cause a bounded activation would be: by what its value is used for.

    A gate is multiplied: with its own input (hard-swish), or with a value of more positions, or
    of the same shape (squeeze-excite). Every other clamp is a ReLU6.
    """
    for name, product in _products(graph, node):
        others = [other for other in product.inputs if other != name]
        if any(other in node.inputs for other in others):
            return HARD_SWISH
        if node.op == "sigmoid" or any(
            _positions(graph, o) > _positions(graph, name) for o in others
        ):
            return SQUEEZE_EXCITE
    return RELU6


def _products(graph: Graph, node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the multiplications that a value goes into, with the name under which it arrives."""
    waiting = [node.name]
    while waiting:
        name = waiting.pop()
        for reader in graph.readers(name):
            if reader.op == "mul":
                yield name, reader
            elif reader.op in CARRIERS:
                waiting.append(reader.name)


def _positions(graph: Graph, name: str) -> int:
    count = 1
    for size in graph[name].shape[2:]:
        count *= size
    return count


def _finding(case: Case, node: Node, seen: ValueSeen, cause: str, high: float) -> Finding:
    layer = case.layer_name(node.name)
    evidence: Figures = {"share_at_high": seen.share_at_high}
    if cause != RELU6:
        evidence["share_at_low"] = seen.share_at_low
    saturated = ((seen.low >= high) & (seen.high >= high)).sum()
    evidence["channels_always_at_high"] = int(saturated)
    evidence["channels"] = seen.channels
    harm = min(case.harm_of(name) for name in _heard_at(case, node, cause))
    evidence = add_db(evidence, sqnr_alone_db=harm)
    treatment = Treatment(keep_float=(layer,))
    if cause == RELU6:
        treatment = Treatment(steps=("replace-relu6",))
    remedy = REMEDIES[cause].format(layer=layer, high=high)
    return Finding(cause, layer, evidence, remedy, None, harm, treatment, node.name)


def _heard_at(case: Case, node: Node, cause: str) -> list[str]:
    """Return the values whose grids the saturation spoils: a gate's input as well as the gate."""
    if cause == RELU6:
        return [node.name]
    inputs = [name for name in node.inputs if case.graph[name].op != "constant"]
    return [node.name, *inputs] if node.op in ("add", "sigmoid") else [node.name]
