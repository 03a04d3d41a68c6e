"""Average pools: convolutions where they are small, the built-in kernel where not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.run.float import infer_shapes, run_float
from intaglio.runtimes.litert.lower.lower_shapes import lower_average_pool


def pool(size: tuple[int, int], **changes: Any) -> Graph:
    """Return a graph of one 2x2 average pool over images of 3 channels."""
    attrs = {
        "kernel": (2, 2),
        "stride": (2, 2),
        "padding": (0, 0),
        "ceil_mode": False,
        "count_include_pad": True,
        "divisor": None,
        **changes,
    }
    graph = Graph(inputs=["x"], outputs=["y"])
    graph.add(Node("x", "input", shape=(BATCH, 3, *size)))
    graph.add(Node("y", "avg_pool2d", ["x"], attrs=attrs))
    infer_shapes(graph)
    return graph


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"padding": (1, 1)},
        {"divisor": 3},
        {"kernel": (3, 2), "stride": (1, 2)},
        {"ceil_mode": True},
        {"ceil_mode": True, "count_include_pad": False},
    ],
)
def test_a_small_pool_becomes_a_convolution_of_the_same_function(changes: dict[str, Any]) -> None:
    graph = pool((6, 8), **changes)
    images = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    before = run_float(graph, images)[0]

    assert lower_average_pool(graph) == 1

    assert graph["y"].op == "conv2d"
    torch.testing.assert_close(run_float(graph, images)[0], before)


@pytest.mark.parametrize(
    "changes",
    [{"ceil_mode": True}, {"padding": (1, 1), "count_include_pad": False}],
)
def test_a_pool_whose_windows_differ_is_left_alone(changes: dict[str, Any]) -> None:
    graph = pool((7, 7), **changes)

    assert lower_average_pool(graph) == 0

    assert graph["y"].op == "avg_pool2d"


def test_a_large_pool_is_left_to_the_built_in_kernel() -> None:
    graph = pool((40, 40), kernel=(9, 9), ceil_mode=False)

    assert lower_average_pool(graph) == 0
    assert graph["y"].op == "avg_pool2d"


def test_ceil_mode_goes_where_it_changes_nothing() -> None:
    graph = pool((40, 40), kernel=(10, 10), stride=(10, 10), ceil_mode=True)

    lower_average_pool(graph)

    assert graph["y"].attrs["ceil_mode"] is False
