"""The check of a file in float: how far its outputs are from the twin's.

Both compute in float32 with the same numbers, and add them up in different orders: no bits are
promised, and none of the values in between is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.runtimes.litert.check import require_pair
from intaglio.runtimes.litert.format.layout import Array, from_file, to_file
from intaglio.runtimes.litert.interpreter.runner import Opener
from intaglio.targets.runtime import CheckCounts, Deviation, IntegerNetwork


@dataclass
class _Output:
    """One output over all images: its largest deviation, and its largest magnitude in the twin."""

    deviation: float = 0.0
    magnitude: float = 0.0
    values: int = 0


def check_floats(
    data: bytes, twin: IntegerNetwork, batches: Iterable[Tensor], opener: Opener
) -> CheckCounts:
    """Run a file in float and its twin on images, and measure how far their outputs are apart.

    Args:
        data: The file.
        batches: float32 [N, C, H, W] each, as the network wants them.
        opener: As of `check_file`.

    Raises:
        RequestError: If the runtime cannot load or run it, or it has not the twin's outputs.
    """
    shipped = opener.open(data)
    require_pair(shipped, twin)
    counts = CheckCounts()
    counts.partitions, counts.builtin = shipped.opened.partitions, [*shipped.opened.builtin]
    outputs = [_Output() for _ in twin.graph.outputs]
    for batch in batches:
        for image in batch.split(1):  # type: ignore[no-untyped-call]
            given, expected = shipped.run(to_file(image)), twin.run(image)
            for output, found, wanted in zip(outputs, given, expected, strict=True):
                _add(output, found, wanted)
            counts.images += 1
    counts.deviation = Deviation(
        largest=max(map(_largest, outputs)),
        relative=max(map(_relative, outputs)),
        values=sum(output.values for output in outputs),
    )
    return counts


def _add(output: _Output, found: Array, wanted: Tensor) -> None:
    """Add one image. Equal infinities are no deviation; NaN, and another shape, are infinite."""
    output.values += wanted.numel()
    given = torch.from_numpy(from_file(found).copy())
    if given.shape != wanted.shape:
        output.deviation = float("inf")
        return
    apart = (given.double() - wanted.double()).abs().where(given != wanted, 0.0)
    largest = apart.nan_to_num(nan=float("inf")).max()
    output.deviation = max(output.deviation, float(largest))
    output.magnitude = max(output.magnitude, float(wanted.abs().nan_to_num(nan=0.0).max()))


def _largest(output: _Output) -> float:
    return output.deviation


def _relative(output: _Output) -> float:
    if not output.deviation:
        return 0.0
    return output.deviation / output.magnitude if output.magnitude else float("inf")
