"""Equalization of linear streams by what flows in them: every channel fills the int8 grid.

An activation has one scale for all channels, so that a channel whose values are a tenth of the
largest channel's is rounded ten times as coarsely. Where a stream carries plain sums (the linear
bottlenecks of MobileNetV2), its channels can be rescaled freely: rows of the layers that write it
are divided, columns of those that read it multiplied. Per-channel weights lose nothing by the first
and little by the second.

Source: the migration of Xiao et al. 2023 (arXiv:2211.10438), equation 4, at alpha = 1; ours is on
convolutions, and leaves streams with clamps alone: channels there that fire rarely look small on
the images seen, and would be cut on others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.methods.structure.equalize import rescale_layer
from intaglio.methods.structure.streams import Stream, find_streams
from intaglio.numerics.normal import Normal
from intaglio.run.float import run_float

LEAST_SCALE = 1e-2
"""A channel hundred times smaller than the largest is raised that far and no further."""


def equalize_activations(
    graph: Graph, statistics: Mapping[str, Normal], batches: Iterable[Tensor]
) -> dict[str, Normal]:
    """Equalize every stream without clamps, in place; return the statistics of what it is then.

    The function stays up to float32 rounding.

    Args:
        statistics: By layer, before the activation.
        batches: Images [N, C, H, W] that show how large each channel gets.
    """
    streams = [
        stream for stream in find_streams(graph, {}, deviations=0.0) if _is_linear(graph, stream)
    ]
    largest = _largest(graph, streams, batches)
    rescaled = dict(statistics)
    for stream, size in zip(streams, largest, strict=True):
        scales = (size / size.max().clamp(min=torch.finfo().tiny)).clamp(min=LEAST_SCALE)
        scales = scales.where(size > 0, 1.0)  # a channel that is never seen stays as it is
        for name in stream.writers:
            rescale_layer(graph, graph[name], None, scales)
            if name in rescaled:
                normal = rescaled[name]
                rescaled[name] = Normal(normal.mean / scales, normal.std / scales)
        for name in stream.readers:
            rescale_layer(graph, graph[name], scales, None)
    return rescaled


def _is_linear(graph: Graph, stream: Stream) -> bool:
    return all(graph[name].attrs["activation"] is None for name in stream.writers)


def _largest(graph: Graph, streams: list[Stream], batches: Iterable[Tensor]) -> list[Tensor]:
    """Return the largest magnitude of each channel of each stream, [C] float64."""
    stream_of: dict[str, int] = {}
    for index, stream in enumerate(streams):
        stream_of.update(dict.fromkeys(stream.writers, index))
        stream_of.update({graph[name].inputs[0]: index for name in stream.readers})
    found = [torch.zeros_like(stream.lowest) for stream in streams]

    def look(node: Node, value: Tensor) -> None:
        """Take in a value [N, C, ...] of a stream: each channel's largest magnitude so far."""
        index = stream_of.get(node.name)
        if index is not None:
            size = value.transpose(0, 1).flatten(1).abs().amax(1).double()
            found[index] = torch.maximum(found[index], size)

    for images in batches:
        run_float(graph, images, tap=look)
    return found
