"""What an op's writer sees: the node, its grids, and the file under construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch

from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.ops.unknown_call import word_of
from intaglio.registry import Registry
from intaglio.run.weights import integer_bias, integer_weight
from intaglio.runtimes.litert.format.layout import Array, file_shape
from intaglio.runtimes.litert.format.packing import pack_integers
from intaglio.runtimes.litert.ops.refused import FLOAT_ALONE
from intaglio.runtimes.litert.ops.site import FUSED_ACTIVATIONS, Arithmetic

NO_INTEGERS = "there is no integer form of it"
INT32 = QuantSpec(bits=32, symmetric=True)


class Build(Protocol):
    """A file under construction, as writers use it (format/builder.py makes it).

    Writers reach the file's schema through it alone, so that kernels, which stand on the same
    pages, need no writer's package.
    """

    @property
    def tensors(self) -> list[Any]:
        """The records of the tensors, in order."""

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: str,
        params: QuantParams | None = None,
        axis: int = 0,
    ) -> int:
        """Add a tensor without data; return its index."""

    def stored(
        self, name: str, values: Array, params: QuantParams | None = None, axis: int = 0
    ) -> int:
        """Add a tensor with data; return its index."""

    def packed(
        self, name: str, shape: tuple[int, ...], data: Array, params: QuantParams, *, bits: int
    ) -> int:
        """Add a tensor of 4 or 2 bits with its packed bytes; return its index."""

    def options(self, kind: str, **values: Any) -> Any:
        """Return the schema's record of an operator's options ("Conv2DOptions")."""

    def operator(
        self,
        word: str,
        inputs: list[int],
        outputs: list[int],
        *,
        version: int,
        options: Any = None,
    ) -> None:
        """Add an operator, named as in the schema ("CONV_2D")."""

    def custom(self, name: str, inputs: list[int], outputs: list[int], options: bytes) -> None:
        """Add an operator that the schema has no word for."""


@dataclass
class Writing:
    """A graph being written.

    Attributes:
        graph, encodings: What is written.
        target: For whom, for messages.
        build: The file under construction.
        arithmetic: Of the kernels that will run it.
        index: Value name to its tensor in the file.
        reals: Value name to the float32 tensor that its integers are turned into.
    """

    graph: Graph
    encodings: Encodings
    target: str
    build: Build
    arithmetic: Arithmetic = "xnnpack"
    index: dict[str, int] = field(default_factory=dict)
    reals: dict[str, int] = field(default_factory=dict)

    def grid(self, name: str) -> QuantParams:
        """Return the grid of a value."""
        return self.encodings.activations[name]

    def is_float(self, name: str) -> bool:
        """Whether a value stays float32."""
        return name not in self.encodings.activations

    def inputs(self, node: Node) -> list[int]:
        """Return the tensors that a node reads; float32 ones where its own value is float32."""
        if self.is_float(node.name):
            return [self.real(name) for name in node.inputs]
        return [self.index[name] for name in node.inputs]

    def real(self, name: str) -> int:
        """Return the float32 tensor of a value; one DEQUANTIZE serves all that read it."""
        if self.is_float(name):
            return self.index[name]
        if name not in self.reals:
            shape = file_shape(self.graph[name].shape)
            self.reals[name] = self.build.tensor(f"{name}.float", shape, "float32")
            made = [self.reals[name]]
            self.build.operator("DEQUANTIZE", [self.index[name]], made, version=2)
        return self.reals[name]

    def output(self, node: Node) -> int:
        """Add the tensor that a node makes; return its index."""
        self.index[node.name] = self._tensor(node, node.name, file_shape(node.shape))
        return self.index[node.name]

    def scratch(self, node: Node, suffix: str, shape: tuple[int, ...]) -> int:
        """Add a tensor between a node's input and its result, on its grid; return its index."""
        return self._tensor(node, f"{node.name}.{suffix}", shape)

    def _tensor(self, node: Node, name: str, shape: tuple[int, ...]) -> int:
        if self.is_float(node.name):
            return self.build.tensor(name, shape, "float32")
        return self.build.tensor(name, shape, "int8", self.grid(node.name))

    def weight(self, node: Node, order: tuple[int, ...], axis: int) -> int:
        """Store a layer's integer weight with its axes in `order`, scales along `axis`.

        The weight of a layer in float is stored as it is.
        """
        if self.is_float(node.name):
            real = self.graph.param(node, "weight").permute(order).contiguous().numpy()
            return self.stored_real(node, "weight", real)
        params = self.encodings.weights[node.name]
        integers = integer_weight(self.graph.param(node, "weight"), params)
        array = integers.permute(order).contiguous().numpy().astype(np.int8)
        return self.build.stored(f"{node.name}.weight", array, params, axis)

    def weight_bits(self, node: Node) -> int:
        """Return the width of a layer's weight; 32 where the layer stays in float."""
        return 32 if self.is_float(node.name) else self.encodings.weights[node.name].spec.bits

    def packed_weight(self, node: Node) -> int:
        """Store a layer's weight of 4 or 2 bits as [C_out, C_in].

        The file has a scale for every row, equal ones where the weight has one scale: XNNPACK takes
        no other int2 weights.
        """
        params = self.encodings.weights[node.name]
        integers = integer_weight(self.graph.param(node, "weight"), params).flatten(1)
        rows = replace(params.spec, axis=0)
        scale = params.scale.expand(len(integers))
        grid = QuantParams(scale, torch.zeros_like(scale, dtype=torch.int32), rows)
        data = pack_integers(integers.numpy(), rows.bits)
        shape = tuple(integers.shape)
        return self.build.packed(f"{node.name}.weight", shape, data, grid, bits=rows.bits)

    def bias(self, node: Node, channels: int) -> int:
        """Store a layer's int32 bias (zeros where it has none), step s_x * s_w.

        The bias of a layer in float is stored as it is.
        """
        if self.is_float(node.name):
            real = self.graph.param(node, "bias", torch.zeros(channels)).contiguous().numpy()
            return self.stored_real(node, "bias", real)
        params = self.encodings.weights[node.name]
        scale = self.grid(node.inputs[0]).scale
        if "bias" in node.params:
            integers = integer_bias(self.graph.param(node, "bias"), scale, params.scale)
        else:
            integers = torch.zeros(channels, dtype=torch.int64)
        step = scale * params.scale
        grid = QuantParams(step, torch.zeros_like(step, dtype=torch.int32), INT32)
        return self.build.stored(f"{node.name}.bias", integers.numpy().astype(np.int32), grid)

    def stored_real(self, node: Node, role: str, values: Array, name: str = "") -> int:
        """Store a parameter of a layer in float; return the index of its float32 tensor.

        One of the halves is a float16 constant and a DEQUANTIZE behind it, which the delegate folds
        when it loads the file. The zeros of a missing bias follow the weight.

        Args:
            values: The parameter as the file lays it out.
            name: Of the tensor; left out, it is called after layer and role.
        """
        name = name or f"{node.name}.{role}"
        key = node.params.get(role, node.params.get("weight"))
        if key not in (self.encodings.halves or ()):
            return self.build.stored(name, values.astype(np.float32))
        half = self.build.stored(f"{name}.half", values.astype(np.float16))
        real = self.build.tensor(name, tuple(values.shape), "float32")
        self.build.operator("DEQUANTIZE", [half], [real], version=3)
        return real

    def integers(self, name: str, values: list[int]) -> int:
        """Store a list of int32 (axes, paddings, shapes); return its index."""
        return self.build.stored(name, np.asarray(values, np.int32))

    def refuse(self, node: Node, reason: str, try_instead: str) -> UnsupportedByTarget:
        """Return the error that says the file cannot hold this node, by the user's layer."""
        layer = node.source or node.name
        return UnsupportedByTarget(
            layer,
            word_of(node),
            self.target,
            reason=reason,
            try_instead=try_instead,
            node=node.name,
        )

    def refuse_integers(self, node: Node) -> None:
        """Raise UnsupportedByTarget unless the node, which has no integer form, stays in float."""
        if not self.is_float(node.name):
            why = FLOAT_ALONE.get(node.op)
            raise self.refuse(
                node,
                f"{NO_INTEGERS}: {why}" if why else NO_INTEGERS,
                f"Keep it in float (--keep-float {node.source or node.name})",
            )


