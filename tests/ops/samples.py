"""One node of each op with what it reads, to hold what is said of the op against the op itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from architectures.sketch import USUAL
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ops import OPS, check_node

SHAPE = (2, 4, 6, 6)
INFINITE = float("inf")
SETTINGS: dict[str, dict[str, Any]] = {
    "adaptive_avg_pool2d": {"size": (3, 3)},
    "avg_pool2d": {"kernel": (2, 2), "stride": (2, 2)},
    "clamp": {"activation": (-0.5, 0.5)},
    "concat": {"axis": 1},
    "conv2d": {"padding": (1, 1, 1, 1)},
    "compare": {"relation": "less"},
    "depth_to_space": {"block": 2},
    "function": {"chain": (("mul", 2.0), ("sin",))},
    "leaky_relu": {"slope": 0.1},
    "matmul": {"transposed": True},
    "max_pool2d": {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
    "mean": {"axes": (2, 3), "keepdim": True},
    "pad": {"padding": (1, 2, 0, 1)},
    "reduce_max": {"axes": (2, 3), "keepdim": True},
    "rescale": {"factor": 0.25},
    "reshape": {"shape": (-1, 4, 36)},
    "resize": {"size": (9, 12), "mode": "bilinear"},
    "slice": {"axis": 2, "start": 1, "stop": 5, "step": 2},
    "softmax": {"axis": 1},
    "take": {"axis": 1, "indices": (2, 0, 2)},
    "transpose": {"order": (0, 3, 2, 1)},
}
WEIGHTS = {
    "affine": {"weight": (4,), "bias": (4,)},
    "batch_norm": {"weight": (4,), "bias": (4,), "mean": (4,), "var": (4,)},
    "constant": {"value": (1, 4, 1, 1)},
    "conv2d": {"weight": (5, 4, 3, 3)},
    "conv_transpose2d": {"weight": (4, 5, 3, 3)},
    "linear": {"weight": (5, 4)},
    "prelu": {"weight": (4,)},
}
AXES = {"linear": 2, "matmul": 3}
"""Of the inputs, where they are not four."""
SAMPLED = sorted(set(OPS) - {"input", "opaque"})
"""Ops with a float function of their own."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A node, its inputs and its weights by role."""

    node: Node
    inputs: list[Tensor]
    params: dict[str, Tensor]

    def __call__(self, inputs: Sequence[Tensor] | None = None) -> Tensor:
        """Return the node's value, of its own inputs unless others are given."""
        given = self.inputs if inputs is None else inputs
        return OPS[self.node.op].function(self.node, given, self.params)

    def graph(self) -> Graph:
        """Return the graph of this one node."""
        graph = Graph(inputs=list(self.node.inputs), outputs=["node"])
        for name, value in zip(self.node.inputs, self.inputs, strict=True):
            graph.add(Node(name, "input", shape=(BATCH, *value.shape[1:])))
        graph.add(self.node)
        graph.params.update(self.params)
        self.node.shape = (BATCH, *self().shape[1:])
        return graph


def sample(op: str, weights: dict[str, tuple[int, ...]] | None = None, **attrs: Any) -> Sample:
    """Return a node of an op with random inputs and weights.

    Inputs are [2, 4, 6, 6]; of linear [2, 4], of matmul [2, 4, 6]; a condition is 0 or 1.
    """
    generator = torch.Generator().manual_seed(len(op))

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    count = OPS[op].arity[0] + (op == "concat")
    shape = SHAPE[: AXES.get(op, len(SHAPE))]
    shapes = WEIGHTS.get(op, {}) if weights is None else weights
    params = {role: random(*size) for role, size in shapes.items()}
    if "var" in params:
        params["var"] = params["var"].abs() + 0.5
    settings = {**USUAL.get(op, {}), **SETTINGS.get(op, {}), **attrs}
    names = [f"x{index}" for index in range(count)]
    node = Node("node", op, names, {role: role for role in params}, settings)
    check_node(node)
    inputs = [random(*shape) for _ in range(count)]
    if op == "where":
        inputs[0] = (inputs[0] > 0).float()
    return Sample(node, inputs, params)
