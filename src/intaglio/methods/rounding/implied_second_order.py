"""Second-order rounding without images: the moments of inputs are those of noise, brought to them.

What rounding needs to know of a layer's input is its covariance H: which errors of a row cancel. A
network of trained weights says most of it itself. Images of noise run through it, and behind every
layer of which a batch norm states mean and deviation each channel is brought to these: the
variances are then right, the correlations between channels are what the weights make of them, and
those between neighbours what the spectrum of photographs makes of them. The target is the weight
itself (no error of earlier layers is made up for), means are left to the bias
(correct_bias_analytic.py).

Source: GPTQ (Frantar et al. 2023, arXiv:2210.17323) for the rounding; moments from noise are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from intaglio.calibrate.noise import noise_images, run_matched
from intaglio.ir.graph import Graph, Node
from intaglio.methods.rounding.input_moments import (
    InputMoments,
    Moments,
    rows_wanted,
    without_noise,
)
from intaglio.methods.rounding.second_order import RoundSecondOrder, is_rounded
from intaglio.methods.steps.layer_rows import row_drawer
from intaglio.methods.steps.paired_walk import Layer, paired_layer
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step

RIDGE = 1.0
"""Of no consequence: there is no error of earlier layers to make up for."""
PIECE = 16
"""Images that go through the network at once."""


@register_step("round-second-order-implied", NUMBERS, needs=())
@dataclass(frozen=True)
class RoundSecondOrderImplied:
    """Second-order rounding without images, from noise with the statistics of batch norms.

    Attributes:
        images: Of noise.
        damping: Added to H, relative to its mean diagonal.
        sweeps: Passes of coordinate descent.
        search_scale: Whether scales are chosen anew (per channel only).
        refits: How often scales are fitted to the integers found.
    """

    images: Annotated[int, Field(ge=1)] = 32
    damping: Annotated[float, Field(gt=0.0)] = 0.3
    sweeps: Annotated[int, Field(ge=0)] = 2
    search_scale: bool = True
    refits: Annotated[int, Field(ge=0)] = 1

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state with rounded weights; biases are as they were."""
        rounding = RoundSecondOrder(
            ridge=RIDGE,
            damping=self.damping,
            sweeps=self.sweeps,
            search_scale=self.search_scale,
            refits=self.refits,
        )
        layers = _layers(state, context)
        covariances = self._covariances(state, layers, context.seed)
        graph, weights = state.graph.copy(), dict(state.encodings.weights)
        for name, covariance in covariances.items():
            moments = InputMoments(Moments(covariance, torch.zeros_like(covariance)), None, None)
            weight, weights[name] = rounding.rounded(layers[name], moments)
            graph.set_param(graph[name], "weight", weight)
            context.progress.advance(1)
        return replace(state.with_graph(graph), encodings=replace(state.encodings, weights=weights))

    def _covariances(
        self, state: Quantized, layers: Mapping[str, Layer], seed: int
    ) -> dict[str, Tensor]:
        """Return the covariance of each layer's rows, [G, K, K] float64."""
        graph, generator = state.reference, torch.Generator().manual_seed(seed)
        readers: dict[str, list[Layer]] = {}
        for layer in layers.values():
            readers.setdefault(layer.node.inputs[0], []).append(layer)
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}

        def seen(made: Node, values: Tensor) -> None:
            """Add up the moments of the layers that read a value; each piece about its mean."""
            for layer in readers.get(made.name, ()):
                name, per_image = layer.node.name, -(-rows_wanted(layer.weight) // self.images)
                rows = row_drawer(layer, values, per_image, generator)(values)
                rows = rows - rows.mean(1, keepdim=True)
                sums[name] = sums.get(name, 0.0) + (rows.mT @ rows).double()
                counts[name] = counts.get(name, 0) + rows.shape[1]

        for piece in torch.split(self._noise(graph, state, generator), PIECE):
            run_matched(graph, piece, state.statistics, seen)
        means = {name: total / counts[name] for name, total in sums.items()}
        return {name: without_noise(mean, mean) for name, mean in means.items()}

    def _noise(self, graph: Graph, state: Quantized, generator: torch.Generator) -> Tensor:
        """Return images of noise, within what the input's grid holds."""
        node = graph[graph.inputs[0]]
        grid = state.encodings.activations.get(node.name)
        low, high = torch.tensor(-1.0), torch.tensor(1.0)  # its layer brings it to its own size
        if grid is not None:
            low, high = (
                grid.scale * (end - grid.zero_point) for end in (grid.spec.qmin, grid.spec.qmax)
            )
        low, high = (end.expand(node.shape[1]) for end in (low, high))
        return noise_images(self.images, low, high, node.shape[2:], generator)


def _layers(state: Quantized, context: Context) -> dict[str, Layer]:
    """Return the layers that are rounded, by name; of their inputs nothing is held."""
    nodes = [state.graph[name] for name in state.encodings.weights]
    layers = [
        paired_layer(state.reference, node, state.encodings, context.target, ([], []))
        for node in nodes
    ]
    return {layer.node.name: layer for layer in layers if is_rounded(layer)}
