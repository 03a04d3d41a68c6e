"""What one layer alone, with fewer bits or on its grid, does to the network's outputs.

One layer's weight is rounded (to second order, its bias corrected: what the layer will be in the
end, not what nearest rounding makes of it), or one value is put on its grid; everything else stays
in float. The change of the outputs is the layer's harm. Harms of several layers nearly add up while
they are small.

Source: Wu et al. 2020 (arXiv:2004.09602), section 6.1 (one layer at a time, for partial
quantization); Cai et al. 2020 (ZeroQ, arXiv:2001.00281), equation 4 (divergence of the outputs, for
mixed precision). We run only the part of the network behind the layer (suffix.py). Moments for
rounding come from other images than the harm: on the images that it was fitted to, a rounding looks
better than it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intaglio.calibrate.encodings import weight_params
from intaglio.calibrate.float_islands import NO_LAYERS, is_float_tail, layers_called
from intaglio.calibrate.weight_bits import low_bit_layers, weight_spec
from intaglio.ir.graph import Graph, Node
from intaglio.methods.bias.correct_bias import corrected_bias
from intaglio.methods.bits.suffix import Place, images_alive_within, places, shares_behind
from intaglio.methods.rounding.input_moments import input_moments
from intaglio.methods.rounding.second_order import RoundSecondOrder
from intaglio.methods.steps.paired_walk import Layer
from intaglio.methods.steps.state import Context
from intaglio.numerics.affine import fake_quantize
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.scheme import parse_scheme
from intaglio.numerics.spec import QuantSpec
from intaglio.ops.traits import MOVING
from intaglio.run.float import channels_last, in_layout, run_float
from intaglio.run.twin import IMAGES_AT_ONCE
from intaglio.targets.target import Target

FORWARDS = 3000
JUDGED_SHARE = 0.25
"""At most this share of the images measures the harm; the rest fits the rounding."""
UNMEASURED = MOVING | NO_LAYERS


@dataclass(frozen=True, order=True)
class Harm:
    """What a change does to the outputs.

    Attributes:
        divergence: Mean over images of KL(softmax before || softmax behind), nats.
        error: Squared change of the outputs relative to their power.
    """

    divergence: float
    error: float

    def __add__(self, other: Harm) -> Harm:
        return Harm(self.divergence + other.divergence, self.error + other.error)


NO_HARM = Harm(0.0, 0.0)


def layer_sensitivity(
    graph: Graph,
    encodings: Encodings,
    context: Context,
    *,
    options: Mapping[str, Sequence[int]],
    forwards: int = FORWARDS,
) -> dict[str, dict[int, Harm]]:
    """Return the harm of each layer's weight alone at each of its bits.

    Args:
        graph: The float network.
        encodings: Of its calibrated form.
        options: Layer to bits to try, as from `possible_bits`.
        forwards: What may be spent, in runs of the whole network for one image; the images that
            measure are cut to it (`pieces_within_budget`).
    """
    scored = _scores(graph)
    wanted = {name: list(bits) for name, bits in options.items() if name in scored.nodes}
    shares = shares_behind(scored)
    runs = sum(shares[name] * len(bits) for name, bits in wanted.items())
    judge = _Judge(scored, context, runs, forwards)
    generator = torch.Generator().manual_seed(context.seed)
    found: dict[str, dict[int, Harm]] = {}
    for place in judge.places():
        name = place.node.name
        if name in wanted:
            alone = _Alone(place, encodings, judge.pieces, generator, context.target)
            found[name] = {bits: judge.harm(place, alone.values(bits)) for bits in wanted[name]}
    return {name: found[name] for name in wanted}


def value_sensitivity(
    graph: Graph, encodings: Encodings, context: Context, *, forwards: int = FORWARDS
) -> dict[str, Harm]:
    """Return the harm of putting each value alone on its grid, for all that have one.

    Values that are only moved (reshaped, joined, picked) share a grid with others and are left out.
    """
    scored = _scores(graph)
    wanted = [
        node.name
        for node in scored
        if node.name in encodings.activations and node.op not in UNMEASURED
    ]
    shares = shares_behind(scored)
    judge = _Judge(scored, context, sum(shares[name] for name in wanted), forwards)
    found = {}
    for place in judge.places():
        if place.node.name in wanted:
            grid = encodings.activations[place.node.name]
            values = (fake_quantize(value, grid) for value in place.values[: judge.pieces])
            found[place.node.name] = judge.harm(place, values)
    return found


def possible_bits(
    graph: Graph, encodings: Encodings, bits: Sequence[int], target: Target
) -> dict[str, list[int]]:
    """Return the bits that the target can hold of each integer layer's weight, those in `bits`.

    A layer that can have none of them has the widest.
    """
    held = {width: set(low_bit_layers(graph, target, width)) for width in bits}
    widest = max(target.weight_bits)
    return {
        name: [width for width in bits if name in held[width]] or [widest]
        for name in encodings.weights
    }


def spec_with_bits(node: Node, spec: QuantSpec, bits: int) -> QuantSpec:
    """Return a weight's grid with other bits, per channel or per tensor as before."""
    scheme = parse_scheme("mixed" if spec.axis is not None else "mixed-per-tensor")
    return weight_spec(node, bits, scheme)