Writer = Callable[[Node, Writing], None]
TFLITE_OPS: Registry[Writer] = Registry("tflite writer")
FLOAT_OPS: Registry[Writer] = Registry("tflite writer of float32")
"""Writers of ops that are written otherwise in float32 than in integers, or in float32 alone."""


def tflite_op(op: str) -> Callable[[Writer], Writer]:
    """Return a decorator that files a function as the writer of `op`."""
    return TFLITE_OPS.register(op)


def float_op(op: str) -> Callable[[Writer], Writer]:
    """Return a decorator that files a function as the writer of `op` where it stays in float."""
    return FLOAT_OPS.register(op)


def activation_word(node: Node) -> str:
    """Return the file's word for a node's fused activation; NONE where saturation does it."""
    activation = node.attrs.get("activation")
    return "NONE" if activation is None else FUSED_ACTIVATIONS.get(activation, "NONE")


def transpose(writing: Writing, source: int, made: int, order: tuple[int, ...], name: str) -> None:
    """Write TRANSPOSE: the axes of tensor `source` in an order, as tensor `made`."""
    index = writing.integers(f"{name}.order", list(order))
    writing.build.operator(
        "TRANSPOSE",
        [source, index],
        [made],
        version=2,
        options=writing.build.options("TransposeOptions"),
    )


def reshape(writing: Writing, source: int, made: int, name: str) -> None:
    """Write RESHAPE: tensor `source` in the shape of tensor `made`."""
    shape = [int(size) for size in writing.build.tensors[made].shape]
    index = writing.integers(f"{name}.shape", shape)
    chosen = writing.build.options("ReshapeOptions", newShape=shape)
    writing.build.operator("RESHAPE", [source, index], [made], version=1, options=chosen)
