"""Which batch norm was folded into which layer, from the graph as captured."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.ops.traits import WEIGHTED


def folded_norms(captured: Graph, canonical: Graph, lowered: Graph) -> dict[str, BatchNorm]:
    """Return the batch norms that layers took in.

    Args:
        captured: As `capture` made it.
        canonical: The same after `canonicalize`.
        lowered: The same in the words of a runtime; the canonical one itself where there is none.

    Returns:
        By the name that the layer has in `canonical`, and still in `lowered`: a layer that took in
        the batch norm, or the `affine` that the batch norm became. A layer whose bias lowering
        changes (an addition or a factor behind it moved in) has no entry.
    """
    found: dict[str, BatchNorm] = {}
    for norm in captured:
        if norm.op == "batch_norm":
            layer = _layer_of(captured, canonical, norm)
            if layer is not None and _same_bias(canonical, lowered, layer):
                found[layer] = _batch_norm(captured, norm, captured.nodes.get(layer))
    return found


def _layer_of(captured: Graph, canonical: Graph, norm: Node) -> str | None:
    """Return the canonical node that does the work of `norm`."""
    if norm.name in canonical.nodes:
        return norm.name if canonical[norm.name].op == "affine" else None
    maker = captured[norm.inputs[0]]
    # what stood between the layer and its norm, and is gone now, changed nothing
    while maker.op not in WEIGHTED and maker.inputs and maker.name not in canonical.nodes:
        maker = captured[maker.inputs[0]]
    layer = canonical.nodes.get(maker.name)
    return layer.name if layer is not None and layer.op in WEIGHTED else None


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


def _names(norm: Node) -> dict[str, str]:
    roles = {"weight": "gamma", "bias": "beta", "mean": "mean", "var": "var"}
    return {roles[role]: key for role, key in norm.params.items()}
