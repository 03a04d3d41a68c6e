"""The float network and the twin side by side, layer by layer, over all tuning images at once.

Methods that tune layer after layer need, at each layer, what comes in from the float network and
what comes in from the integer one whose earlier layers are already final. Going through the network
once, all images at each node, gives both for the cost of two forward passes.

Memory: the values that still have a reader are held for every image, float32 and as the twin's
integers, within `memory_mb`. Early layers with large values see fewer images then (MobileNetV2 at
224 x 224: 8 MB an image), which have many positions; where values get smaller more images are let
in, through the layers that are final already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.methods.steps.held_values import centered, held_bytes, stored
from intaglio.methods.steps.state import Context, Quantized
from intaglio.numerics.accumulate import exact_float32
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams
from intaglio.run.float import channels_last, in_layout, run_node
from intaglio.run.partial import Route, last_readers
from intaglio.run.twin import IMAGES_AT_ONCE, prepare, quantize_input
from intaglio.targets.site import Kernel
from intaglio.targets.target import Target

WORTHWHILE = 1.25
"""By how much the number of images must grow for them to be let in: they cost a run each."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer with weights, and what comes in on both sides, before its integer kernel is made.

    Attributes:
        node: The layer.
        weight, bias: Of the float network; the bias is zeros where the layer has none.
        floats: Pieces [n, ...] of its input in the float network.
        integers: The same pieces in the twin, raw integers (held_values.py).
        zero: Their zero point.
        input_scale: Real units per integer step of that input; 1 where it has no grid.
        params: Grid of the weight.
        target: Whose kernels will run it.
    """

    node: Node
    weight: Tensor
    bias: Tensor
    floats: list[Tensor]
    integers: list[Tensor]
    zero: int
    input_scale: Tensor
    params: QuantParams
    target: Target

    def quantized_inputs(self) -> Sequence[Tensor]:
        """Yield the twin's input, real values, piece by piece."""
        return [self.quantized(index) for index in range(len(self.integers))]

    def quantized(self, index: int) -> Tensor:
        """Return one piece of the twin's input as real values."""
        return (self.integers[index].float() - self.zero).mul_(self.input_scale)


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a tuner makes of a layer: real weights on the grid `params`, and a bias."""

    weight: Tensor
    bias: Tensor
    params: QuantParams


def paired_layer(
    reference: Graph,
    node: Node,
    encodings: Encodings,
    target: Target,
    pieces: tuple[list[Tensor], list[Tensor]],
) -> Layer:
    """Return a layer with the float network's weights.

    Args:
        pieces: What comes in on both sides, `Layer.floats` and `Layer.integers`.
    """
    original, grid = reference[node.name], encodings.activations.get(node.inputs[0])
    zero, scale = (0, torch.ones(())) if grid is None else (grid.zero, grid.scale)
    return Layer(
        node,
        reference.param(original, "weight"),
        reference.param(original, "bias", torch.zeros(node.channels)),
        *pieces,
        zero,
        scale,
        encodings.weights[node.name],
        target,
    )


Tuner = Callable[[Layer], Tuned | None]
"""Called for each layer with weights in order; None leaves it."""


def tune_layers(state: Quantized, context: Context, tuner: Tuner) -> Quantized:
    """Return the state in which every layer was tuned, each behind the tuned ones before it."""
    graph, encodings = state.graph.copy(), state.encodings
    weights = dict(encodings.weights)
    walk = _Walk(state.reference, graph, encodings, context)
    for node in graph:
        if node.op == "input":
            walk.begin(node, encodings)
            continue
        walk.admit(node, encodings)
        if node.name in weights:
            tuned = tuner(walk.layer(node, encodings))
            if tuned is not None:
                graph.set_param(node, "weight", tuned.weight)
                graph.set_param(node, "bias", tuned.bias)
                weights[node.name] = tuned.params
                encodings = Encodings(encodings.activations, dict(weights))
        walk.advance(node, encodings)
        context.progress.advance(1)
    return replace(state.with_graph(graph), encodings=encodings)


class _Walk:
    """Values of both networks that still have a reader.

    It goes node by node, not along a `Route`: a layer is changed once it is known what comes in.
    """

    def __init__(
        self, reference: Graph, graph: Graph, encodings: Encodings, context: Context
    ) -> None:
        self.reference, self.graph = channels_last(reference), graph
        self.target, self.images = context.target, context.tuning_images
        self.fitting = images_within(graph, encodings, context.memory_mb)
        self.count = min(len(self.images), min(self.fitting.values()))
        self.floats: dict[str, list[Tensor]] = {}
        self.integers: dict[str, list[Tensor]] = {}
        self.last_reader = last_readers(list(graph))

    def begin(self, node: Node, encodings: Encodings) -> None:
        """Take in the images, on both sides."""
        pieces = torch.split(self.images[: self.count], IMAGES_AT_ONCE)
        pairs = [self._given(node, piece, encodings) for piece in pieces]
        self.floats[node.name] = [first for first, _ in pairs]
        self.integers[node.name] = [second for _, second in pairs]

    def admit(self, node: Node, encodings: Encodings) -> None:
        """Let in more images where enough of them fit from this node on."""
        count = min(len(self.images), self.fitting[node.name])
        if count < self.count * WORTHWHILE:
            return
        route = Route.between(self.graph, self.graph.inputs, list(self.floats))
        kernels = {
            other.name: prepare(self.graph, other, encodings, self.target) for other in route.nodes
        }
        for piece in torch.split(self.images[self.count : count], IMAGES_AT_ONCE):
            floats, integers = self._upto(piece, route, kernels, encodings)
            for name in self.floats:
                self.floats[name].append(floats[name])
                self.integers[name].append(integers[name])
        self.count = count

    def _upto(
        self, piece: Tensor, route: Route, kernels: Mapping[str, Kernel], encodings: Encodings
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return what the route makes of a piece of images, on both sides."""
        name = self.graph.inputs[0]
        real, integer = self._given(self.graph[name], piece, encodings)

        def step(node: Node, inputs: Sequence[Tensor]) -> Tensor:
            """Return the node's value in the twin, as it is stored."""
            return _integer(node, kernels[node.name], inputs, encodings)

        return route.run({name: real}, self._float), route.run({name: integer}, step)

    def layer(self, node: Node, encodings: Encodings) -> Layer:
        """Return the layer with its float weights, and what comes in on both sides."""
        source = node.inputs[0]
        return paired_layer(
            self.reference,
            node,
            encodings,
            self.target,
            (self.floats[source], self.integers[source]),
        )

    def advance(self, node: Node, encodings: Encodings) -> None:
        """Make the node's value on both sides, free what nobody reads any more."""
        self.floats[node.name] = [
            self._float(node, inputs) for inputs in self._pieces(self.floats, node.inputs)
        ]
        kernel = prepare(self.graph, node, encodings, self.target)
        self.integers[node.name] = [
            _integer(node, kernel, inputs, encodings)
            for inputs in self._pieces(self.integers, node.inputs)
        ]
        for name in {node.name, *node.inputs}:
            if self.last_reader[name] == node.name:
                del self.floats[name], self.integers[name]

    def _given(self, node: Node, piece: Tensor, encodings: Encodings) -> tuple[Tensor, Tensor]:
        """Return images as the float network and as the twin takes them."""
        grid = encodings.activations.get(node.name)
        real = in_layout(piece)
        if grid is None:
            return real, real  # read by layers that stay float
        return real, stored(quantize_input(piece, grid, self.target), grid)

    def _float(self, node: Node, inputs: Sequence[Tensor]) -> Tensor:
        with torch.inference_mode(), exact_float32():
            return run_node(self.reference, self.reference[node.name], inputs)

    def _pieces(self, values: dict[str, list[Tensor]], names: list[str]) -> list[list[Tensor]]:
        count = math.ceil(self.count / IMAGES_AT_ONCE)
        return [[values[name][index] for name in names] for index in range(count)]


