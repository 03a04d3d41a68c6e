"""Stored numbers that a layer's channels are multiplied with, or added to, become its weights.

Norms that are written out (those of detectors, with statistics that never learn), scales of layers,
offsets: each would be a node with a grid of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.ir.edit import redirect
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ops.traits import WEIGHTED
from intaglio.ops.weight_rows import over_outputs
from intaglio.passes.graph_pass import graph_pass


@dataclass(frozen=True, eq=False)
class ChannelLine:
    """What becomes of the values x of each channel: gain * x + offset.

    Attributes:
        gain, offset: [C] float64.
    """

    gain: Tensor
    offset: Tensor

    @staticmethod
    def identity(channels: int) -> ChannelLine:
        """Return the line that changes nothing."""
        gain = torch.ones(channels, dtype=torch.float64)
        return ChannelLine(gain, torch.zeros_like(gain))

    def then(self, other: ChannelLine) -> ChannelLine:
        """Return this line, and the other one behind it, as one."""
        return ChannelLine(other.gain * self.gain, other.gain * self.offset + other.offset)


@graph_pass
def fold_channel_constants(graph: Graph) -> int:
    """Fold sums and products with constants into the layer that alone feeds them.

        g (conv(x) + b) + d = conv'(x) + b'     with  w' = w g,  b' = b g + d

    The constant is one number, or one for each of the layer's channels. All that stand in a row are
    one line, formed in float64 and rounded once; an activation of the last one becomes the layer's.
    Left alone are constants that differ from place to place or from image to image, layers whose
    value is read elsewhere, and what would make a weight infinite.

    Returns:
        How many nodes were folded.
    """
    folded = 0
    for layer in graph:
        if layer.op in WEIGHTED and layer.attrs["activation"] is None:
            folded += _fold_into(graph, layer)
    graph.drop_unused()
    return folded


def channel_line(graph: Graph, node: Node, value: str, axis: int = 1) -> ChannelLine | None:
    """Return what a node does to each channel of its input `value`, its activation apart.

    None where it is no sum, difference, product or quotient of that value, of the same shape, with
    a constant of one number or of one for each channel; a constant divided by it is none either.

    Args:
        axis: The channels' of the value; the batch is axis 0.
    """
    if node.op not in ("add", "sub", "mul", "div") or node.inputs.count(value) != 1:
        return None
    is_second = node.inputs[1] == value
    other, made = graph[node.inputs[1 - is_second]], graph[value]
    if other.op != "constant" or made.shape != node.shape or (is_second and node.op == "div"):
        return None
    constant = _by_channel(graph.param(other, "value"), made.shape, axis)
    if constant is None:
        return None
    ones, nothing = torch.ones_like(constant), torch.zeros_like(constant)
    if node.op == "add":
        return ChannelLine(ones, constant)
    if node.op == "sub":
        return ChannelLine(-ones, constant) if is_second else ChannelLine(ones, -constant)
    return ChannelLine(constant if node.op == "mul" else 1.0 / constant, nothing)


def _by_channel(constant: Tensor, shape: tuple[int, ...], axis: int) -> Tensor | None:
    """Return a constant's numbers by channel, [C] float64; None where it has others.

    Args:
        shape: Of the value that it meets, and of the result.
    """
    if shape[:1] != (BATCH,) or not 0 < axis < len(shape) or constant.ndim > len(shape):
        return None
    sizes = [1] * (len(shape) - constant.ndim) + list(constant.shape)
    if any(size != 1 for place, size in enumerate(sizes) if place != axis):
        return None
    return constant.double().flatten().expand(shape[axis])


def _fold_into(graph: Graph, layer: Node) -> int:
    """Fold what stands in a row behind a layer into it; return how many nodes that were."""
    axis = len(layer.shape) - 1 if layer.op == "linear" else 1
    line, row = ChannelLine.identity(layer.shape[axis]), [layer]
    while row[-1].attrs.get("activation") is None:
        reader = graph.only_reader(row[-1].name)
        found = None if reader is None else channel_line(graph, reader, row[-1].name, axis)
        if reader is None or found is None:
            break
        line = line.then(found)
        row.append(reader)
    if len(row) == 1 or not _take(graph, layer, line):
        return 0
    layer.attrs["activation"] = row[-1].attrs.get("activation")
    redirect(graph, row[-1].name, layer.name)
    for node in row[1:]:
        del graph.nodes[node.name]
    return len(row) - 1


def _take(graph: Graph, layer: Node, line: ChannelLine) -> bool:
    """Give a layer the weight and bias with the line behind it; return whether they are finite."""
    weight, bias = graph.param(layer, "weight"), graph.params_of(layer).get("bias")
    scaled = (weight.double() * over_outputs(layer, weight, line.gain)).float()
    moved = (line.offset if bias is None else bias.double() * line.gain + line.offset).float()
    if not scaled.isfinite().all() or not moved.isfinite().all():
        return False
    if bool((line.gain != 1.0).any()):  # else a weight that layers share stays shared
        graph.set_param(layer, "weight", scaled)
    if bias is not None or bool((moved != 0.0).any()):
        graph.set_param(layer, "bias", moved)
    return True
