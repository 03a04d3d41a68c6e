"""How much of a value is read: bounds beyond which those who read it make the same of everything.

A sigmoid on a grid of 1/256 makes 255 of whatever is above 5.3, x relu6(x + 3) makes 0 of whatever
is below -3, and a table that begins with a clamp says what it reads. Integers beyond such bounds
say nothing: a grid that ends there is finer within, and changes nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.spec import QuantParams

Bounds = tuple[float, float]
ALL: Bounds = (-math.inf, math.inf)
HARD_SWISH, HARD_SIGMOID = (-3.0, math.inf), (-3.0, 3.0)
INVERSE: dict[str, Callable[[float], float]] = {
    "sigmoid": lambda share: math.log(share / (1.0 - share)),
    "tanh": math.atanh,
}
FLAT = 0.25
"""How far from its last integer a function must be, in steps of its grid, to count as flat: half a
step would do, and leaves the ends of a value's own grid no room to be rounded."""


def read_bounds(graph: Graph, grids: Mapping[str, QuantParams], name: str) -> Bounds:
    """Return the bounds beyond which nothing is read of a value; infinite where all of it is.

    Args:
        grids: Of values that are integers: where a sigmoid or tanh is flat depends on its own. One
            that has none is read in float, and whole.
    """
    bounds = [_read_by(graph, grids, reader, name) for reader in graph.readers(name)]
    if not bounds or name in graph.outputs:
        return ALL
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def as_read(value: Tensor, bounds: Bounds) -> Tensor:
    """Return numbers, those beyond the bounds at the bounds; NaN for NaN and for infinities."""
    if bounds == ALL:
        return value
    return value.clamp(*bounds).add_(value, alpha=0.0)  # 0 times infinity is NaN


def _read_by(graph: Graph, grids: Mapping[str, QuantParams], reader: Node, name: str) -> Bounds:
    match reader.op:
        case "function":
            return _of_function(*reader.attrs["chain"][0])
        case "sigmoid" | "tanh":
            return _until_flat(INVERSE[reader.op], grids.get(reader.name))
        case "hard_swish":
            return HARD_SWISH
        case "hard_sigmoid":
            return HARD_SIGMOID
        case "clamp":
            low, high = reader.attrs["activation"]
            return low, high
        case "add":
            return _of_sum(graph, reader, name)
        case "mul":
            return _of_product(graph, reader, name)
    return ALL


def _of_function(name: str | float, *settings: float) -> Bounds:
    match name:
        case "clamp":
            return settings[0], settings[1]
        case "hard_swish":
            return HARD_SWISH
        case "hard_sigmoid":
            return HARD_SIGMOID
    return ALL


def _until_flat(inverse: Callable[[float], float], grid: QuantParams | None) -> Bounds:
    """Return where a function that rises to 1 rounds to its grid's last integers but one."""
    if grid is None:
        return ALL
    ends = (grid.spec.qmin - grid.zero + FLAT, grid.spec.qmax - grid.zero - FLAT)
    low, high = (inverse(float(grid.step) * end) for end in ends)
    return low, high


def _of_sum(graph: Graph, node: Node, name: str) -> Bounds:
    """Return what a sum with one constant number reads of the other before it is clamped."""
    others = [other for other in node.inputs if other != name]
    if node.attrs["activation"] is None or len(others) != 1 or graph[others[0]].op != "constant":
        return ALL
    number = graph.param(graph[others[0]], "value")
    if number.numel() != 1:
        return ALL
    low, high = node.attrs["activation"]
    return low - float(number), high - float(number)


def _of_product(graph: Graph, node: Node, name: str) -> Bounds:
    """Return what x relu6(x + 3), and whatever else is 0 below a number, reads of x."""
    others = [other for other in node.inputs if other != name]
    gate = graph[others[0]] if len(others) == 1 else None
    if gate is None or gate.op != "add" or name not in gate.inputs:
        return ALL
    activation = gate.attrs["activation"]
    if activation is None or activation[0] != 0.0:
        return ALL
    return _of_sum(graph, gate, name)[0], math.inf
