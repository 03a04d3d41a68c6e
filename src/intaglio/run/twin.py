"""The twin: the whole network in the integers that the runtime computes, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from intaglio.errors import NonFiniteError, UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.accumulate import exact_float32
from intaglio.numerics.affine import centered_integers, fake_quantize
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams
from intaglio.ops import OPS
from intaglio.ops.unknown_call import REPLACE, word_of
from intaglio.run.partial import Route, Tap
from intaglio.run.weights import integer_bias, integer_weight
from intaglio.targets.site import Kernel, Site
from intaglio.targets.target import Target

IMAGES_AT_ONCE = 4
"""A larger batch is cut up: the values of a few images stay in the processor's caches."""
PLACES_AT_ONCE = IMAGES_AT_ONCE * 224 * 224
"""Of smaller images there may be more, of larger ones fewer: as many places of height and width."""

Exchange = Callable[[Node, Tensor], Tensor]
"""Called with each node and its value in the twin's own form; returns the value to go on with."""


@dataclass(frozen=True, eq=False)
class Twin:
    """An integer network; call it with what the float network takes.

    Layers kept in float are computed in float32, whose last bits are not the runtime's: what lies
    behind them is exact given the runtime's own integers at the `quantize` nodes.

    Attributes:
        graph: The graph that the file holds, node by node.
        encodings: The grid of every value.
        target: Whose arithmetic it follows.
        kernels: By node name.
    """

    graph: Graph
    encodings: Encodings
    target: Target
    kernels: dict[str, Kernel]

    def __call__(self, images: Tensor) -> Tensor | tuple[Tensor, ...] | dict[str, Tensor]:
        """Return the dequantized outputs for float images [N, C, H, W]: what the file returns.

        One tensor, or a tuple where the network has several outputs, or a dict where it returns one
        (keys of nested ones joined with points). Layouts are torch's (NCHW).
        """
        outputs = self.outputs(images)
        if self.graph.output_names:
            return dict(zip(self.graph.output_names, outputs, strict=True))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def outputs(self, images: Tensor) -> list[Tensor]:
        """Return the dequantized outputs for float images [N, C, H, W], in the graph's order."""
        integers = zip(self.graph.outputs, self.integers(images), strict=True)
        return [self._real(name, value) for name, value in integers]

    def integers(self, images: Tensor) -> list[Tensor]:
        """Return the raw output integers (int32); an output that stayed float32 comes as it is."""
        parts = [self.run(chunk) for chunk in torch.split(images, _at_once(images))]
        joined = [torch.cat(list(pieces)) for pieces in zip(*parts, strict=True)]
        return [
            self.raw(name, value) for name, value in zip(self.graph.outputs, joined, strict=True)
        ]

    def run(
        self, images: Tensor, tap: Tap | None = None, exchange: Exchange | None = None
    ) -> list[Tensor]:
        """Return the outputs in the twin's own form; `tap` sees every node's value in it.

        Args:
            exchange: May put other values in the place of those that were computed.
        """

        def step(node: Node, inputs: Sequence[Tensor]) -> Tensor:
            """Return what the node's kernel makes, or what is put in its place."""
            value = self.kernels[node.name](inputs)
            return value if exchange is None else exchange(node, value)

        given = {self.graph.inputs[0]: self.given(images)}
        with torch.inference_mode(), exact_float32():
            found = self._route.run(given, step, tap)
        return [found[name] for name in self.graph.outputs]

    @cached_property
    def _route(self) -> Route:
        """The way through the whole graph; prepared once, it costs as much as a small layer."""
        return Route.through(list(self.graph), self.graph.outputs)

    def given(self, images: Tensor) -> Tensor:
        """Return images as the network's first value, in the twin's own form."""
        name = self.graph.inputs[0]
        grid = self.encodings.activations.get(name)
        if grid is None:
            return images
        return quantize_input(images, grid, self.target, what=f"'{name}'")

    def raw(self, name: str, value: Tensor) -> Tensor:
        """Return the integers of a value in the twin's own form; floats come as they are."""
        params = self.encodings.activations.get(name)
        return value if params is None else (value + params.zero).to(torch.int32)

    def _real(self, name: str, value: Tensor) -> Tensor:
        params = self.encodings.activations.get(name)
        if params is None:
            return value
        return (value - params.zero).to(torch.float32).mul_(params.scale)


