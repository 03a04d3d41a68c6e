"""Equalization by batch norms alone: channels get the scales at which rounding makes least noise.

Equal ranges of weights (equalize.py) are a means. What counts is the noise that rounding adds to
each layer's results, and batch norms tell all of it: how much inputs vary, how much results do, and
how far values reach. For the logarithms of all streams' scales at once, Adam minimizes

    weights   sum over layers of (step^2 / 12) sum_i Var[x_i], step = largest magnitude / qmax
    values    sum over values of step^2 / 12, step = range / 255
    clamps    sum over channels of E[(min(x, 6) - min(x, 6 s))^2]

each of a channel's noises weighed by what its readers make of it, over the variance of their own
results: the parts of the noise in what is read next. A clamp at 6 stays one at 6, so that a scale s
moves it to 6 s of what the channel was; x is taken to be distributed as Laplace has it, with the
mean and the deviation of the batch norm, since rare values of trained channels are far larger than
a normal distribution allows.

Source: Nagel et al. 2019 (arXiv:1906.04721), section 4.1, for the scales; the objective is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.methods.structure.equalize import rescale_layer
from intaglio.methods.structure.streams import Stream, find_streams
from intaglio.numerics.normal import Normal
from intaglio.numerics.spec import INT8_ACTIVATION, QuantSpec
from intaglio.ops.schema import activate
from intaglio.ops.traits import is_homogeneous
from intaglio.passes.channels import reads_channels
from intaglio.passes.implied_values import Implied, implied_values

ITERATIONS, RATE = 60, 0.1
"""Of Adam on logarithms, its rate falling: a scale can change twentyfold, and twenty steps more
gain a few percent of the noise."""
DEVIATIONS = 5.0
"""To either side that a value's range holds, as in calibrate/implied_ranges.py."""
CAUTION = 4.0
"""How much more a moved clamp counts than noise of the same size: rounding and biases make up for
some noise and for no clamp, and how often one binds is known by a distribution's tail alone."""
UNIFORM = 1.0 / 12.0
"""Variance of an error that is equally likely anywhere in one step."""

Values = Mapping[str, Implied]
Specs = Mapping[str, QuantSpec]


@dataclass(frozen=True, eq=False)
class _Layer:
    """What a layer's rounding depends on.

    Attributes:
        largest: Magnitude in each kernel, [G, O, I] float32.
        varies: Variance of what each kernel column reads, over all its positions, [G, 1, I].
        cost: Of noise in each result, [G, O, 1].
        spec: Grid of the weight.
        read, written: Which streams it reads and writes; None: one that keeps its scale.
    """

    largest: Tensor
    varies: Tensor
    cost: Tensor
    spec: QuantSpec
    read: int | None
    written: int | None

    def noise(self, scales: Sequence[Tensor]) -> Tensor:
        """Return what rounding the weight costs."""
        groups, one = len(self.largest), torch.ones(1, 1, 1, dtype=torch.float64)
        inputs = one if self.read is None else scales[self.read].reshape(groups, 1, -1)
        outputs = one if self.written is None else scales[self.written].reshape(groups, -1, 1)
        scaled = self.largest * inputs.float() / outputs.float()
        most = scaled.amax(2, keepdim=True) if self.spec.axis is not None else scaled.amax()
        step = most.double() / self.spec.qmax * outputs
        read = (self.varies / inputs.square()).sum(2, keepdim=True)
        return (UNIFORM * self.cost * step.square() * read).sum()


@dataclass(frozen=True, eq=False)
class _Channels:
    """What a stream's scales do to its values.

    Attributes:
        cost: Of noise in each channel, [C].
        ends: Lower and upper of each value's channels, [C] each.
        clamps: Distribution before each clamp, and where this cuts.
    """

    cost: Tensor
    ends: list[tuple[Tensor, Tensor]]
    clamps: list[tuple[Normal, float]]

    def noise(self, scales: Tensor) -> Tensor:
        """Return what rounding the values and moving their clamps costs."""
        total = torch.zeros((), dtype=torch.float64)
        levels = INT8_ACTIVATION.qmax - INT8_ACTIVATION.qmin
        for low, high in self.ends:
            reach = (high / scales).amax().clamp(min=0.0) - (low / scales).amin().clamp(max=0.0)
            total = total + UNIFORM * (self.cost * (reach / levels * scales).square()).sum()
        for normal, bound in self.clamps:
            total = total + CAUTION * (self.cost * clamp_moved(normal, bound, scales)).sum()
        return total


