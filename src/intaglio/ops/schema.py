"""What an op is: its name, the roles of its weights, and its meaning in float32.

The float function is the definition. Everything else (shapes, the integer kernels, the writers) is
held to it: shapes are found by running it on tensors without storage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from intaglio.errors import GraphError
from intaglio.ir.graph import Node
from intaglio.ops.attributes import Rule
from intaglio.registry import Registry

FloatFunction = Callable[[Node, Sequence[Tensor], Mapping[str, Tensor]], Tensor]
"""(node, inputs, weights by role) -> value. It reads `node.attrs` and changes nothing."""


@dataclass(frozen=True)
class OpSchema:
    """One op.

    Attributes:
        name: As in `Node.op`.
        arity: Smallest and largest number of inputs; None: any number.
        roles: Roles of weights that it may have.
        attributes: Names that `Node.attrs` must have, no more and no fewer, and what they may hold.
        function: Its meaning in float32.
    """

    name: str
    arity: tuple[int, int | None]
    roles: tuple[str, ...]
    attributes: Mapping[str, Rule]
    function: FloatFunction


OPS: Registry[OpSchema] = Registry("op")


def op(
    name: str,
    *,
    arity: tuple[int, int | None] = (1, 1),
    roles: tuple[str, ...] = (),
    attributes: Mapping[str, Rule] | None = None,
) -> Callable[[FloatFunction], FloatFunction]:
    """Return a decorator that files a float function as the op `name`."""

    def add(function: FloatFunction) -> FloatFunction:
        """File the function with the op's schema; return it."""
        OPS.register(name)(OpSchema(name, arity, roles, attributes or {}, function))
        return function

    return add


def check_node(node: Node) -> None:
    """Raise GraphError unless the node has what its op's schema names, no more and no fewer.

    Settings must hold what the schema allows; whether they fit the inputs' shapes is not looked at.
    """
    schema = OPS[node.op]
    where = f"node '{node.name}' ({node.op})"
    fewest, most = schema.arity
    if len(node.inputs) < fewest or (most is not None and len(node.inputs) > most):
        raise GraphError(f"{where} has {len(node.inputs)} inputs, not {fewest} to {most}")
    if set(node.attrs) != set(schema.attributes):
        raise GraphError(
            f"{where} has the settings {sorted(node.attrs)}, not {sorted(schema.attributes)}"
        )
    if not set(node.params) <= set(schema.roles):
        raise GraphError(f"{where} has the weights {sorted(node.params)}, not of {schema.roles}")
    for setting, rule in schema.attributes.items():
        if not rule.holds(node.attrs[setting]):
            seen = repr(node.attrs[setting])[:80]
            raise GraphError(f"{where} has {setting} = {seen}, not {rule.allowed}")


Activation = tuple[float, float]
"""Bounds (low, high) of a clamp that is fused into the op that makes the value; may be infinite."""


def bare(node: Node) -> Node:
    """Return a node without its fused activation."""
    if node.attrs.get("activation") is None:
        return node
    return replace(node, attrs={**node.attrs, "activation": None})


def activate(value: Tensor, activation: Activation | None) -> Tensor:
    """Return `value` clamped to the fused activation's bounds, or itself where there is none."""
    return value if activation is None else activate_fresh(value.clone(), activation)


def activate_fresh(value: Tensor, activation: Activation | None) -> Tensor:
    """Clamp in place a tensor that an op has just made and nobody else holds; return it."""
    if activation is None or activation == (float("-inf"), float("inf")) or value.is_meta:
        return value  # a tensor without storage has only a shape, and torch clamps it slowly
    low, high = activation
    if (low, high) == (0.0, float("inf")):
        return value.relu_()
    return value.clamp_(low, high)  # bounds may be infinite
