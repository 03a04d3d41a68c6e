"""Small graphs written in a few lines, for tests of passes and of the graph itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ops.verify import verify
from intaglio.run.float import infer_shapes

CONVOLUTION = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "activation": None}
USUAL: dict[str, dict[str, Any]] = {
    "conv2d": {**CONVOLUTION, "padding": (0, 0, 0, 0)},
    "conv_transpose2d": {**CONVOLUTION, "padding": (0, 0), "output_padding": (0, 0)},
    "max_pool2d": {
        "stride": (1, 1),
        "padding": (0, 0, 0, 0),
        "dilation": (1, 1),
        "ceil_mode": False,
        "activation": None,
    },
    "avg_pool2d": {
        "stride": (1, 1),
        "padding": (0, 0),
        "ceil_mode": False,
        "count_include_pad": True,
        "divisor": None,
    },
    "resize": {"mode": "nearest", "align_corners": False, "scales": None},
    "batch_norm": {"eps": 1e-3},
    "pad": {"value": 0.0},
    "slice": {"step": 1},
    "opaque": {"sizes": None},
    **{op: {"activation": None} for op in ("linear", "affine", "add", "sub", "mul")},
}
"""Settings that a test need not name."""


class Sketch:
    """A graph under construction, with the input "x"; every method returns the new value's name."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.graph = Graph(inputs=["x"])
        self.graph.add(Node("x", "input", shape=(BATCH, *shape)))
        self.generator = torch.Generator().manual_seed(seed)

    def add(self, name: str, op: str, *inputs: str, **attrs: Any) -> str:
        """Append a node without weights."""
        settings = {**USUAL.get(op, {}), **attrs}
        return self._add(Node(name, op, list(inputs), {}, settings, source=f"layer.{name}"))

    def weighted(
        self, name: str, op: str, source: str, weights: dict[str, Tensor], **attrs: Any
    ) -> str:
        """Append a node with weights of its own."""
        params = {role: f"{name}.{role}" for role in weights}
        self.graph.params.update({f"{name}.{role}": value for role, value in weights.items()})
        settings = {**USUAL.get(op, {}), **attrs}
        return self._add(Node(name, op, [source], params, settings, source=f"layer.{name}"))

    def constant(self, name: str, value: Tensor) -> str:
        """Append a stored tensor."""
        self.graph.params[f"{name}.value"] = value
        return self._add(Node(name, "constant", params={"value": f"{name}.value"}))

    def conv(self, name: str, source: str, out: int, kernel: int = 3, **attrs: Any) -> str:
        """Append a convolution with random weights and a bias."""
        channels = self.graph[source].channels // attrs.get("groups", 1)
        weights = {"weight": self.random(out, channels, kernel, kernel), "bias": self.random(out)}
        return self.weighted(name, "conv2d", source, weights, **attrs)

    def norm(self, name: str, source: str) -> str:
        """Append a batch norm with random statistics."""
        channels = self.graph[source].channels
        weights = {role: self.random(channels) for role in ("weight", "bias", "mean")}
        weights["var"] = self.random(channels).abs() + 0.1
        return self.weighted(name, "batch_norm", source, weights)

    def clamp(self, name: str, source: str, low: float = 0.0, high: float = float("inf")) -> str:
        """Append a clamp; a ReLU unless bounds are given."""
        return self.add(name, "clamp", source, activation=(low, high))

    def random(self, *shape: int) -> Tensor:
        """Return normal random numbers."""
        return torch.randn(shape, generator=self.generator)

    def done(self, *outputs: str) -> Graph:
        """Return the graph with these outputs; the last node's when none are named."""
        self.graph.outputs = list(outputs) or [list(self.graph.nodes)[-1]]
        verify(self.graph)
        return self.graph

    def _add(self, node: Node) -> str:
        self.graph.add(node)
        infer_shapes(self.graph)
        return node.name
