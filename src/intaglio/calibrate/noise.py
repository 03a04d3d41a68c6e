"""Images of noise, and a network that computes them with the statistics of its batch norms.

Noise has the spectrum of photographs, whose amplitude falls with frequency as 1 / f (Field 1987),
and mostly grey, as they are: white noise is gone behind the first pool. On its way each channel of
which a batch norm states the mean and the deviation is shifted and stretched to have these, so that
what comes behind meets values as large as images make them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.normal import Normal
from intaglio.ops import OPS
from intaglio.ops.schema import activate, bare
from intaglio.run.float import in_layout
from intaglio.run.partial import Route

GREY = 0.9
"""Share of a pixel's variance that its channels have in common."""
CONTRAST = 0.25
"""Deviation of pixels, of the range that they may have: about that of photographs."""

LAST_BITS = 1e-6


def noise_images(
    count: int, low: Tensor, high: Tensor, size: Sequence[int], generator: torch.Generator
) -> Tensor:
    """Return [count, C, *size] float32 within [low, high], around the middle of both.

    Args:
        low, high: [C].
        size: Height and width; of inputs without them numbers are white.
    """
    colours = torch.randn((count, len(low), *size), generator=generator)
    grey = torch.randn((count, 1, *size), generator=generator)
    noise = GREY**0.5 * grey + (1.0 - GREY) ** 0.5 * colours
    if len(size) == 2:
        noise = _pink(noise)
    flat = noise.flatten(1)
    std, mean = torch.std_mean(flat, 1, keepdim=True, correction=0)
    flat = (flat - mean) / std.clamp(min=1e-6)
    shape = (1, -1, *[1] * len(size))
    low, high = low.reshape(shape), high.reshape(shape)
    found: Tensor = (low + high) / 2.0 + flat.reshape(noise.shape) * CONTRAST * (high - low)
    return torch.minimum(torch.maximum(found, low), high)


def _pink(noise: Tensor) -> Tensor:
    """Return white noise [N, C, H, W] with an amplitude that falls with frequency."""
    height, width = noise.shape[2:]
    down = torch.fft.fftfreq(height).unsqueeze(1) * height
    across = torch.fft.rfftfreq(width).unsqueeze(0) * width
    frequency = (down.square() + across.square()).sqrt()
    frequency[0, 0] = 1.0
    found: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(height, width))
    return found


def run_matched(
    graph: Graph,
    images: Tensor,
    statistics: Mapping[str, Normal],
    seen: Callable[[Node, Tensor], None],
) -> None:
    """Compute a float graph, channels brought to what is known of them, and show every value.

    Args:
        images: [N, C, ...].
        statistics: Of layers' values before their activation.
        seen: Called with each node and its value, input first.
    """
    name = graph.inputs[0]
    seen(graph[name], images)

    def step(node: Node, inputs: Sequence[Tensor]) -> Tensor:
        """Return a node's value."""
        known = statistics.get(node.name)
        if known is None:
            value = OPS[node.op].function(node, inputs, graph.params_of(node))
        else:
            value = OPS[node.op].function(bare(node), inputs, graph.params_of(node))
            value = activate(_brought_to(value, known), node.attrs.get("activation"))
        seen(node, value)
        return value

    with torch.no_grad():
        for _ in Route.through(list(graph), graph.outputs).walk({name: in_layout(images)}, step):
            pass


def _brought_to(values: Tensor, known: Normal) -> Tensor:
    """Return values [N, C, ...] with the mean and the deviation of each channel."""
    axes = [axis for axis in range(values.ndim) if axis != 1]
    std, mean = torch.std_mean(values, axes, keepdim=True, correction=0)
    shape = mean.shape
    is_constant = std <= LAST_BITS * values.abs().amax(axes, keepdim=True)
    gain = known.std.float().reshape(shape) / std.where(~is_constant, 1.0)
    gain = gain.where(~is_constant, 0.0)  # of a constant nothing but its place is known
    found: Tensor = (values - mean) * gain + known.mean.float().reshape(shape)
    return found