def equalize_implied(
    graph: Graph, statistics: Mapping[str, Normal], specs: Specs
) -> dict[str, Normal]:
    """Equalize every stream, in place; return the statistics of what it is then.

    The function stays but for clamps, which bind elsewhere for rare values. A stream is left alone
    if batch norms do not tell how its values are distributed, or if a clamp's lower end is not 0.

    Args:
        graph: Canonical or lowered, dead channels folded.
        statistics: By layer, before the activation.
        specs: Grid of the weight of each layer that is rounded.
    """
    values = implied_values(graph, statistics)
    found = find_streams(graph, statistics, deviations=0.0)
    streams = [stream for stream in found if _is_told(graph, stream, statistics, values)]
    scales = least_noise(*_objective(graph, streams, statistics, values, specs))
    rescaled = dict(statistics)
    written = {name: scales[i] for i, stream in enumerate(streams) for name in stream.writers}
    read = {name: scales[i] for i, stream in enumerate(streams) for name in stream.readers}
    for name in written.keys() | read.keys():
        rescale_layer(graph, graph[name], read.get(name), written.get(name))
        if name in rescaled and name in written:
            before, scale = rescaled[name], written[name]
            rescaled[name] = Normal(before.mean / scale, before.std / scale)
    return rescaled


def least_noise(layers: Sequence[_Layer], streams: Sequence[_Channels]) -> list[Tensor]:
    """Return the scales of each stream, [C] float64, that make least noise."""
    logs = [torch.zeros_like(stream.cost).requires_grad_() for stream in streams]
    if not logs:
        return []
    optimizer = torch.optim.Adam(logs, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, ITERATIONS)
    for _ in range(ITERATIONS):
        scales = [log.exp() for log in logs]
        noises = [layer.noise(scales) for layer in layers]
        noises += [stream.noise(one) for stream, one in zip(streams, scales, strict=True)]
        optimizer.zero_grad()
        torch.stack(noises).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return [log.detach().exp() for log in logs]


def clamp_moved(normal: Normal, bound: float, scales: Tensor) -> Tensor:
    """Return E[(min(x, bound) - min(x, bound s))^2] of Laplace's distribution, [C] float64.

    Between the two bounds, a apart and d wide, x goes on as e^(-t / b), b = std / sqrt(2):

        P(x > a) (2 b^2 - 2 b (b + d) e^(-d / b))

    exactly where a is above the mean, and an estimate from below otherwise.
    """
    first, last = (bound * scales.clamp(**end) for end in ({"max": 1.0}, {"min": 1.0}))
    rate = (normal.std / 2.0**0.5).clamp(min=torch.finfo(torch.float32).tiny)
    away, wide = (first - normal.mean) / rate, last - first
    beyond = torch.where(
        away > 0.0, 0.5 * (-away.clamp(min=0.0)).exp(), 1.0 - 0.5 * away.clamp(max=0.0).exp()
    )
    inside = 2.0 * rate * (rate - (rate + wide) * (-wide / rate).exp())
    return beyond * torch.minimum(inside, wide.square())


def _is_told(
    graph: Graph, stream: Stream, statistics: Mapping[str, Normal], values: Values
) -> bool:
    names = {*stream.writers, *(graph[name].inputs[0] for name in stream.readers)}
    for name in stream.writers:
        activation = graph[name].attrs["activation"]
        if not is_homogeneous(activation) and (activation[0] != 0.0 or name not in statistics):
            return False
    return all(name in values for name in names)


