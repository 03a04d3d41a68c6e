"""What the interpreter says about its plan: partitions, and ops outside the delegate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.interpreter.exposed import expose_tensors
from intaglio.runtimes.litert.interpreter.runtime import (
    not_delegated,
    open_interpreter,
    partitions,
    run_file,
)
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import IMAGES, TARGETS, Network

AVERAGE = {
    "kernel": (2, 2),
    "stride": (2, 2),
    "padding": (0, 0),
    "ceil_mode": False,
    "count_include_pad": True,
    "divisor": None,
}
LARGEST = {
    "kernel": (2, 2),
    "stride": (2, 2),
    "padding": (0, 0, 0, 0),
    "dilation": (1, 1),
    "ceil_mode": False,
    "activation": None,
}
NEAREST = {"size": (24, 24), "mode": "nearest", "align_corners": False, "scales": None}


def chain(*ops: tuple[str, dict[str, Any]]) -> Network:
    """Return a network of ops in a row, on the input's grid; only the last value is an output."""
    network = Network(1)
    value = network.input((3, 8, 8))
    grid = network.grids[value]
    for op, attrs in ops:
        value = network.add(op, [value], attrs, grid=grid, output=False)
    network.graph.outputs = [value]
    return network


def plan(network: Network) -> tuple[int, list[str]]:
    """Return the partitions and the ops outside of them in the default interpreter."""
    data = write_tflite(network.graph, network.encodings(), LITERT)
    interpreter = open_interpreter(data, LITERT)
    return partitions(interpreter), not_delegated(interpreter)


def test_a_network_that_the_delegate_takes_whole_is_one_partition() -> None:
    assert plan(chain(("max_pool2d", LARGEST))) == (1, [])


def test_an_op_in_the_middle_that_the_delegate_does_not_take_makes_two_partitions() -> None:
    middle = chain(("max_pool2d", LARGEST), ("avg_pool2d", AVERAGE), ("max_pool2d", LARGEST))

    assert plan(middle) == (2, ["AVERAGE_POOL_2D"])


def test_an_op_before_the_end_leaves_the_dequantize_to_a_partition_of_its_own() -> None:
    assert plan(chain(("max_pool2d", LARGEST), ("avg_pool2d", AVERAGE))) == (
        2,
        ["AVERAGE_POOL_2D"],
    )


def test_two_kinds_of_op_outside_the_delegate_are_named_in_order() -> None:
    both = chain(("resize", NEAREST), ("max_pool2d", LARGEST), ("avg_pool2d", AVERAGE))

    count, names = plan(both)

    assert names == ["RESIZE_NEAREST_NEIGHBOR", "AVERAGE_POOL_2D"]
    assert count == 3


def test_a_branch_around_the_op_outside_the_delegate_is_still_delegated() -> None:
    network = chain(("max_pool2d", LARGEST), ("avg_pool2d", AVERAGE))
    grid = network.grids["x"]
    beside = network.add("max_pool2d", ["max_pool2d"], LARGEST, grid=grid, output=False)
    network.add("concat", ["avg_pool2d", beside], {"axis": 1}, grid=grid)

    count, names = plan(network)

    assert names == ["AVERAGE_POOL_2D"]
    assert count >= 1


def test_reference_kernels_have_no_delegate() -> None:
    network = chain(("max_pool2d", LARGEST))
    data = write_tflite(network.graph, network.encodings(), LITERT_REFERENCE)
    interpreter = open_interpreter(data, LITERT_REFERENCE)

    assert partitions(interpreter) == 0
    assert not_delegated(interpreter) == ["QUANTIZE", "MAX_POOL_2D", "DEQUANTIZE"]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_check_reports_the_plan_of_the_shipped_file(target: Target) -> None:
    network = chain(("max_pool2d", LARGEST), ("avg_pool2d", AVERAGE))

    counts = network.assert_same_bits(target)

    assert counts.images == IMAGES
    assert counts.partitions == (2 if not target.is_reference else 0)
    assert "AVERAGE_POOL_2D" in counts.builtin


def test_the_copy_with_every_tensor_exposed_keeps_its_partition_and_its_values() -> None:
    network = chain(("max_pool2d", LARGEST), ("max_pool2d", LARGEST))
    data = write_tflite(network.graph, network.encodings(), LITERT)
    image = network.images[:1].permute(0, 2, 3, 1).numpy()

    shipped = open_interpreter(data, LITERT)
    exposed = open_interpreter(expose_tensors(data), LITERT)
    outputs = run_file(exposed, image)

    assert partitions(exposed) == 1
    assert not_delegated(exposed) == []
    assert len(outputs) == 4  # the float output, the input's integers, and both pools
    assert np.array_equal(outputs[0], run_file(shipped, image)[0])
