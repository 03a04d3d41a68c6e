"""The check: run the file in its own interpreter, compare every quantized tensor with the twin.

Layers kept in float are computed in the runtime's own float32 arithmetic, whose last bits nobody
promises. At every border from float to integers the twin therefore goes on with the runtime's own
integers: each integer region is compared given the runtime's inputs to it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from intaglio.errors import RequestError
from intaglio.ir.graph import Node
from intaglio.numerics.spec import QuantParams
from intaglio.runtimes.litert.format.layout import Array, from_file, to_file
from intaglio.runtimes.litert.interpreter.exposed import expose_tensors
from intaglio.runtimes.litert.interpreter.runner import OpenedFile, Opener
from intaglio.targets.runtime import CheckCounts, IntegerNetwork


def check_file(
    data: bytes, twin: IntegerNetwork, batches: Iterable[Tensor], opener: Opener
) -> CheckCounts:
    """Compare a file with its twin on images, tensor by tensor, value by value.

    The shipped bytes are run for the outputs, and a copy with every tensor exposed for the rest.

    Args:
        data: The file.
        batches: float32 [N, C, H, W] each, as the float network wants them.
        opener: What runs it: `isolated` for a file that was read from a disk and has passed
            `verify`; `InProcess` for one that this process has written.

    Raises:
        RequestError: If the runtime cannot load or run it, or it has not the twin's outputs.
    """
    shipped, exposed = opener.open(data), opener.open(expose_tensors(data))
    require_pair(shipped, twin)
    counts = CheckCounts()
    counts.partitions, counts.builtin = shipped.opened.partitions, [*shipped.opened.builtin]
    counts.shifts = min(_uint8_ends(shipped), counts.builtin.count("QUANTIZE"))
    for batch in batches:
        for image in batch.split(1):  # type: ignore[no-untyped-call]
            _check_image(shipped, exposed, twin, image, counts)
    return counts


def require_pair(shipped: OpenedFile, twin: IntegerNetwork) -> None:
    """Raise RequestError unless a file has as many outputs as its twin."""
    given, expected = len(shipped.opened.outputs), len(twin.graph.outputs)
    if given != expected:
        raise RequestError(f"the file has {given} outputs, its twin {expected}: not a pair")


def _uint8_ends(shipped: OpenedFile) -> int:
    """Return how many of the file's inputs and outputs are uint8, each tensor counted once."""
    ends = (shipped.opened.inputs, shipped.opened.outputs)
    return sum(len({end.name for end in side if end.dtype == "uint8"}) for side in ends)


def _check_image(
    shipped: OpenedFile,
    exposed: OpenedFile,
    twin: IntegerNetwork,
    image: Tensor,
    counts: CheckCounts,
) -> None:
    given = _file_input(shipped, twin, image)
    seen = _by_name(exposed, given)

    def tap(node: Node, value: Tensor) -> None:
        """Compare the raw integers that a kernel of the twin has made; neither side is kept."""
        is_integer = node.name in twin.encodings.activations
        if is_integer and node.op not in ("constant", "quantize") and node.name in seen:
            expected = to_file(twin.raw(node.name, value))
            _compare(node.name, expected, seen.pop(node.name), counts)

    def at_border(node: Node, value: Tensor) -> Tensor:
        """Return the runtime's integers where floats become integers, else the value."""
        if node.op != "quantize":
            return value
        return _taken_over(twin, node, value, seen.get(node.name), counts)

    outputs = twin.run(image, tap, at_border)
    for name, value, found in zip(twin.graph.outputs, outputs, shipped.run(given), strict=True):
        expected = twin.raw(name, value)
        if name not in twin.encodings.activations or twin.graph[name].op == "quantize":
            continue  # in float, or taken from the runtime
        params = twin.encodings.activations[name]
        if found.dtype == np.float32:
            expected = (expected - params.zero).float() * params.scale
        elif found.dtype == np.uint8:
            expected = _unsigned(expected, params)
        _compare(name, to_file(expected), found, counts)
    counts.images += 1


def _taken_over(
    twin: IntegerNetwork, node: Node, value: Tensor, found: Array | None, counts: CheckCounts
) -> Tensor:
    """Return the runtime's integers at a border, in the twin's own form; count them."""
    if found is None or found.shape != to_file(value).shape:
        _compare(node.name, to_file(value), np.zeros(0), counts)  # a file of another network
        return value
    zero = twin.encodings.activations[node.name].zero
    theirs = torch.from_numpy(from_file(found).astype(np.float32) - zero)
    counts.border_values += value.numel()
    counts.border_equal += int((theirs == value).sum())
    if theirs.ndim == 4:
        return theirs.contiguous(memory_format=torch.channels_last)
    return theirs.contiguous()


def _file_input(runner: OpenedFile, twin: IntegerNetwork, image: Tensor) -> Array:
    if runner.opened.inputs[0].dtype == "float32":
        return to_file(image)
    name = twin.graph.inputs[0]
    integers = twin.raw(name, twin.given(image))
    if runner.opened.inputs[0].dtype == "uint8" and name in twin.encodings.activations:
        return to_file(_unsigned(integers, twin.encodings.activations[name])).astype(np.uint8)
    return to_file(integers).astype(np.int8)


def _unsigned(integers: Tensor, params: QuantParams) -> Tensor:
    """Return integers of a grid as a uint8 end of the file has them."""
    return integers + (params.unsigned().zero - params.zero)


def _by_name(runner: OpenedFile, given: Array) -> dict[str, Array]:
    arrays = runner.run(given)
    return {end.name: array for end, array in zip(runner.opened.outputs, arrays, strict=True)}


def _compare(name: str, expected: Array, found: Array, counts: CheckCounts) -> None:
    wrong = int((expected != found).sum()) if expected.shape == found.shape else expected.size
    counts.values_compared += expected.size
    counts.mismatches += wrong
    if wrong:
        counts.worst[name] = counts.worst.get(name, 0) + wrong
