"""What batch norms know about a network's values: their means and deviations, without any data.

A batch norm's beta and gamma are the mean and standard deviation that it gives to each channel in
training. They are gone once it is folded, so they are read from the graph as captured.
Source: Nagel et al. 2019 (arXiv:1906.04721), section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.normal import Normal, clipped_mean, clipped_variance
from intaglio.ops.traits import ELEMENTWISE
from intaglio.passes.channels import keeps_constants, reads_channels, scales_along
from intaglio.passes.folded_norms import folded_norms

Moments = Mapping[str, Normal]
"""By value, behind its activation."""


def channel_statistics(captured: Graph, canonical: Graph, lowered: Graph) -> dict[str, Normal]:
    """Return the distribution of layers' values before their activation, from batch norms.

    Arguments and keys are those of `folded_norms`.
    """
    norms = folded_norms(captured, canonical, lowered)
    return {layer: norm.normal() for layer, norm in norms.items()}


def post_activation(normal: Normal, activation: tuple[float, float] | None) -> Normal:
    """Return the mean and standard deviation behind a clamp (they are not normal any more)."""
    if activation is None:
        return normal
    low, high = activation
    low = min(low, high)  # torch's clamp gives `high` where the bounds are crossed
    variance = clipped_variance(normal, low, high)
    return Normal(clipped_mean(normal, low, high), variance.sqrt())


def moments_before(graph: Graph, node: Node, known: Moments) -> Normal | None:
    """Return the moments of a node's value before its activation, where its inputs' are known.

    What is assumed stands at `intaglio.passes.implied_values.implied_values`.
    """
    if node.op in ("add", "sub"):
        return _sum(graph, node, known)
    if node.op == "mul":
        return _product(graph, node, known)
    if not node.inputs or any(name not in known for name in node.inputs):
        return None
    if node.op == "concat":
        inputs = [known[name] for name in node.inputs]
        return _concatenated(inputs) if node.attrs["axis"] == 1 else None
    moved = MOVED.get(node.op)
    return None if moved is None else moved(graph, node, known[node.inputs[0]])


def _sum(graph: Graph, node: Node, known: Moments) -> Normal | None:
    sign = 1.0 if node.op == "add" else -1.0
    first, second = (_moments_of(graph, name, known, node) for name in node.inputs)
    if first is None or second is None:
        return None
    variance = first.std.square() + second.std.square()
    return Normal(first.mean + sign * second.mean, variance.sqrt())


def _product(graph: Graph, node: Node, known: Moments) -> Normal | None:
    first, second = (_moments_of(graph, name, known, node) for name in node.inputs)
    if first is None or second is None:
        return None
    a, b = first.std.square(), second.std.square()
    variance = a * b + a * second.mean.square() + b * first.mean.square()
    return Normal(first.mean * second.mean, variance.sqrt())


def _moments_of(graph: Graph, name: str, known: Moments, reader: Node) -> Normal | None:
    """Return the moments of one operand; a constant with one number (a channel) has std 0."""
    operand = graph[name]
    if operand.op != "constant":
        same_channels = operand.shape[1:2] == reader.shape[1:2]
        return (
            known.get(name) if same_channels and len(operand.shape) == len(reader.shape) else None
        )
    value = graph.param(operand, "value").double()
    channels = reader.channels
    if value.numel() != 1:
        per_channel = (1, channels) + (1,) * (len(reader.shape) - 2)
        if tuple(value.shape) not in (per_channel, per_channel[1:]):
            return None
    mean = value.flatten().expand(channels).clone()
    return Normal(mean, torch.zeros_like(mean))


def _concatenated(inputs: list[Normal]) -> Normal:
    return Normal(torch.cat([x.mean for x in inputs]), torch.cat([x.std for x in inputs]))


def _through_layer(graph: Graph, node: Node, x: Normal) -> Normal | None:
    if not reads_channels(graph, node):
        return _kept(graph, node, x)
    weight = graph.param(node, "weight").double()
    groups = node.attrs.get("groups", 1)
    summed = weight.flatten(2).sum(2) if weight.ndim > 2 else weight  # [C_out, C_in / groups]
    blocks = summed.reshape(groups, -1, summed.shape[1])  # [groups, C_out / groups, C_in / groups]

    def through(matrix: Tensor, vector: Tensor) -> Tensor:
        """Return the product of each group's matrix with its part of the vector [C_in]: [C_out]."""
        return (matrix @ vector.reshape(groups, -1, 1)).flatten()

    bias = graph.param(node, "bias", torch.zeros(len(summed))).double()
    variance = through(blocks.square(), x.std.square())
    return Normal(through(blocks, x.mean) + bias, variance.sqrt())


