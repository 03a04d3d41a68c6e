"""Graph and encodings of a network in training, as they are now: what its twin is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from intaglio.ir.graph import Graph
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams
from intaglio.run.fake.layer import Layer
from intaglio.run.fake.names import Slot


@torch.no_grad()
def present(
    graph: Graph,
    layers: Mapping[str, Layer],
    others: Mapping[str, Mapping[str, Slot]],
    *,
    start: Encodings,
    scale_of: Callable[[str], Tensor],
) -> tuple[Graph, Encodings]:
    """Return the graph with folded weights and biases, and the grids.

    Args:
        graph: With any weights; it is not changed.
        others: Other tensors that learn, by node and role.
        start: The grid of each value that has one; those of weights that do not learn.
        scale_of: Returns the scales of a layer's weight, [C] or [].
    """
    copy = graph.copy()
    weights = dict(start.weights)
    for name, layer in layers.items():
        node = copy[name]
        weight, bias = layer.folded()
        copy.set_param(node, "weight", weight.cpu())
        if bias is not None:
            copy.set_param(node, "bias", bias.cpu())
        if layer.range is not None:
            scale = scale_of(name).cpu()
            zero_point = layer.range.zero_point.cpu()
            weights[name] = QuantParams(scale, zero_point, layer.range.spec)
    for name, slots in others.items():
        for role, slot in slots.items():
            copy.set_param(copy[name], role, slot.value.cpu())
    return copy, Encodings(dict(start.activations), weights)
