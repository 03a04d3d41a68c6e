"""Channels that are always the same number leave the weights and become biases.

A channel that is dead in training has variance 0, and folding its batch norm multiplies its kernel
by up to 1 / sqrt(eps): a few such kernels, which do nothing, can be ten times larger than all
others and take the int8 grid of the whole tensor for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.normal import Normal
from intaglio.passes.channels import (
    keeps_constants,
    layers_behind,
    reads_channels,
    scales_along,
)

CERTAIN = 10.0
"""Standard deviations beyond a clamp's bound at which a channel is taken never to come back."""

NEGLIGIBLE = 1e-3
"""Of a layer's median standard deviation: a channel that varies less is a constant."""


def fold_dead_channels(graph: Graph, statistics: Mapping[str, Normal]) -> dict[str, list[int]]:
    """Fold constant channels into biases, in place; unread channels go as well.

    A channel is constant where its layer's clamp holds it (mean + 10 std <= low, or the same above
    high), where it does not vary (std below a thousandth of the layer's median), or where
    everything that it is computed from is constant. Then

      1. its row of the weight becomes 0 and its bias the constant;
      2. each layer that reads it takes weight * constant into its bias, and its column becomes 0;
         not where the layer pads with zeros and the constant is not 0: that would not be exact;
      3. rows that nothing reads any more become 0, bias and all.

    Only convolutions and linear layers on [N, C] are changed.

    Args:
        graph: Canonical or lowered.
        statistics: From `channel_statistics`.

    Returns:
        By layer, the output channels whose row was not 0 before and is now.
    """
    rows = {node.name: _live_rows(graph, node) for node in graph if reads_channels(graph, node)}
    constants: dict[str, Tensor] = {}
    for node in graph:
        if reads_channels(graph, node):
            _absorb_constants(graph, node, constants.get(node.inputs[0]))
            constants[node.name] = _fix_rows(graph, node, statistics.get(node.name))
        elif node.inputs and node.inputs[0] in constants:
            constants[node.name] = _passed_on(graph, node, constants[node.inputs[0]])
    for node in reversed(list(graph)):
        if node.name in rows:
            _clear_rows(graph, node, _unread(graph, node))
    folded = {
        name: (live & ~_live_rows(graph, graph[name])).nonzero().flatten().tolist()
        for name, live in rows.items()
    }
    return {name: channels for name, channels in folded.items() if channels}


def settled_statistics(graph: Graph, statistics: Mapping[str, Normal]) -> dict[str, Normal]:
    """Return the statistics with rows of zeros as what they are: their bias, without deviation."""
    settled = dict(statistics)
    for name, normal in statistics.items():
        node = graph.nodes.get(name)
        if node is None or not reads_channels(graph, node):
            continue
        live = _live_rows(graph, node)
        bias = _bias(graph, node)
        settled[name] = Normal(normal.mean.where(live, bias), normal.std.where(live, 0.0))
    return settled


def _live_rows(graph: Graph, node: Node) -> Tensor:
    """Return which output channels have a weight other than 0, [C_out] bool."""
    return graph.param(node, "weight").flatten(1).any(1)


def _bias(graph: Graph, node: Node) -> Tensor:
    channels = len(graph.param(node, "weight"))
    return graph.param(node, "bias", torch.zeros(channels)).double()


def _passed_on(graph: Graph, node: Node, constants: Tensor) -> Tensor:
    """Return the constants of a value that is made from one with `constants`; NaN: none."""
    if len(node.inputs) == 1 and keeps_constants(graph, node):
        return constants
    if len(node.inputs) == 1 and scales_along(graph, node):
        return constants.where(constants == 0.0, torch.nan)
    return torch.full((*node.shape, 0, 0)[1:2], torch.nan, dtype=torch.float64)


def _absorb_constants(graph: Graph, node: Node, constants: Tensor | None) -> None:
    """Move what constant input channels ([C_in], NaN: not constant) contribute into the bias."""
    if constants is None:
        return
    exact = ~constants.isnan()
    if any(node.attrs.get("padding", ())):
        exact &= constants == 0.0
    weight = graph.param(node, "weight")  # [C_out, C_in / groups, ...]
    groups = node.attrs.get("groups", 1)
    blocks = weight.double().reshape(groups, len(weight) // groups, weight.shape[1], -1)
    inputs = constants.where(exact, 0.0).reshape(groups, -1, 1)
    shift = (blocks.sum(3) @ inputs).flatten()
    kept = blocks * ~exact.reshape(groups, 1, -1, 1)
    if torch.equal(kept, blocks):
        return
    graph.set_param(node, "weight", kept.reshape(weight.shape).float())
    if shift.any():
        graph.set_param(node, "bias", (_bias(graph, node) + shift).float())


def _fix_rows(graph: Graph, node: Node, normal: Normal | None) -> Tensor:
    """Make constant rows 0 and their bias the constant; return the constants, NaN elsewhere."""
    low, high = node.attrs["activation"] or (-torch.inf, torch.inf)
    live, bias = _live_rows(graph, node), _bias(graph, node)
    found = bias.clamp(low, high).where(~live, torch.nan)
    if normal is not None:
        by_statistics = _constants(normal, low, high)
        found = found.where(~live, by_statistics)
    constant = ~found.isnan()
    if constant.any():
        _set_rows(graph, node, constant, found)
    return found


def _constants(normal: Normal, low: float, high: float) -> Tensor:
    """Return what constant channels are behind their clamp, [C] float64; NaN: not constant."""
    varies = normal.std > NEGLIGIBLE * normal.std.median()
    found = normal.mean.clamp(low, high).where(~varies, torch.nan)
    found = found.where(normal.upper(CERTAIN) > low, low)
    return found.where(normal.lower(CERTAIN) < high, high)


def _unread(graph: Graph, node: Node) -> Tensor:
    """Return which output channels no reader has a weight for, [C_out] bool."""
    unread = torch.ones(node.shape[1], dtype=torch.bool)
    readers = layers_behind(graph, node.name, scales_along)
    if readers is None:
        return ~unread
    for reader in readers:
        weight = graph.param(reader, "weight")
        groups = reader.attrs.get("groups", 1)
        blocks = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
        unread &= ~(blocks != 0).any(3).any(1).flatten()
    return unread


def _clear_rows(graph: Graph, node: Node, rows: Tensor) -> None:
    if rows.any():
        _set_rows(graph, node, rows, torch.zeros(len(rows), dtype=torch.float64))


def _set_rows(graph: Graph, node: Node, rows: Tensor, bias: Tensor) -> None:
    """Make the rows chosen ([C_out] bool) 0 in the weight, and take their bias from `bias`."""
    weight = graph.param(node, "weight")
    chosen = rows.reshape(-1, *[1] * (weight.ndim - 1))
    if (weight != 0).logical_and(chosen).any():
        graph.set_param(node, "weight", weight.where(~chosen, 0.0))
    old = _bias(graph, node)
    new = bias.where(rows, old)
    if not torch.equal(new, old):
        graph.set_param(node, "bias", new.float())
