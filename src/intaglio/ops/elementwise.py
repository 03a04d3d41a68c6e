"""Inputs, constants, and arithmetic of two values with broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from intaglio.errors import GraphError
from intaglio.ir.graph import Node
from intaglio.ops.attributes import ACTIVATION, POSITIVE, words
from intaglio.ops.schema import activate_fresh, op

RELATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "equal": torch.eq,
    "not_equal": torch.ne,
    "less": torch.lt,
    "less_equal": torch.le,
    "greater": torch.gt,
    "greater_equal": torch.ge,
}


@op("input", arity=(0, 0))
def network_input(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """A value that the caller gives."""
    raise GraphError(f"input '{node.name}' was not given a value")


@op("constant", arity=(0, 0), roles=("value",))
def constant(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """A stored tensor, the same for every image; its first axis (if it has as many) is 1."""
    return params["value"]


@op("add", arity=(2, 2), attributes={"activation": ACTIVATION})
def add(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """a + b."""
    return activate_fresh(inputs[0] + inputs[1], node.attrs["activation"])


@op("sub", arity=(2, 2), attributes={"activation": ACTIVATION})
def sub(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """a - b."""
    return activate_fresh(inputs[0] - inputs[1], node.attrs["activation"])


@op("mul", arity=(2, 2), attributes={"activation": ACTIVATION})
def mul(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """a * b."""
    return activate_fresh(inputs[0] * inputs[1], node.attrs["activation"])


@op("div", arity=(2, 2))
def div(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """a / b."""
    return inputs[0] / inputs[1]


@op("maximum", arity=(2, 2))
def maximum(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """The larger of a and b."""
    return torch.maximum(inputs[0], inputs[1])


@op("minimum", arity=(2, 2))
def minimum(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """The smaller of a and b."""
    return torch.minimum(inputs[0], inputs[1])


@op("compare", arity=(2, 2), attributes={"relation": words(*RELATIONS)})
def compare(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """1 where a stands in the relation to b, else 0, in float32."""
    return RELATIONS[node.attrs["relation"]](inputs[0], inputs[1]).to(inputs[0].dtype)


@op("where", arity=(3, 3))
def where(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """a where the condition is not 0, else b: inputs are (condition, a, b)."""
    return torch.where(inputs[0] != 0, inputs[1], inputs[2])


@op("rescale", attributes={"factor": POSITIVE})
def rescale(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """factor * x, factor > 0: on integers only the scale changes. Made by lowering passes."""
    value: Tensor = inputs[0] * node.attrs["factor"]
    return value


@op("quantize")
def quantize(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """x: where a value in float enters an integer region. Made where layers are kept in float."""
    return inputs[0]
