"""What an op's writer sees: the node, its grids, and the file under construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema

from intaglio.errors import UnsupportedByTarget
from intaglio.export.tflite.builder import TfliteBuilder
from intaglio.export.tflite.layout import file_shape
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.registry import Registry
from intaglio.run.integer.site import FUSED_ACTIVATIONS
from intaglio.run.integer.weights import integer_bias, integer_weight
from intaglio.targets.target import Target

INT32 = QuantSpec(bits=32, symmetric=True)
ACTIVATIONS = {
    "NONE": schema.ActivationFunctionType.NONE,
    "RELU": schema.ActivationFunctionType.RELU,
    "RELU6": schema.ActivationFunctionType.RELU6,
    "RELU_N1_TO_1": schema.ActivationFunctionType.RELU_N1_TO_1,
}
PADDING = {"SAME": schema.Padding.SAME, "VALID": schema.Padding.VALID}


@dataclass
class Writing:
    """A graph being written.

    Attributes:
        graph, encodings, target: What is written, and for whom.
        build: The file under construction.
        index: Value name to its tensor in the file.
    """

    graph: Graph
    encodings: Encodings
    target: Target
    build: TfliteBuilder = field(default_factory=TfliteBuilder)
    index: dict[str, int] = field(default_factory=dict)

    def grid(self, name: str) -> QuantParams:
        """Return the grid of a value."""
        return self.encodings.activations[name]

    def inputs(self, node: Node) -> list[int]:
        """Return the tensors that a node reads."""
        return [self.index[name] for name in node.inputs]

    def output(self, node: Node) -> int:
        """Add the tensor that a node makes; return its index."""
        shape = file_shape(node.shape)
        index = self.build.tensor(node.name, shape, "int8", self.grid(node.name))
        self.index[node.name] = index
        return index

    def scratch(self, node: Node, suffix: str, shape: tuple[int, ...]) -> int:
        """Add a tensor between a node's input and its result, on its grid; return its index."""
        return self.build.tensor(f"{node.name}.{suffix}", shape, "int8", self.grid(node.name))

    def weight(self, node: Node, order: tuple[int, ...], axis: int) -> int:
        """Store a layer's integer weight with its axes in `order`, scales along `axis`."""
        params = self.encodings.weights[node.name]
        integers = integer_weight(self.graph.param(node, "weight"), params)
        array = integers.permute(order).contiguous().numpy().astype(np.int8)
        return self.build.stored(f"{node.name}.weight", array, params, axis)

    def bias(self, node: Node, channels: int) -> int:
        """Store a layer's int32 bias (zeros where it has none), step s_x * s_w."""
        params = self.encodings.weights[node.name]
        scale = self.grid(node.inputs[0]).scale
        if "bias" in node.params:
            integers = integer_bias(self.graph.param(node, "bias"), scale, params.scale)
        else:
            integers = torch.zeros(channels, dtype=torch.int64)
        step = scale * params.scale
        grid = QuantParams(step, torch.zeros_like(step, dtype=torch.int32), INT32)
        return self.build.stored(f"{node.name}.bias", integers.numpy().astype(np.int32), grid)

    def integers(self, name: str, values: list[int]) -> int:
        """Store a list of int32 (axes, paddings, shapes); return its index."""
        return self.build.stored(name, np.asarray(values, np.int32))

    def refuse(self, node: Node, reason: str, try_instead: str) -> UnsupportedByTarget:
        """Return the error that says the file cannot hold this node, by the user's layer."""
        layer = node.source or node.name
        return UnsupportedByTarget(
            layer, node.op, self.target.name, reason=reason, try_instead=try_instead
        )


Writer = Callable[[Node, Writing], None]
TFLITE_OPS: Registry[Writer] = Registry("tflite writer")


def tflite_op(op: str) -> Callable[[Writer], Writer]:
    """Return a decorator that files a function as the writer of `op`."""
    return TFLITE_OPS.register(op)


def options(kind: str, **values: Any) -> Any:
    """Return an options object of the schema ("Conv2DOptions") with its fields set."""
    made = getattr(schema, f"{kind}T")()
    for name, value in values.items():
        if not hasattr(made, name):
            raise AttributeError(f"{kind} has no field {name}")
        setattr(made, name, value)
    return made


def activation_word(node: Node) -> int:
    """Return the schema's number for a node's fused activation; NONE where saturation does it."""
    activation = node.attrs.get("activation")
    word = "NONE" if activation is None else FUSED_ACTIVATIONS.get(activation, "NONE")
    return int(ACTIVATIONS[word])
