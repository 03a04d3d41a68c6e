"""Average pools: convolutions where they are small, the built-in kernel where not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.run.float import infer_shapes, run_float
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.lower.lower_average_pool import LARGEST_POOL, lower_average_pool
from intaglio.runtimes.litert.lower.pixel_layers import lower_adaptive_pool
from intaglio.targets.target import Target
from runtimes.litert.lower.settled import assert_held


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


UNEVEN: list[dict[str, Any]] = [
    {"ceil_mode": True},
    {"padding": (1, 1), "count_include_pad": False},
    {"padding": (1, 1), "ceil_mode": True, "kernel": (3, 2)},
    {"padding": (1, 0), "ceil_mode": True, "count_include_pad": False, "kernel": (3, 3)},
    {"padding": (1, 1), "ceil_mode": True, "divisor": 3, "kernel": (3, 3)},
    {"padding": (2, 2), "count_include_pad": False, "kernel": (5, 5), "stride": (1, 1)},
    {"padding": (3, 3), "count_include_pad": False, "kernel": (7, 7), "stride": (7, 7)},
]


@pytest.mark.parametrize("changes", UNEVEN)
def test_a_pool_whose_windows_differ_is_multiplied_with_a_number_per_place(
    changes: dict[str, Any],
) -> None:
    graph = pool((7, 7), **changes)
    images = torch.randn(2, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    before = run_float(graph, images)[0]

    assert lower_average_pool(graph) == 1

    assert {node.op for node in graph} <= {"input", "constant", "conv2d", "mul"}
    torch.testing.assert_close(run_float(graph, images)[0], before)


def test_a_large_pool_whose_windows_differ_is_one_convolution_along_each_axis() -> None:
    assert LARGEST_POOL < 9 * 11
    graph = pool((13, 17), kernel=(9, 11), padding=(4, 5), count_include_pad=False, stride=(2, 3))
    images = torch.randn(2, 3, 13, 17, generator=torch.Generator().manual_seed(0))
    before = run_float(graph, images)[0]

    assert lower_average_pool(graph) == 1

    assert [node.op for node in graph].count("conv2d") == 2
    torch.testing.assert_close(run_float(graph, images)[0], before)


def test_a_divisor_of_a_large_pool_becomes_a_factor() -> None:
    graph = pool((20, 20), kernel=(10, 9), divisor=7)
    images = torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    before = run_float(graph, images)[0]

    assert lower_average_pool(graph) == 1

    assert [node.op for node in graph] == ["input", "avg_pool2d", "rescale"]
    torch.testing.assert_close(run_float(graph, images)[0], before)


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
@pytest.mark.parametrize("changes", [UNEVEN[1], UNEVEN[3], {"kernel": (3, 3), "divisor": 5}])
def test_the_file_holds_them_to_the_bit(changes: dict[str, Any], target: Target) -> None:
    images = torch.randn(2, 3, 7, 7, generator=torch.Generator().manual_seed(0))

    assert_held(pool((7, 7), **changes), target, images)


def adaptive(size: tuple[int, int], out: tuple[int, int]) -> Graph:
    """Return a graph of one adaptive pool of 3 channels."""
    graph = Graph(inputs=["x"], outputs=["y"])
    graph.add(Node("x", "input", shape=(BATCH, 3, *size)))
    graph.add(Node("y", "adaptive_avg_pool2d", ["x"], attrs={"size": out}))
    infer_shapes(graph)
    return graph


@pytest.mark.parametrize("out", [(4, 3), (7, 9), (1, 5)])
def test_an_adaptive_pool_is_a_layer_over_all_pixels(out: tuple[int, int]) -> None:
    graph = adaptive((6, 7), out)
    images = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    before = run_float(graph, images)[0]

    assert lower_adaptive_pool(graph) == 1

    assert [node.op for node in graph] == ["input", "reshape", "linear", "reshape"]
    torch.testing.assert_close(run_float(graph, images)[0], before)


def test_a_large_adaptive_pool_is_a_layer_over_columns_and_one_over_rows() -> None:
    graph = adaptive((40, 43), (9, 7))
    images = torch.randn(2, 3, 40, 43, generator=torch.Generator().manual_seed(0))
    before = run_float(graph, images)[0]

    assert lower_adaptive_pool(graph) == 1

    assert [node.op for node in graph].count("linear") == 2
    torch.testing.assert_close(run_float(graph, images)[0], before)


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
@pytest.mark.parametrize(("size", "out"), [((6, 7), (4, 3)), ((5, 4), (7, 9)), ((40, 43), (9, 7))])
def test_the_file_holds_adaptive_pools_to_the_bit(
    size: tuple[int, int], out: tuple[int, int], target: Target
) -> None:
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))

    assert_held(adaptive(size, out), target, images)


def test_a_large_pool_is_left_to_the_built_in_kernel() -> None:
    graph = pool((40, 40), kernel=(9, 9), ceil_mode=False)

    assert lower_average_pool(graph) == 0
    assert graph["y"].op == "avg_pool2d"


def test_ceil_mode_goes_where_it_changes_nothing() -> None:
    graph = pool((40, 40), kernel=(10, 10), stride=(10, 10), ceil_mode=True)

    lower_average_pool(graph)

    assert graph["y"].attrs["ceil_mode"] is False