def _kept(graph: Graph, node: Node, x: Normal) -> Normal | None:
    return x if keeps_constants(graph, node) else None


def _unchanged(graph: Graph, node: Node, x: Normal) -> Normal:
    return x


def _padded(graph: Graph, node: Node, x: Normal) -> Normal | None:
    before, behind = (*node.attrs["padding"], 0, 0)[4:6]
    if scales_along(graph, node):
        return x
    if node.attrs["value"] != 0.0:
        return None
    mean, std = (torch.nn.functional.pad(part, (before, behind)) for part in (x.mean, x.std))
    return Normal(mean, std)


def _sliced(graph: Graph, node: Node, x: Normal) -> Normal | None:
    attrs = node.attrs
    if attrs["axis"] != 1:
        return x if attrs["axis"] > 1 else None
    part = slice(attrs["start"], attrs["stop"], attrs["step"])
    return Normal(x.mean[part], x.std[part])


def _reshaped(graph: Graph, node: Node, x: Normal) -> Normal | None:
    """Return the moments of [N, C, ...] flattened to [N, C * ...], or with its channels kept."""
    channels, size = len(x.mean), node.shape[1] if len(node.shape) > 1 else 0
    if keeps_constants(graph, node):
        return x
    if len(node.shape) != 2 or size % channels:
        return None
    return Normal(*(part.repeat_interleave(size // channels) for part in (x.mean, x.std)))


def _rescaled(graph: Graph, node: Node, x: Normal) -> Normal:
    factor = node.attrs["factor"]
    return Normal(x.mean * factor, x.std * factor)


def _affine(graph: Graph, node: Node, x: Normal) -> Normal:
    gain, offset = (graph.param(node, role).double() for role in ("weight", "bias"))
    return Normal(x.mean * gain + offset, x.std * gain.abs())


MOVED: dict[str, Callable[[Graph, Node, Normal], Normal | None]] = {
    "adaptive_avg_pool2d": _kept,
    "affine": _affine,
    "avg_pool2d": _kept,
    "clamp": _unchanged,
    "conv2d": _through_layer,
    "linear": _through_layer,
    "max_pool2d": _unchanged,
    "mean": _kept,
    "pad": _padded,
    "rescale": _rescaled,
    "reshape": _reshaped,
    "resize": _kept,
    "slice": _sliced,
}
"""How moments pass through the ops with one input, before their activation."""
PROPAGATED = frozenset(MOVED) | {"concat"} | (ELEMENTWISE - {"batch_norm"})
PRODUCT = "the moments of sums of products need to know how their factors vary together"
REFUSED = {
    "batch_norm": "no canonical graph has one: it is folded, or an affine",
    "constant": "one number for each channel is read where it is added, and no distribution",
    "conv_transpose2d": "how many positions of its input a value is made of changes with its place",
    "depth_to_space": "a channel of it is a mixture of several, which is no normal distribution",
    "input": "no batch norm knows the images",
    "matmul": PRODUCT,
    "opaque": "a call that intaglio does not know may do anything",
    "reduce_max": "the largest of several values is no mean of them, and no sum",
    "softmax": "every number of it is made from all of its inputs'",
    "take": "whatever takes channels apart has no batch norm behind it in any known network",
    "transpose": "its channels may have been positions, whose moments nobody knows",
}
"""Ops behind which nothing is known, and why."""
