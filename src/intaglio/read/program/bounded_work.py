"""What a program that was read would compute of sizes, or make from nothing: bounded before it is.

Capture may trace a program once more, and torch then computes its sizes anew: `n * n` of a size
that is a sum of many terms is multiplied out, and a dozen such calls in a row would run for days.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from torch import Tensor, fx
from torch._ops import HigherOrderOperator, OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

LARGEST_MADE = 2**26
"""Elements of a tensor that a call makes from nothing, such as zeros."""
MOST_TERMS = 256
"""Terms of a size when it is multiplied out."""


def check_work(module: Any, terms: int = 1) -> int:
    """Look through the calls of a graph and of the graphs that it calls.

    Args:
        module: A GraphModule.
        terms: A bound of the terms of the sizes that it is given.

    Returns:
        A bound of the terms of all sizes in it.

    Raises:
        ValueError: If a call computes a size of too many terms, or makes too large a tensor of no
            other; names it.
    """
    known: dict[fx.Node, int] = {}
    for node in module.graph.nodes:
        known[node] = terms
        if node.op == "call_function":
            known[node] = _terms(node, known, module)
            if known[node] > MOST_TERMS:
                raise ValueError(f"'{node.name}' computes a size of too many terms")
    return max(known.values())


def _terms(node: fx.Node, known: dict[fx.Node, int], module: Any) -> int:
    """Return a bound of the terms of what a call gives, looked through itself."""
    if isinstance(node.target, OpOverload):
        _check_made(node)
        return 1  # a tensor, or one of its sizes
    leaves = pytree.tree_leaves((node.args, node.kwargs))
    nodes = [leaf for leaf in leaves if isinstance(leaf, fx.Node)]
    inner = [known[leaf] for leaf in nodes]
    if isinstance(node.target, HigherOrderOperator):
        graphs = [getattr(module, str(leaf.target)) for leaf in nodes if leaf.op == "get_attr"]
        given = max(known.values())
        return max((check_work(graph, given) for graph in graphs), default=given)
    return math.prod(inner) if node.target is operator.mul else max(1, sum(inner))


def _check_made(node: fx.Node) -> None:
    if node.all_input_nodes:
        return
    call: Any = node.target
    with FakeTensorMode():  # without storage
        made = pytree.tree_leaves(call(*node.args, **node.kwargs))
    count = sum(value.numel() for value in made if isinstance(value, Tensor))
    if count > LARGEST_MADE:
        raise ValueError(f"'{node.name}' makes a tensor of {count} elements")
