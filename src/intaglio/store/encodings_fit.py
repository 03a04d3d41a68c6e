"""Whether encodings fit the graph that they lie beside: grids that its kernels can hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from intaglio.errors import RequestError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.half import is_half
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.ops.traits import WEIGHTED

WIDEST = 16
"""Bits of what papers simulate."""


def refuse_grids(graph: Graph, encodings: Encodings, widest: int, where: Path) -> None:
    """Raise RequestError where a grid is none that a value or a weight can have; names both.

    Args:
        encodings: With names of the graph alone, and a grid for each layer with integer weights.
        widest: The most bits that the target's schemes have.
        where: The file, for messages.
    """
    for name, grid in encodings.activations.items():
        _refuse_value(name, grid, widest, where)
        _refuse_without_inputs(graph, graph[name], encodings, where)
    for name, grid in encodings.weights.items():
        _refuse_weight(graph, graph[name], grid, widest, where)


def refuse_simulated(graph: Graph, encodings: Encodings, where: Path) -> None:
    """Raise RequestError where grids are none of a scheme that papers simulate (coverage.py).

    Some values have one and all layers with weights: one scale and zero point for each channel.
    """
    refuse_names({node.name for node in graph if node.op in WEIGHTED}, encodings.weights, where)
    for name, grid in encodings.activations.items():
        if name not in graph.nodes:
            raise RequestError(f"{where}: names '{name}', which the graph has not: it is damaged")
        _refuse_value(name, grid, WIDEST, where)
    for name, grid in encodings.weights.items():
        spec, axis = grid.spec, WEIGHTED[graph[name].op]
        if spec != QuantSpec(spec.bits, axis=axis) or spec.bits > WIDEST:
            raise RequestError(
                f"{where}: the weight of '{name}' has the grid {_text(grid)}: weights have 2 to"
                f" {WIDEST} bits, not symmetric, and one scale along axis {axis}"
            )
        _refuse_scales(graph, graph[name], grid, where)


def refuse_names(wanted: set[str], found: Iterable[str], where: Path) -> None:
    """Raise RequestError unless there is a grid for each name that is wanted, and no other."""
    wrong = sorted(wanted.symmetric_difference(found))
    if wrong:
        what = "has no grid for" if wrong[0] in wanted else "names, unlike the graph,"
        raise RequestError(f"{where}: {what} '{wrong[0]}': it is damaged or of another result")


def refuse_halves(graph: Graph, encodings: Encodings, where: Path) -> None:
    """Raise RequestError where a network in float16 has grids, or its numbers are no float16."""
    for name in (*encodings.activations, *encodings.weights):
        raise RequestError(f"{where}: '{name}' has a grid in a network in float16: it is damaged")
    for key in sorted(encodings.halves or ()):
        if key not in graph.params:
            raise RequestError(
                f"{where}: names, unlike the graph, '{key}': it is damaged or of another result"
            )
        if not is_half(graph.params[key]):
            raise RequestError(
                f"{where}: '{key}' is stored as float16, and the graph has numbers there that"
                " float16 does not hold: one of them is damaged or of another result"
            )


def _refuse_without_inputs(graph: Graph, node: Node, encodings: Encodings, where: Path) -> None:
    missing = [name for name in node.inputs if name not in encodings.activations]
    if missing and node.op != "quantize":
        raise RequestError(
            f"{where}: '{node.name}' has a grid and the value '{missing[0]}' that it reads has none"
        )


def _refuse_weight(graph: Graph, node: Node, grid: QuantParams, widest: int, where: Path) -> None:
    spec = grid.spec
    axes = (None, WEIGHTED.get(node.op))
    if not 2 <= spec.bits <= widest or not spec.symmetric or spec.axis not in axes:
        raise RequestError(
            f"{where}: the weight of '{node.name}' has the grid {_text(grid)}: weights have 2 to"
            f" {widest} bits, symmetric, and one scale or one along axis {axes[1]}"
        )
    if spec.axis is not None:
        _refuse_scales(graph, node, grid, where)


def _refuse_scales(graph: Graph, node: Node, grid: QuantParams, where: Path) -> None:
    shape, axis = graph.param(node, "weight").shape, grid.spec.axis
    assert axis is not None, "one scale has no axis"
    if len(grid.scale) != shape[axis]:
        raise RequestError(
            f"{where}: '{node.name}' has {len(grid.scale)} scales along axis {axis} of a"
            f" weight {list(shape)}"
        )


def _refuse_value(name: str, grid: QuantParams, widest: int, where: Path) -> None:
    if not 2 <= grid.spec.bits <= widest or grid.spec != QuantSpec(bits=grid.spec.bits):
        raise RequestError(
            f"{where}: '{name}' has the grid {_text(grid)}: values have 2 to"
            f" {widest} bits, signed, not symmetric, and one scale"
        )


def _text(grid: QuantParams) -> str:
    spec = grid.spec
    words = [f"{spec.bits} bits", "signed" if spec.signed else "unsigned"]
    words += ["symmetric"] * spec.symmetric + ["narrow"] * spec.narrow
    return ", ".join([*words, f"axis {spec.axis}"])