def worst_layers(
    graph: Graph, encodings: Encodings, context: Context, *, forwards: int = FORWARDS
) -> list[tuple[str, Harm]]:
    """Return layers and their harm, weight and result together, the worst first.

    The names are the user's (or the graph's where that would mean several layers), as `keep_float`
    takes them.
    """
    options = {name: [params.spec.bits] for name, params in encodings.weights.items()}
    weights = layer_sensitivity(graph, encodings, context, options=options, forwards=forwards // 2)
    values = value_sensitivity(graph, encodings, context, forwards=forwards // 2)
    total: dict[str, Harm] = {}
    for node in graph:
        if node.name in values or node.name in weights:
            own = sum(weights.get(node.name, {}).values(), values.get(node.name, NO_HARM))
            name = _called(graph, node)
            total[name] = total.get(name, NO_HARM) + own
    return sorted(total.items(), key=lambda item: item[1], reverse=True)


def _called(graph: Graph, node: Node) -> str:
    if not node.source:
        return node.name
    alone = all(other.source == node.source for other in layers_called(graph, node.source))
    return node.source if alone else node.name


def _scores(graph: Graph) -> Graph:
    """Return the network without a softmax at its end: what it reads is compared."""
    scored = graph.copy()
    scored.outputs = [
        graph[name].inputs[0] if is_float_tail(graph, graph[name]) else name
        for name in graph.outputs
    ]
    scored.drop_unused()
    return scored


class _Judge:
    """The images, and what the float network says of those that measure.

    Attributes:
        images: [N, ...]; the first pieces measure, the others fit the rounding.
        pieces: How many pieces of IMAGES_AT_ONCE measure.
    """

    def __init__(self, graph: Graph, context: Context, runs: float, forwards: int) -> None:
        images = context.tuning_images
        self.graph, self.progress = graph, context.progress
        alive = min(len(images), images_alive_within(graph, context.memory_mb))
        self.pieces, count = pieces_within_budget(alive, runs, forwards)
        self.images = images[:count]
        measuring = torch.split(self.images, IMAGES_AT_ONCE)[: self.pieces]
        fast = channels_last(graph)
        self.plain = [run_float(fast, piece) for piece in measuring]

    def places(self) -> Iterator[Place]:
        """Yield the places of all nodes; each that is dealt with is told to the progress."""
        for place in places(self.graph, self.images):
            yield place
            self.progress.advance(1)

    def harm(self, place: Place, values: Iterator[Tensor]) -> Harm:
        """Return what happens to the outputs when the place has other values, piece by piece."""
        noise = power = divergence = 0.0
        images = 0
        for index, value in enumerate(values):
            changed = place.outputs(index, value)
            images += len(value)
            for before, after in zip(self.plain[index], changed, strict=True):
                noise += _power(after - before)
                power += _power(before)
                divergence += _divergence(before, after)
        return Harm(divergence / images, noise / power if power else noise)


def pieces_within_budget(images: int, runs: float, forwards: int) -> tuple[int, int]:
    """Return how many pieces of IMAGES_AT_ONCE images measure, and how many images there are.

    Each image costs one run of the network, and each that measures `runs` + 1 more. At most half of
    the budget goes into images that only fit, and at most JUDGED_SHARE of the images measure; one
    piece does, whatever the budget. Where there is no other piece it fits as well.
    """
    total = min(images, max(forwards // 2, IMAGES_AT_ONCE))
    judged = min((forwards - total) / (runs + 1.0), total * JUDGED_SHARE)
    return max(int(judged) // IMAGES_AT_ONCE, 1), total


def _power(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values, dtype=torch.float64)) ** 2


def _divergence(before: Tensor, after: Tensor) -> float:
    """Return KL(before || after) summed over images; the classes lie along axis 1."""
    first, second = before.double().log_softmax(1), after.double().log_softmax(1)
    each = (first.exp() * (first - second)).sum(1)  # [n] or [n, H, W]
    return float(each.flatten(1).mean(1).sum()) if each.ndim > 1 else float(each.sum())


@dataclass(frozen=True, eq=False)
class _FloatLayer(Layer):
    """A layer whose input is the float network's on both sides."""

    def quantized(self, index: int) -> Tensor:
        """Return one piece of the layer's input: the float network's own."""
        return self.floats[index]


class _Alone:
    """One layer whose weight is rounded while all before it is in float."""

    def __init__(
        self,
        place: Place,
        encodings: Encodings,
        judged: int,
        generator: torch.Generator,
        target: Target,
    ) -> None:
        self.place, self.judged = place, judged
        node, graph = place.node, place.graph
        inputs = [values[0] for values in place.inputs]
        fitted = inputs[judged:] or inputs
        self.input_scale = encodings.activations[node.inputs[0]].scale
        params = encodings.weights[node.name]
        self.layer = _FloatLayer(
            node=node,
            weight=graph.param(node, "weight"),
            bias=graph.param(node, "bias", torch.zeros(node.channels)),
            floats=fitted,
            integers=fitted,
            zero=0,
            input_scale=torch.ones(()),
            params=params,
            target=target,
        )
        is_rounded = node.op != "conv_transpose2d"
        self.generator = generator
        self.moments = input_moments(self.layer, generator) if is_rounded else None

    def values(self, bits: int) -> Iterator[Tensor]:
        """Yield the layer's values on the pieces that measure."""
        weight, bias = self._rounded(bits)
        with torch.no_grad():
            for index in range(self.judged):
                yield self.place.computed(index, {"weight": weight, "bias": bias})

    def _rounded(self, bits: int) -> tuple[Tensor, Tensor]:
        layer, node = self.layer, self.layer.node
        spec = spec_with_bits(node, layer.params.spec, bits)
        params = weight_params(self.place.graph, node, spec, self.input_scale, target=layer.target)
        layer = replace(layer, params=params)
        if self.moments is None:
            weight = fake_quantize(layer.weight, params)
        else:
            weight, params = RoundSecondOrder().rounded(layer, self.moments)
        weight = in_layout(weight)
        return weight, corrected_bias(replace(layer, params=params), weight, self.generator)
