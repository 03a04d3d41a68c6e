"""Cross-layer equalization: channels of equal size, so that one int8 grid serves them all.

Source: Nagel et al. 2019 (arXiv:1906.04721), section 4.1. How we differ: all layers along a
residual stream are scaled together; a clamp such as ReLU6 stays, and only scales are used at which
it cannot bind more or less than before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.methods.structure.streams import Stream, find_streams
from intaglio.numerics.normal import Normal
from intaglio.passes.channels import reads_channels
from intaglio.run.float import run_float

SWEEPS = 200
SETTLED = 1e-4
"""Largest relative change of a scale in one sweep at which sweeping ends."""


def equalizing_scales(*ranges: Tensor) -> list[Tensor]:
    """Return the scales that give a chain of weights equal channel ranges, one for each joint.

        two weights:                s   = sqrt(r1 r2) / r2
        with a depthwise between:   s12 = r0 / (r0 r1 r2)^(1/3),  s23 = (r0 r1 r2)^(1/3) / r2

    Divide the weight before a joint (and its bias) by the joint's scale and multiply the weight
    behind by it: all ranges become their geometric mean.

    Args:
        ranges: For each weight along the chain [C], the largest magnitude of each channel: of
            output channels in the first, of input channels in the last.

    Returns:
        One [C] less than there are ranges, > 0. A channel with a range of 0 anywhere gets 1.
    """
    stacked = torch.stack(ranges).double()  # [weights, C]
    alive = (stacked > 0).all(0)
    logs = stacked.where(alive, 1.0).log()
    return list((logs - logs.mean(0)).cumsum(0)[:-1].exp())


def equalize(
    graph: Graph,
    statistics: Mapping[str, Normal],
    *,
    deviations: float = 6.0,
    largest: Mapping[str, Tensor] | None = None,
) -> dict[str, Normal]:
    """Equalize every stream of the graph, in place, sweeping until the scales settle.

    ReLU and no activation take any scale. A clamp at 6 takes s >= (mean + deviations * std) / 6,
    and s = 1 where mean + deviations * std > 6, for the channel's statistics; a layer with such a
    clamp and without statistics is left alone, and so is a channel that is 0 on one side.

    Args:
        graph: Canonical or lowered, dead channels folded (else they are what is equalized).
        statistics: By layer, before the activation.
        deviations: Beyond how many standard deviations no value is expected.
        largest: By layer [C], the largest value of each channel that images gave behind its clamp
            (`largest_values`). It then counts instead of the statistics: s >= 1.25 largest / 6,
            and s = 1 where a value reached 6. Real tails are heavier, and rare channels smaller,
            than a normal distribution's: on trained networks this keeps the function better and
            equalizes more.

    Returns:
        The statistics of the rescaled layers: each channel's mean and std divided by its scale.
    """
    streams = find_streams(graph, statistics, deviations=deviations, largest=largest)
    layers = {node.name: _Layer.of(graph, node) for node in graph if reads_channels(graph, node)}
    scales = _Scales(streams, layers)
    for _ in range(SWEEPS):
        if max((scales.improve(index) for index in range(len(streams))), default=0.0) < SETTLED:
            break
    for name in layers:
        rescale_layer(graph, graph[name], scales.of_input(name), scales.of_output(name))
    rescaled = dict(statistics)
    for name, normal in statistics.items():
        scale = scales.of_output(name)
        if scale is not None:
            rescaled[name] = Normal(normal.mean / scale, normal.std / scale)
    return rescaled


def largest_values(graph: Graph, batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """Return, by layer, the largest value of each channel behind its activation, [C] float32.

    Args:
        graph: Canonical or lowered.
        batches: Images [N, C, H, W], N >= 1.
    """
    found: dict[str, Tensor] = {}

    def look(node: Node, value: Tensor) -> None:
        """Take in a layer's value [N, C, ...]: the largest of each channel so far."""
        if reads_channels(graph, node):
            largest = value.transpose(0, 1).flatten(1).amax(1)
            known = found.get(node.name, largest)
            found[node.name] = torch.maximum(known, largest)

    for images in batches:
        run_float(graph, images, tap=look)
    return found


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's weight as equalization sees it: [groups, C_out / groups, C_in / groups] >= 0."""

    magnitude: Tensor

    @classmethod
    def of(cls, graph: Graph, node: Node) -> _Layer:
        """Return the largest magnitude in each kernel of a layer, float64."""
        weight = graph.param(node, "weight").double()
        groups = node.attrs.get("groups", 1)
        blocks = weight.abs().reshape(groups, len(weight) // groups, weight.shape[1], -1)
        return cls(blocks.amax(3))


class _Scales:
    """The scale of each stream's channels, improved stream by stream."""

    def __init__(self, streams: Sequence[Stream], layers: Mapping[str, _Layer]) -> None:
        self.streams, self.layers = streams, layers
        self.scales = [torch.ones_like(stream.lowest) for stream in streams]
        self.written = {name: i for i, stream in enumerate(streams) for name in stream.writers}
        self.read = {name: i for i, stream in enumerate(streams) for name in stream.readers}

    def of_output(self, layer: str) -> Tensor | None:
        """Return what the layer's rows are divided by, [C_out]; None: nothing."""
        return self.scales[self.written[layer]] if layer in self.written else None

    def of_input(self, layer: str) -> Tensor | None:
        """Return what the layer's columns are multiplied by, [C_in]; None: nothing."""
        return self.scales[self.read[layer]] if layer in self.read else None

    def improve(self, index: int) -> float:
        """Equalize one stream, given all others; return the largest relative change."""
        stream, old = self.streams[index], self.scales[index]
        before = torch.stack([self._ranges(name, axis=2) for name in stream.writers]).amax(0)
        behind = torch.stack([self._ranges(name, axis=1) for name in stream.readers]).amax(0)
        (change,) = equalizing_scales(before, behind)
        new = torch.maximum(old * change, stream.lowest).where(stream.free, 1.0)
        new = new.where((before > 0) & (behind > 0), old)
        self.scales[index] = new
        return float((new / old).log().abs().max())

    def _ranges(self, layer: str, *, axis: int) -> Tensor:
        """Return the ranges of output (axis 2) or input (axis 1) channels, over the tensor's."""
        scaled = self.layers[layer].magnitude
        groups = len(scaled)
        inputs, outputs = self.of_input(layer), self.of_output(layer)
        if inputs is not None:
            scaled = scaled * inputs.reshape(groups, 1, -1)
        if outputs is not None:
            scaled = scaled / outputs.reshape(groups, -1, 1)
        return scaled.amax(axis).flatten() / scaled.max().clamp(min=torch.finfo().tiny)


def rescale_layer(graph: Graph, node: Node, inputs: Tensor | None, outputs: Tensor | None) -> None:
    """Multiply columns by `inputs` [C_in], divide rows and bias by `outputs` [C_out]."""
    weight = graph.param(node, "weight")
    groups = node.attrs.get("groups", 1)
    blocks = weight.double().reshape(groups, len(weight) // groups, weight.shape[1], -1)
    if inputs is not None:
        blocks = blocks * inputs.reshape(groups, 1, -1, 1)
    if outputs is not None:
        blocks = blocks / outputs.reshape(groups, -1, 1, 1)
        if "bias" in node.params:
            bias = graph.param(node, "bias").double()
            graph.set_param(node, "bias", (bias / outputs).float())
    if inputs is not None or outputs is not None:
        graph.set_param(node, "weight", blocks.reshape(weight.shape).float())
