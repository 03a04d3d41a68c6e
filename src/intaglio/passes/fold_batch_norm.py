"""Batch norms disappear into the layer before them; what has no such layer becomes `affine`."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.errors import NonFiniteError
from intaglio.ir.edit import bypass, chains, replace
from intaglio.ir.graph import Graph, Node
from intaglio.ops.traits import WEIGHTED
from intaglio.ops.weight_rows import over_outputs
from intaglio.passes.graph_pass import graph_pass


@graph_pass
def fold_batch_norm(graph: Graph) -> int:
    """Fold every batch norm into the convolution or linear layer that alone feeds it.

        y = gamma * (conv(x) - mean) / sqrt(var + eps) + beta
          = conv'(x)     with  w' = w * g,  b' = (b - mean) * g + beta,  g = gamma / sqrt(var + eps)

    The product is formed in float64 and rounded once. A batch norm whose input has other readers is
    left alone. Source: Jacob et al. 2018 (arXiv:1712.05877), section 3.2.

    Returns:
        How many were folded.
    """
    folded = 0
    for op in WEIGHTED:
        for layer, norm in list(chains(graph, op, "batch_norm")):
            if layer.attrs["activation"] is not None or (op == "linear" and len(norm.shape) != 2):
                continue
            gain, offset = _gain_and_offset(graph, norm)
            weight = graph.param(layer, "weight").double()
            bias = graph.param(layer, "bias", torch.zeros(len(gain))).double()
            graph.set_param(layer, "weight", (weight * over_outputs(layer, weight, gain)).float())
            graph.set_param(layer, "bias", (bias * gain + offset).float())
            bypass(graph, norm)
            folded += 1
    graph.drop_unused()
    return folded


@graph_pass
def batch_norm_to_affine(graph: Graph) -> int:
    """Turn each batch norm that is left into y = g * x + offset per channel; return how many."""
    changed = 0
    for node in graph:
        if node.op == "batch_norm":
            gain, offset = _gain_and_offset(graph, node)
            new = replace(
                graph,
                node,
                Node(node.name, "affine", node.inputs, {}, {"activation": None}, node.shape),
            )
            new.source = node.source
            graph.set_param(new, "weight", gain.float())
            graph.set_param(new, "bias", offset.float())
            changed += 1
    graph.drop_unused()
    return changed


def _gain_and_offset(graph: Graph, norm: Node) -> tuple[Tensor, Tensor]:
    """Return g and beta - mean * g, [C] float64.

    Raises:
        NonFiniteError: If the norm itself gives infinity or NaN; names the layer.
    """
    mean, var = graph.param(norm, "mean").double(), graph.param(norm, "var").double()
    gamma = graph.param(norm, "weight", torch.ones_like(mean)).double()
    beta = graph.param(norm, "bias", torch.zeros_like(mean)).double()
    gain = gamma / (var + norm.attrs["eps"]).sqrt()
    if bad := int((~gain.isfinite()).sum()):
        raise NonFiniteError(
            f"layer '{norm.source or norm.name}' (batch_norm) divides by zero, or by the root of a"
            f" negative number, in {bad} of {len(gain)} channels: their variance is"
            f" {float(var[~gain.isfinite()].min()):g} and eps {norm.attrs['eps']:g}"
        )
    return gain, beta - mean * gain
