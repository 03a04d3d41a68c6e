"""What a network takes, where nobody says it: from the batch norm of the layer that reads it.

The layer is linear, so the mean that its batch norm has of each output channel is the layer's sum
over the means of the input's channels: least squares give these. The input's deviation is that with
which images of noise make the deviations that the batch norm has.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from intaglio.calibrate.noise import CONTRAST, noise_images
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.normal import Normal
from intaglio.ops import OPS
from intaglio.ops.schema import bare

DEVIATIONS = 3.0
"""To either side that an input's range holds: pixels have ends, and no tails."""
IMAGES = 8


def implied_input(
    graph: Graph, statistics: Mapping[str, Normal], generator: torch.Generator
) -> Normal | None:
    """Return mean and deviation of the input's channels, [C]; None where no batch norm tells."""
    path = _first_layer(graph, statistics)
    if path is None:
        return None
    *before, node = path
    known, weight = statistics[node.name], graph.param(node, "weight")
    bias = graph.param(node, "bias", torch.zeros(len(weight))).double()
    sums = weight.double().flatten(2).sum(2)  # [C_out, C]
    mean = torch.linalg.lstsq(sums, (known.mean - bias).unsqueeze(1), driver="gelsd").solution
    channels, size = weight.shape[1], graph[graph.inputs[0]].shape[2:]
    half = torch.full((channels,), 0.5 / CONTRAST)  # for a deviation of 1
    noise = noise_images(IMAGES, -half, half, size, generator)
    for passed in before:
        noise = OPS[passed.op].function(passed, [noise], {})
    params = {"weight": weight, "bias": torch.zeros(len(weight))}
    found = OPS[node.op].function(bare(node), [noise], params).double().std((0, 2, 3))
    alive = (known.std > 0.0) & (found > 0.0)
    if not bool(alive.any()):
        return None
    ratio = (known.std[alive] / found[alive]).median()
    return Normal(mean.flatten(), ratio.expand(channels).clone())


def range_of(input_normal: Normal) -> tuple[Tensor, Tensor]:
    """Return (low, high), [] each, of an input's values; 0 is between them."""
    low, high = input_normal.lower(DEVIATIONS).min(), input_normal.upper(DEVIATIONS).max()
    return low.clamp(max=0.0).float(), high.clamp(min=0.0).float()


def _first_layer(graph: Graph, statistics: Mapping[str, Normal]) -> list[Node] | None:
    """Return a convolution over all channels that reads the input, behind what pads it."""
    paths: dict[str, list[Node]] = {graph.inputs[0]: []}
    for node in graph:
        before = paths.get(node.inputs[0]) if node.inputs else None
        if before is None:
            continue
        if node.op in ("pad", "quantize"):
            paths[node.name] = [*before, node]
        if node.op == "conv2d" and node.attrs["groups"] == 1 and node.name in statistics:
            return [*before, node]
    return None
