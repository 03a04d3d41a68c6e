"""Activation functions as ops; a `clamp` is also fused into other ops, as their activation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.ops.attributes import AXIS, BOUNDS, FINITE
from intaglio.ops.schema import activate, op


@op("clamp", attributes={"activation": BOUNDS})
def clamp(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """ReLU (0, inf), ReLU6 (0, 6), or any other clamp."""
    return activate(inputs[0], node.attrs["activation"])


@op("leaky_relu", attributes={"slope": FINITE})
def leaky_relu(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """x where x >= 0, slope * x below."""
    return F.leaky_relu(inputs[0], node.attrs["slope"])


@op("prelu", roles=("weight",))
def prelu(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """x where x >= 0, weight * x below; weight [C], over axis 1."""
    return F.prelu(inputs[0], params["weight"])


@op("hard_swish")
def hard_swish(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """x * relu6(x + 3) / 6."""
    return F.hardswish(inputs[0])


@op("hard_sigmoid")
def hard_sigmoid(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """relu6(x + 3) / 6."""
    return F.hardsigmoid(inputs[0])


@op("sigmoid")
def sigmoid(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """1 / (1 + exp(-x))."""
    return inputs[0].sigmoid()


@op("tanh")
def tanh(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """The hyperbolic tangent."""
    return inputs[0].tanh()


@op("silu")
def silu(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """x * sigmoid(x)."""
    return F.silu(inputs[0])


@op("softmax", attributes={"axis": AXIS})
def softmax(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """exp(x) / sum exp(x) over `axis`."""
    return inputs[0].softmax(node.attrs["axis"])
