"""Products, means and clamps get grids of their own where that of others does not fit them.

x86-64 and ARM agree on a product, or on a mean, where the ratio of its operands' scales to its
result's is a fortunate one (runtimes/litert/scales/nudge.py). A ratio can be moved only by a scale
that does not stand on both sides of it, and is not prescribed.
"""

from __future__ import annotations

from collections import Counter

import torch

from intaglio.calibrate.plan import grid_groups
from intaglio.ir.edit import insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.passes.graph_pass import graph_pass
from intaglio.runtimes.litert.lower.bridge import UNBOUNDED, bridge
from intaglio.runtimes.litert.lower.guard_factors import shares
from intaglio.runtimes.litert.ops.activation import PRESCRIBED
from intaglio.runtimes.litert.ops.site import FUSED_ACTIVATIONS

SMALLEST_FACTOR = 2.0**-16
"""A smaller factor before a sum becomes a constant, whose scale can be raised to what MUL takes."""
Groups = dict[str, tuple[str, ...]]


@graph_pass
def store_factors(graph: Graph) -> int:
    """Make a `rescale` whose grid is not its own a `mul` by a constant, whose scale can move.

    The integer 1 of a `rescale` means the factor exactly. A result that shares its grid with other
    values, with its own input as a rule, can then not be helped; and neither can a factor too small
    for the kernel.
    """
    groups, changed = _groups(graph), 0
    for node in graph:
        if node.op != "rescale":
            continue
        tiny = node.attrs["factor"] < SMALLEST_FACTOR and any(
            reader.op in ("add", "sub") for reader in graph.readers(node.name)
        )
        if len(groups[node.name]) == 1 and not tiny:
            continue
        shape = (1,) * len(node.shape)
        name = graph.unique_name(f"{node.name}.factor")
        constant = Node(name, "constant", shape=shape, source=node.source)
        insert_before(graph, node.name, constant)
        graph.set_param(constant, "value", torch.full(shape, node.attrs["factor"]))
        inputs, attrs = [node.inputs[0], name], {"activation": None}
        replace(graph, node, Node(node.name, "mul", inputs, {}, attrs, node.shape, node.source))
        changed += 1
    return changed


@graph_pass
def free_scales(graph: Graph) -> int:
    """Give a product or mean, none of whose scales can be moved, a grid of its own.

    Such are a mean that shares its grid with its input, and the product of a value with a sigmoid
    that shares its grid with the value.
    """
    changed = 0
    for node in graph:
        if node.op in ("mul", "mean") and not _is_free(graph, _groups(graph), node):
            changed += bridge(graph, node)
    return changed


@graph_pass
def free_clamps(graph: Graph) -> int:
    """Give a clamp that the file has no word for, and that shares its grid, a grid of its own.

    The ends of that grid are then the clamp's bounds.
    """
    changed = 0
    for node in graph:
        activation = node.attrs.get("activation")
        said = activation is None or activation in (*FUSED_ACTIVATIONS, UNBOUNDED)
        if not said and not shares(graph, node):
            changed += bridge(graph, node)
    return changed


def _groups(graph: Graph) -> Groups:
    groups = grid_groups(graph, list(graph), shares)
    return {name: group for group in groups for name in group}


def _is_free(graph: Graph, groups: Groups, node: Node) -> bool:
    """Whether the scale of some group that does not stand on both sides alike can be moved."""
    power = Counter(groups[_source(graph, groups, name)] for name in node.inputs)
    power[groups[node.name]] -= 1
    prescribed = {group for group in power if len(group) == 1 and graph[group[0]].op in PRESCRIBED}
    return any(power[group] for group in power if group not in prescribed)


def _source(graph: Graph, groups: Groups, name: str) -> str:
    """Return the value from whose grid that of another will be derived."""
    while graph[name].op == "rescale" and len(groups[name]) == 1:
        name = graph[name].inputs[0]
    return name
