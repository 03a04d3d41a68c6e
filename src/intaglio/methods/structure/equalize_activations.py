"""Equalization of linear streams by what flows in them: every channel fills the int8 grid.

An activation has one scale for all channels, so that a channel whose values are a tenth of the
largest channel's is rounded ten times as coarsely. Where a stream carries plain sums (the linear
bottlenecks of MobileNetV2), its channels can be rescaled freely: rows of the layers that write it
are divided, columns of those that read it multiplied. Per-channel weights lose nothing by the first
and little by the second.

A stream has several values (each layer's result, each sum) and one scale a channel for all of them:
what suits the last sum can be too coarse for the first result. Rounding a value n of range R_n adds
noise in proportion to R_n s_c to its channel c, of which all that reads the stream behind it gets
something, so that the scales are those of the least sum over values and channels.

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
STEPS = (2.0, 2.0, 2.0, 1.5, 1.5, 1.2, 1.2, 1.1, 1.1, 1.05)
"""By how much the range of a value is widened or narrowed, sweep after sweep."""


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
    for stream, sizes in zip(streams, largest, strict=True):
        scales = stream_scales(sizes)
        for name in stream.writers:
            rescale_layer(graph, graph[name], None, scales)
            if name in rescaled:
                normal = rescaled[name]
                rescaled[name] = Normal(normal.mean / scales, normal.std / scales)
        for name in stream.readers:
            rescale_layer(graph, graph[name], scales, None)
    return rescaled


def stream_scales(sizes: Tensor) -> Tensor:
    """Return what each channel of a stream is divided by, [C] float64: 1 at most.

    Minimizes (sum_n R_n^2) (sum_c s_c^2) over the range R_n that each value n is to have; then
    s_c = max_n size_nc / R_n. By coordinate descent from equal ranges and from those that the
    values have, whichever ends lower.

    Args:
        sizes: The largest magnitude of each channel in each value of the stream, [N, C] float64.
    """
    seen = sizes[sizes.amax(1) > 0]
    if not len(seen):
        return torch.ones(sizes.shape[1], dtype=sizes.dtype)
    starts = (torch.ones(len(seen), dtype=sizes.dtype), seen.amax(1))
    ranges = min((_descended(seen, start) for start in starts), key=lambda r: _noise(seen, r))
    scales = _scales(seen, ranges)
    scales = (scales / scales.max()).clamp(min=LEAST_SCALE)
    return scales.where(sizes.amax(0) > 0, 1.0)  # a channel that is never seen stays as it is


def _descended(sizes: Tensor, ranges: Tensor) -> Tensor:
    """Return ranges [N] after steps of each in turn, ever smaller ones."""
    for step in STEPS:
        for index in range(len(ranges)):
            tried = ranges.repeat(3, 1)
            tried[:, index] *= torch.tensor([1.0, step, 1.0 / step], dtype=ranges.dtype)
            noises = [_noise(sizes, one) for one in tried]
            ranges = tried[noises.index(min(noises))]
    return ranges


def _noise(sizes: Tensor, ranges: Tensor) -> float:
    return float(ranges.square().sum() * _scales(sizes, ranges).square().sum())


def _scales(sizes: Tensor, ranges: Tensor) -> Tensor:
    return (sizes / ranges.unsqueeze(1)).amax(0)


def _is_linear(graph: Graph, stream: Stream) -> bool:
    return all(graph[name].attrs["activation"] is None for name in stream.writers)


def _largest(graph: Graph, streams: list[Stream], batches: Iterable[Tensor]) -> list[Tensor]:
    """Return the largest magnitude of each channel in each value of each stream, [N, C] float64."""
    stream_of: dict[str, int] = {}
    for index, stream in enumerate(streams):
        stream_of.update(dict.fromkeys(stream.writers, index))
        stream_of.update({graph[name].inputs[0]: index for name in stream.readers})
    found: list[dict[str, Tensor]] = [{} for _ in streams]

    def look(node: Node, value: Tensor) -> None:
        """Take in a value [N, C, ...] of a stream: each channel's largest magnitude so far."""
        index = stream_of.get(node.name)
        if index is not None:
            size = value.transpose(0, 1).flatten(1).abs().amax(1).double()
            found[index][node.name] = torch.maximum(found[index].get(node.name, size), size)

    for images in batches:
        run_float(graph, images, tap=look)
    return [torch.stack(list(sizes.values())) for sizes in found]
