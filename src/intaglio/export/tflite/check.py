"""The check: run the file in its own interpreter, compare every quantized tensor with the twin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from intaglio.errors import MismatchError
from intaglio.export.tflite.builder import Array
from intaglio.export.tflite.layout import to_file
from intaglio.export.tflite.runtime import (
    expose_tensors,
    not_delegated,
    open_interpreter,
    partitions,
    run_file,
)
from intaglio.ir.graph import Node
from intaglio.run.integer.twin import Twin, quantize_input


@dataclass
class CheckCounts:
    """What a check found.

    Attributes:
        images: How many were run.
        values_compared: Integers compared, over all tensors and images.
        mismatches: How many differed.
        worst: Layer to number of mismatches, for those that have any, in the graph's order.
        partitions: Delegate nodes in the execution plan of the file.
        builtin: Names of the ops that the delegate did not take, in the file's order.
    """

    images: int = 0
    values_compared: int = 0
    mismatches: int = 0
    worst: dict[str, int] = field(default_factory=dict)
    partitions: int = 0
    builtin: list[str] = field(default_factory=list)


def check_file(data: bytes, twin: Twin, batches: Iterable[Tensor]) -> CheckCounts:
    """Compare a file with its twin on images, tensor by tensor, value by value.

    The shipped bytes are run for the outputs, and a copy with every tensor exposed for the rest.

    Args:
        data: The file.
        batches: float32 [N, C, H, W] each, as the float network wants them.
    """
    shipped = open_interpreter(data, twin.target)
    exposed = open_interpreter(expose_tensors(data), twin.target)
    counts = CheckCounts()
    counts.partitions, counts.builtin = partitions(shipped), not_delegated(shipped)
    for batch in batches:
        for image in batch.split(1):  # type: ignore[no-untyped-call]
            _check_image(shipped, exposed, twin, image, counts)
    return counts


def require_match(counts: CheckCounts, twin: Twin) -> None:
    """Raise MismatchError, naming the first layer, when anything differed."""
    if counts.mismatches:
        first = next(iter(counts.worst))
        raise MismatchError(
            f"{counts.mismatches} of {counts.values_compared} values differ between the file and"
            f" its twin on {twin.target.runtime}, first in layer '{first}'"
            f" ({counts.worst[first]} values): please report the network; the file was not written"
        )


def _check_image(
    shipped: object, exposed: object, twin: Twin, image: Tensor, counts: CheckCounts
) -> None:
    values: dict[str, Tensor] = {}

    def tap(node: Node, value: Tensor) -> None:
        if node.name in twin.encodings.activations and node.op != "constant":
            values[node.name] = twin.raw(node.name, value)

    outputs = twin.run(image, tap)
    given = _file_input(shipped, twin, image)
    seen = _by_name(exposed, given)
    for name, expected in values.items():
        if name in seen:
            _compare(name, to_file(expected), seen[name], counts)
    for name, value, found in zip(
        twin.graph.outputs, outputs, run_file(shipped, given), strict=True
    ):
        expected = twin.raw(name, value)
        if name not in twin.encodings.activations:
            continue  # a float tail: outside the integer region
        if found.dtype == np.float32:
            params = twin.encodings.activations[name]
            expected = (expected - params.zero).float() * params.scale
        _compare(name, to_file(expected), found, counts)
    counts.images += 1


def _file_input(interpreter: object, twin: Twin, image: Tensor) -> Array:
    detail = interpreter.get_input_details()[0]  # type: ignore[attr-defined]
    if detail["dtype"] == np.float32:
        return to_file(image)
    name = twin.graph.inputs[0]
    params = twin.encodings.activations[name]
    return to_file(twin.raw(name, quantize_input(image, params, twin.target))).astype(np.int8)


def _by_name(interpreter: object, given: Array) -> dict[str, Array]:
    details = interpreter.get_output_details()  # type: ignore[attr-defined]
    arrays = run_file(interpreter, given)
    return {detail["name"]: array for detail, array in zip(details, arrays, strict=True)}


def _compare(name: str, expected: Array, found: Array, counts: CheckCounts) -> None:
    wrong = int((expected != found).sum()) if expected.shape == found.shape else expected.size
    counts.values_compared += expected.size
    counts.mismatches += wrong
    if wrong:
        counts.worst[name] = counts.worst.get(name, 0) + wrong
