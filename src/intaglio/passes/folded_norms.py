"""Which batch norm was folded into which layer, from the graph as captured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.ops.traits import WEIGHTED
from intaglio.ops.weight_rows import over_outputs
from intaglio.passes.fold_channel_constants import ChannelLine, channel_line

ROUNDING = 2.0**-20
"""Of a sum of a few float32 numbers, each of half of 2**-23, rounded at each of a few folds."""


def folded_norms(captured: Graph, canonical: Graph, lowered: Graph) -> dict[str, BatchNorm]:
    """Return the batch norms that layers took in.

    Args:
        captured: As `capture` made it.
        canonical: The same after `canonicalize`.
        lowered: The same in the words of a runtime; the canonical one itself where there is none.

    Returns:
        By the name that the layer has in `canonical`, and still in `lowered`: a layer that took in
        the batch norm, or the `affine` that the batch norm became. Constants before and behind the
        norm that the layer took in as well are part of it. A layer whose bias lowering changes (an
        addition or a factor behind it moved in) has no entry.
    """
    found: dict[str, BatchNorm] = {}
    for norm in captured:
        if norm.op != "batch_norm":
            continue
        layer = _layer_of(captured, canonical, norm)
        if layer is None or not _same_bias(canonical, lowered, layer):
            continue
        own = _batch_norm(captured, norm, captured.nodes.get(layer))
        own = _with_line_before(own, _between(captured, canonical, norm), captured, layer)
        bias = canonical.param(canonical[layer], "bias")
        for line in _lines_behind(captured, canonical, norm):
            if _gives(own, line, bias):
                found[layer] = _with_line_behind(own, line)
    return found


def _layer_of(captured: Graph, canonical: Graph, norm: Node) -> str | None:
    """Return the canonical node that does the work of `norm`."""
    if norm.name in canonical.nodes:
        return norm.name if canonical[norm.name].op == "affine" else None
    between = _between(captured, canonical, norm)
    layer = canonical.nodes.get(_computed(captured, between[-1] if between else norm))
    return layer.name if layer is not None and layer.op in WEIGHTED else None


def _between(captured: Graph, canonical: Graph, norm: Node) -> list[Node]:
    """Return what stood between the layer and its norm, and is gone now, from the norm on.

    It changed nothing, or was a constant that was folded as well.
    """
    found: list[Node] = []
    maker = captured[norm.inputs[0]]
    while maker.op not in WEIGHTED and maker.inputs and maker.name not in canonical.nodes:
        found.append(maker)
        maker = captured[_computed(captured, maker)]
    return found


def _computed(captured: Graph, node: Node) -> str:
    """Return the first input of a node that is no constant."""
    return next((x for x in node.inputs if captured[x].op != "constant"), node.inputs[0])


def _same_bias(canonical: Graph, lowered: Graph, layer: str) -> bool:
    after = lowered.nodes.get(layer)
    if after is None or "bias" not in after.params:
        return after is not None and after.op == "slice"  # the crop of a transposed convolution
    bias = canonical.param(canonical[layer], "bias")
    return torch.equal(bias, lowered.param(after, "bias"))


def _batch_norm(captured: Graph, norm: Node, layer: Node | None) -> BatchNorm:
    var = captured.param(norm, "var")
    names = _names(norm)
    weight: Tensor | None = None
    bias: Tensor | None = None
    if layer is not None and layer is not norm:
        names |= layer.params
        weight, bias = (captured.params_of(layer).get(role) for role in ("weight", "bias"))
    return BatchNorm(
        gamma=captured.param(norm, "weight", torch.ones_like(var)),
        beta=captured.param(norm, "bias", torch.zeros_like(var)),
        mean=captured.param(norm, "mean"),
        var=var,
        eps=float(norm.attrs["eps"]),
        layer_bias=bias,
        names=names,
        layer_weight=weight,
    )


def _with_line_before(
    norm: BatchNorm, between: list[Node], captured: Graph, layer: str
) -> BatchNorm:
    """Return a norm of a layer that took in the constants between the two.

    What the layer holds by then has no name in the user's network.
    """
    line, channels = None, len(norm.mean)
    for node in reversed(between):
        found = channel_line(captured, node, _computed(captured, node))
        if found is not None:
            line = (line or ChannelLine.identity(channels)).then(found)
    if line is None or norm.layer_weight is None:
        return norm
    weight = norm.layer_weight.double()
    weight = weight * over_outputs(captured[layer], weight, line.gain)
    bias = torch.zeros(channels) if norm.layer_bias is None else norm.layer_bias
    bias = bias.double() * line.gain + line.offset
    names = {role: key for role, key in norm.names.items() if role not in ("weight", "bias")}
    return replace(norm, layer_weight=weight.float(), layer_bias=bias.float(), names=names)


def _lines_behind(captured: Graph, canonical: Graph, norm: Node) -> Iterator[ChannelLine]:
    """Give what constants behind a norm, and gone now, do to its result: none of them, one, ...

    Which of them the layer took in, only its bias tells: others became part of a function.
    """
    line, value = ChannelLine.identity(len(captured.param(norm, "mean"))), norm.name
    yield line
    while (reader := captured.only_reader(value)) is not None:
        found = channel_line(captured, reader, value)
        if found is None or reader.name in canonical.nodes:
            return
        line, value = line.then(found), reader.name
        yield line


def _gives(norm: BatchNorm, line: ChannelLine, bias: Tensor) -> bool:
    """Whether a layer that took in a norm, and the line behind it, has this bias."""
    gain, away = norm.gain * line.gain, -norm.mean.double()
    if norm.layer_bias is not None:
        away = away + norm.layer_bias.double()
    added = line.gain * norm.beta.double()
    largest = (away * gain).abs() + added.abs() + line.offset.abs()
    apart = (away * gain + added + line.offset - bias.double()).abs()
    return bool((apart <= ROUNDING * largest).all())


def _with_line_behind(norm: BatchNorm, line: ChannelLine) -> BatchNorm:
    """Return a norm that is this one and the line behind it.

    Its gamma and beta have no name in the user's network, unless they are still the same.
    """
    gamma = (norm.gamma.double() * line.gain).float()
    beta = (norm.beta.double() * line.gain + line.offset).float()
    same = {"gamma": torch.equal(gamma, norm.gamma), "beta": torch.equal(beta, norm.beta)}
    if all(same.values()):
        return norm
    names = {role: key for role, key in norm.names.items() if same.get(role, True)}
    return replace(norm, gamma=gamma, beta=beta, names=names)


def _names(norm: Node) -> dict[str, str]:
    roles = {"weight": "gamma", "bias": "beta", "mean": "mean", "var": "var"}
    return {roles[role]: key for role, key in norm.params.items()}