def _integer(node: Node, kernel: Kernel, inputs: Sequence[Tensor], encodings: Encodings) -> Tensor:
    """Return what a kernel of the twin makes of stored values, as it is stored."""
    pairs = zip(inputs, node.inputs, strict=True)
    with torch.inference_mode(), exact_float32():
        value = kernel([centered(held, encodings.activations.get(name)) for held, name in pairs])
    return stored(value, encodings.activations.get(node.name))


def images_within(graph: Graph, encodings: Encodings, memory_mb: int) -> dict[str, int]:
    """Return how many images' values fit the memory from each node on; whole pieces, at least one.

    It never falls from one node to the next.
    """
    grids = encodings.activations
    sizes = {
        node.name: math.prod(node.shape[1:]) * held_bytes(grids.get(node.name)) for node in graph
    }
    live, most = _live_sums(graph, sizes), 0
    found = {}
    for node in reversed(list(graph)):
        most = max(most, live[node.name])
        images = int(memory_mb * 1e6 // most)
        found[node.name] = max(images // IMAGES_AT_ONCE, 1) * IMAGES_AT_ONCE
    return found


def largest_live_values(graph: Graph) -> int:
    """Return the most numbers that are held at once for one image."""
    return max(live_values(graph).values())


def live_values(graph: Graph) -> dict[str, int]:
    """Return how many numbers are held at once for one image while each node is computed."""
    return _live_sums(graph, {node.name: math.prod(node.shape[1:]) for node in graph})


def _live_sums(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the sum of the sizes of what is held while each node is computed."""
    last_reader = last_readers(list(graph))
    live: set[str] = set()
    found = {}
    for node in graph:
        live.add(node.name)
        found[node.name] = sum(sizes[name] for name in live)
        live -= {name for name in live if last_reader[name] == node.name}
    return found