def _at_once(images: Tensor) -> int:
    places = images.shape[2:].numel() if images.ndim == 4 else 0
    return max(1, PLACES_AT_ONCE // places) if places else IMAGES_AT_ONCE


def quantize_input(
    images: Tensor, params: QuantParams, target: Target, *, what: str = "the images"
) -> Tensor:
    """Return float values as centered integers, channels last in memory, as the target rounds them.

    Args:
        what: The value's name, for the message.

    Raises:
        NonFiniteError: If NaN is among the values: no integer stands for it.
    """
    centered = target.quantize_input(images, params)
    if bool(centered.isnan().any()):
        raise NonFiniteError(
            f"NaN in {what}, whose values are to become integers: look at the images, and at the"
            " weights of layers kept in float"
        )
    if centered.ndim == 4:
        return centered.contiguous(memory_format=torch.channels_last)
    return centered


def build_twin(graph: Graph, encodings: Encodings, target: Target) -> Twin:
    """Return the twin of a lowered graph.

    Raises:
        UnsupportedByTarget: If a node's arithmetic cannot be matched; names the user's layer.
    """
    nodes = [node for node in graph if node.op != "input"]
    with np.errstate(all="ignore"):  # kernels refuse infinite ratios of scales by name
        kernels = {node.name: prepare(graph, node, encodings, target) for node in nodes}
    return Twin(graph, encodings, target, kernels)


def prepare(graph: Graph, node: Node, encodings: Encodings, target: Target) -> Kernel:
    """Return the kernel of one node."""
    output = encodings.activations.get(node.name)
    if target.computes_reals:
        return _simulated_kernel(graph, node, encodings, target)
    if output is None:
        return _float_kernel(graph, node, encodings, graph.params_of(node))
    if node.op == "quantize":
        what = f"'{node.inputs[0]}'"
        return lambda inputs: quantize_input(inputs[0], output, target, what=what)
    if node.op == "constant":
        value = centered_integers(graph.param(node, "value"), output)
        return lambda inputs: value
    kernels = target.kernels
    if node.op not in kernels:
        raise UnsupportedByTarget(
            node.source or node.name,
            word_of(node),
            target.name,
            reason="its integer arithmetic is not matched",
            try_instead=REPLACE,
            node=node.name,
        )
    return kernels[node.op](site_of(graph, node, encodings, target))


def site_of(graph: Graph, node: Node, encodings: Encodings, target: Target) -> Site:
    """Return everything that the kernel of a quantized node is made from."""
    inputs = tuple(encodings.activations[name] for name in node.inputs)
    weight = bias = scale = None
    bits = 8
    if node.name in encodings.weights:
        params = encodings.weights[node.name]
        weight, scale = integer_weight(graph.param(node, "weight"), params), params.scale
        bits = params.spec.bits
        if "bias" in node.params:
            bias = integer_bias(graph.param(node, "bias"), inputs[0].scale, scale)
    shapes = tuple(graph[name].shape for name in node.inputs)
    output = encodings.activations[node.name]
    return Site(node, inputs, shapes, output, target.name, weight, bias, scale, bits)


def _simulated_kernel(graph: Graph, node: Node, encodings: Encodings, target: Target) -> Kernel:
    """A node as papers simulate it: float32, the weight on its grid, the result on its own."""
    params, weight = graph.params_of(node), encodings.weights.get(node.name)
    if weight is not None:
        params |= {"weight": fake_quantize(params["weight"], weight)}
    kernel, grid = (
        _float_kernel(graph, node, encodings, params),
        encodings.activations.get(node.name),
    )
    if grid is None:
        return kernel
    return lambda inputs: target.quantize_input(kernel(inputs), grid)


def _float_kernel(
    graph: Graph, node: Node, encodings: Encodings, params: dict[str, Tensor]
) -> Kernel:
    """A node outside the integer region: dequantize its inputs, run it in float32."""
    grids = [encodings.activations.get(name) for name in node.inputs]

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        """Return the op's float32 result: of integers times their scale, and of floats."""
        reals = [
            value if grid is None else value * grid.scale
            for value, grid in zip(inputs, grids, strict=True)
        ]
        return OPS[node.op].function(node, reals, params)

    return kernel
