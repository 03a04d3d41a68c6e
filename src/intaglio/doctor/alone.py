"""How much the network's outputs suffer where one thing alone is put on its integer grid.

All else stays float32, so that the errors of layers do not mix. A change is tried from its node on:
what lies before is computed once for all changes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.metrics import sqnr_db
from intaglio.ops import OPS
from intaglio.run.float import channels_last, in_layout, run_float, run_node
from intaglio.run.partial import behind, run_partial

PIECE = 4
"""Images whose values are all held at once: MobileNetV2 at 224 x 224 has 27 MB an image."""


@dataclass(frozen=True, eq=False)
class Change:
    """What is put in the place of a node's own numbers.

    Attributes:
        node: Its name.
        params: Weights by role.
        value: What its value becomes; None: as it is.
        inputs: By name of an input, what this node alone reads in its place.
    """

    node: str
    params: Mapping[str, Tensor] = field(default_factory=dict)
    value: Callable[[Tensor], Tensor] | None = None
    inputs: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Baseline:
    """A float network and images, to try changes on.

    Attributes:
        graph: Lowered float graph, as it runs fastest.
        images: [N, C, H, W], N >= 1.
        known: All values, where the images are few enough to hold them; None: computed anew.
    """

    graph: Graph
    images: Tensor
    known: Mapping[str, Tensor] | None

    @staticmethod
    def of(graph: Graph, images: Tensor) -> Baseline:
        """Return the baseline; up to PIECE images are run here, once."""
        fast = channels_last(graph)
        return Baseline(fast, images, _values(fast, images) if len(images) <= PIECE else None)

    def pieces(self) -> Iterator[Mapping[str, Tensor]]:
        """Yield all values, PIECE images at a time."""
        if self.known is not None:
            yield self.known
            return
        for piece in torch.split(self.images, PIECE):
            yield _values(self.graph, piece)


def sqnr_alone(baseline: Baseline, changes: Sequence[Change]) -> list[float]:
    """Return the SQNR of the outputs in dB under each change alone; the lowest of several."""
    if not changes:
        return []
    outputs = baseline.graph.outputs
    signal = [0.0] * len(outputs)
    noise = [[0.0] * len(outputs) for _ in changes]
    for values in baseline.pieces():
        for number, name in enumerate(outputs):
            signal[number] += _power(values[name])
        for change, sums in zip(changes, noise, strict=True):
            changed = _changed_outputs(baseline.graph, values, change)
            for number, name in enumerate(outputs):
                sums[number] += _power(changed[name] - values[name])
    return [
        min(sqnr_db(power, lost) for power, lost in zip(signal, sums, strict=True))
        for sums in noise
    ]


def _values(graph: Graph, images: Tensor) -> dict[str, Tensor]:
    """Return every value of the graph."""
    values: dict[str, Tensor] = {}
    run_float(graph, in_layout(images), tap=lambda node, value: values.update({node.name: value}))
    return values


def sqnr_together(baseline: Baseline, changes: Sequence[Change]) -> float:
    """Return the SQNR of the outputs in dB under all changes at once; the lowest of several."""
    graph, by_node = baseline.graph, {change.node: change for change in changes}
    outputs = graph.outputs
    signal, noise = [0.0] * len(outputs), [0.0] * len(outputs)

    def step(node: Node, inputs: Sequence[Tensor]) -> Tensor:
        """Return the node's value, changed where it is to be."""
        change = by_node.get(node.name, Change(node.name))
        params = {**graph.params_of(node), **change.params}
        value = OPS[node.op].function(node, inputs, params)
        return value if change.value is None else change.value(value)

    for values in baseline.pieces():
        given = {name: values[name] for name in graph.inputs}
        with torch.inference_mode():
            changed = run_partial(graph, given, outputs, step)
        for number, name in enumerate(outputs):
            signal[number] += _power(values[name])
            noise[number] += _power(changed[name] - values[name])
    return min(sqnr_db(power, lost) for power, lost in zip(signal, noise, strict=True))


def _changed_outputs(
    graph: Graph, values: Mapping[str, Tensor], change: Change
) -> dict[str, Tensor]:
    """Return the network's outputs, by name, under the change; only what it alters is run."""
    altered = {node.name for node in behind(graph, change.node)}
    given = {name: value for name, value in values.items() if name not in altered}
    with torch.inference_mode():
        given[change.node] = _changed_value(graph, values, change)
        return run_partial(graph, given, graph.outputs, functools.partial(run_node, graph))


def _changed_value(graph: Graph, values: Mapping[str, Tensor], change: Change) -> Tensor:
    node = graph[change.node]
    value = values[node.name]
    if change.inputs or change.params:
        inputs = [
            change.inputs[name](values[name]) if name in change.inputs else values[name]
            for name in node.inputs
        ]
        value = OPS[node.op].function(node, inputs, {**graph.params_of(node), **change.params})
    return value if change.value is None else change.value(value)


def _power(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values, dtype=torch.float64)) ** 2
