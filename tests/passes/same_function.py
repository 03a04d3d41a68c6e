"""Whether two graphs compute the same, for tests of passes."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.ir.graph import Graph
from intaglio.ir.text import text
from intaglio.run.float import run_float


def assert_same_function(
    graph: Graph, before: Graph, images: Tensor, *, exact: bool = False
) -> None:
    """Assert that both give the same outputs; where not `exact`, up to float32 rounding.

    A pass that multiplies weights, or lets another kernel add up, moves roundings: each is half of
    6e-8 of the largest term, and small networks add a few hundred of them.
    """
    found, expected = run_float(graph, images), run_float(before, images)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        largest = float(other.abs().max())
        tolerance = 0.0 if exact else 1e-5
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * largest)


def nodes(graph: Graph) -> list[str]:
    """Return the graph's text node by node, without the input, the shapes and the outputs."""
    return [line.split(" -> ")[0] for line in text(graph).splitlines()[1:-1]]


def ops(graph: Graph) -> list[str]:
    """Return the ops in the graph's order, without inputs and constants."""
    return [node.op for node in graph if node.op not in ("input", "constant")]