def _objective(
    graph: Graph,
    streams: Sequence[Stream],
    statistics: Mapping[str, Normal],
    values: Values,
    specs: Specs,
) -> tuple[list[_Layer], list[_Channels]]:
    """Return the layers that are rounded and the streams, as the noise sees them."""
    written = {name: index for index, one in enumerate(streams) for name in one.writers}
    read = {name: index for index, one in enumerate(streams) for name in one.readers}
    costs: dict[str, Tensor] = {}
    parts = {}
    for node in graph:
        if node.name in specs and reads_channels(graph, node):
            parts[node.name] = part = _part(graph, node, values)
            source = node.inputs[0]
            costs[source] = costs.get(source, 0.0) + part.cost_of_inputs()
    channels = [_channels(graph, one, statistics, values, costs) for one in streams]
    layers = []
    for name, part in parts.items():
        cost = part.relative
        if name in written:
            passed = _share_passed(statistics.get(name), graph[name].attrs["activation"])
            cost = channels[written[name]].cost * passed * part.alive
        shaped = cost.reshape(len(part.largest), -1, 1)
        placed = read.get(name), written.get(name)
        layers.append(_Layer(part.largest.float(), part.varies, shaped, specs[name], *placed))
    return layers, channels


@dataclass(frozen=True, eq=False)
class _Part:
    """A layer's weight and variances: [G, O, I], [G, O, I], [G, 1, I]; and 1 over results' [C]."""

    largest: Tensor
    squares: Tensor
    varies: Tensor
    relative: Tensor

    @property
    def alive(self) -> Tensor:
        """Which channels vary, [C] as 0 and 1."""
        return (self.relative > 0.0).double()

    def cost_of_inputs(self) -> Tensor:
        """Return what noise in each input channel is of the results' variance, [C_in]."""
        rows = self.relative.reshape(len(self.squares), -1, 1)
        return (self.squares * rows).sum(1).flatten()


def _part(graph: Graph, node: Node, values: Values) -> _Part:
    weight = graph.param(node, "weight").double()
    groups = node.attrs.get("groups", 1)
    blocks = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
    squares, known = blocks.square().sum(3), values.get(node.name)
    inputs = values.get(node.inputs[0])
    varies = torch.ones(groups, 1, squares.shape[2], dtype=torch.float64)
    if inputs is not None:
        varies = inputs.moments.std.square().reshape(groups, 1, -1)
    made = (squares * varies).sum(2).flatten()  # of independent inputs
    results = made
    if known is not None:
        results = (known.before or known.moments).std.square()
        if inputs is None:  # as much as the results vary
            varies = varies * (results.sum() / made.sum().clamp(min=torch.finfo().tiny))
    alive = (results > 0.0) & (made > 0.0)
    relative = (1.0 / results.where(alive, 1.0)).where(alive, 0.0) / alive.sum().clamp(min=1)
    return _Part(blocks.abs().amax(3), squares, varies * blocks.shape[3], relative)


def _channels(
    graph: Graph,
    stream: Stream,
    statistics: Mapping[str, Normal],
    values: Values,
    costs: Mapping[str, Tensor],
) -> _Channels:
    sources = {graph[name].inputs[0]: None for name in stream.readers}  # in order
    cost = torch.zeros(len(stream.lowest), dtype=torch.float64)
    for name in sources:
        cost = cost + costs.get(name, 0.0)
    ends = [
        _ends(graph[name], values[name]) for name in {**sources, **dict.fromkeys(stream.writers)}
    ]
    clamps = [
        (statistics[name], float(graph[name].attrs["activation"][1]))
        for name in stream.writers
        if not is_homogeneous(graph[name].attrs["activation"])
    ]
    return _Channels(cost, ends, clamps)


def _ends(node: Node, value: Implied) -> tuple[Tensor, Tensor]:
    if value.before is None:
        return value.within(DEVIATIONS)
    ends = value.before.lower(DEVIATIONS), value.before.upper(DEVIATIONS)
    low, high = (activate(end, node.attrs.get("activation")) for end in ends)
    return low, high


def _share_passed(normal: Normal | None, activation: tuple[float, float] | None) -> Tensor | float:
    """Return which share of a channel's values an activation lets pass, [C]: else noise is cut."""
    if activation is None or normal is None:
        return 1.0
    std = normal.std.where(normal.std > 0.0, 1.0)
    low, high = (torch.special.ndtr((end - normal.mean) / std) for end in activation)
    passed: Tensor = high - low
    return passed
