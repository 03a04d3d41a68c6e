"""From a graph to layers that train: which tensor is learned, and what it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.ops.convolution import copies_values
from intaglio.ops.schema import bare
from intaglio.ops.traits import WEIGHTED
from intaglio.run.fake.layer import Layer, Norm, unfolded
from intaglio.run.fake.names import Slot, found_at, hang, key_of
from intaglio.run.fake.ranges import WeightRange


@dataclass(eq=False)
class Made:
    """The tensors of a network in training.

    Attributes:
        root: The module that they hang on, by their names in the user's network.
        layers: Layers with a weight, by node.
        others: Other learned tensors (slopes of a prelu, ...), by node and role.
    """

    root: nn.Module = field(default_factory=nn.Module)
    layers: dict[str, Layer] = field(default_factory=dict)
    others: dict[str, dict[str, Slot]] = field(default_factory=dict)


def make_layers(
    graph: Graph, norms: Mapping[str, BatchNorm], ranges: Mapping[str, WeightRange]
) -> Made:
    """Return the layers of a graph, their tensors hung up under the user's names.

    A tensor that several layers share is one parameter, where it is still the same in all.
    Convolutions that only move values and constants do not learn.

    Args:
        norms: By layer.
        ranges: By layer; without an entry a weight stays in float.
    """
    made = Made()
    for node in graph:
        if node.op in WEIGHTED or (node.op == "affine" and node.name in norms):
            if not copies_values(graph, node):
                made.layers[node.name] = _layer(graph, node, norms.get(node.name), ranges, made)
        elif node.op != "constant" and node.params:
            made.others[node.name] = {
                role: _hung(made, key, f"{node.name}.{role}", graph.params[key])
                for role, key in node.params.items()
            }
    return made


def _layer(
    graph: Graph,
    node: Node,
    norm: BatchNorm | None,
    ranges: Mapping[str, WeightRange],
    made: Made,
) -> Layer:
    weight, bias = graph.param(node, "weight"), graph.params_of(node).get("bias")
    key, own = node.params["weight"], f"{node.name}.weight"
    scales = ranges.get(node.name)
    holds = scales is not None and scales.holds
    if norm is None or bias is None:
        slot = _hung(made, key, own, weight, learned=not holds)
        bias_slot = None
        if bias is not None:
            bias_slot = _hung(made, node.params["bias"], f"{node.name}.bias", bias)
        return Layer(bare(node), slot, bias_slot, None, scales)
    name = norm.names.get("weight")
    raw = unfolded(node, weight, norm)
    slot = _hung(made, name, own, raw, learned=name is not None and not holds)
    has_gains = not holds or (scales is not None and scales.spec.axis is not None)
    found = _norm(node, bias, norm, made, learned=("gamma", "beta") if has_gains else ("beta",))
    return Layer(bare(node), slot, None, found, scales)


def _norm(
    node: Node, bias: Tensor, norm: BatchNorm, made: Made, *, learned: tuple[str, ...]
) -> Norm:
    """Return a norm in training whose offset is the bias that the folded layer has by now."""
    away = -norm.mean.double()
    if norm.layer_bias is not None:
        away = away + norm.layer_bias.double()
    beta = (bias.double() - away * norm.gain).float()
    values = {"gamma": norm.gamma, "beta": beta, "mean": norm.mean, "var": norm.var}
    slots = {
        role: _hung(
            made,
            norm.names.get(role),
            f"{node.name}.{role}",
            value,
            learned=role in learned and role in norm.names,
        )
        for role, value in values.items()
    }
    layer_bias = None
    if norm.layer_bias is not None:
        name = f"{node.name}.layer_bias"
        layer_bias = _hung(made, norm.names.get("bias"), name, norm.layer_bias, learned=False)
    return Norm(**slots, eps=norm.eps, layer_bias=layer_bias)


def _hung(made: Made, name: str | None, other: str, value: Tensor, *, learned: bool = True) -> Slot:
    """Hang a tensor up by its name; by another where that name stands for another tensor by now.

    Args:
        name: In the user's network; None where it is not there.
        other: What to make a name of our own of.
    """
    there = None if name is None else found_at(made.root, name)
    if there is not None and _is_same(there.value, value):
        return there
    if name is None or there is not None:
        name, number = key_of(other), 0
        while found_at(made.root, name) is not None:
            number += 1
            name = f"{key_of(other)}_{number}"
    return hang(made.root, name, value, learned=learned)


def _is_same(held: Tensor, value: Tensor) -> bool:
    return held.shape == value.shape and torch.allclose(held, value, rtol=1e-4)
