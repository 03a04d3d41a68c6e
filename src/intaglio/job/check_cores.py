"""A saved result and its twin once more, of a detector that was cut every core.

Pictures reach the first core as they are given. Of these the second one is shown the regions that
the first finds, where it is known how they come of its outputs. Any other core is shown inputs that
are drawn over the whole grid of what it takes: file and twin have to agree on whatever comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from intaglio.boxes.postprocess import TwoStage
from intaglio.boxes.regions import pooled_regions, proposals
from intaglio.errors import RequestError
from intaglio.host.files import POSTPROCESS, core_prefix
from intaglio.job.result import Result
from intaglio.targets.runtime import CheckCounts, Deviation

LOOKED_AT = 8
"""Pictures whose regions a second core is shown."""
REGIONS = 8
"""Of each of them, evenly spread from the surest to the least sure."""
DRAWN = 8
"""Inputs that are drawn for a core."""


@dataclass(frozen=True, eq=False)
class CoreCheck:
    """What the check of one core found.

    Attributes:
        name: Of the core; "" of a network that was not cut.
        file: What was compared with its twin.
        shown: What it was given, in words: "images", "regions of them" or "drawn inputs".
        counts: What was found; its images are the inputs of this core.
    """

    name: str
    file: Path
    shown: str
    counts: CheckCounts


def check_cores(
    result: Result, batches: Iterable[Tensor], *, file: Path, seed: int = 0
) -> list[CoreCheck]:
    """Return what the check of each core found, that of the pictures first.

    Args:
        result: As it was loaded, with files.
        batches: float32 [N, C, H, W] each, gone through once.
        file: Of the first core; those of the others lie beside it.
        seed: Of inputs that are drawn.

    Raises:
        RequestError: If the runtime cannot run a file, a file has not its twin's outputs, or the
            way from outputs to regions does not fit.
    """
    regions: list[Tensor] = []
    seen = _with_regions(result, batches, regions)
    counts = result.target.check(result.files, result.twin, seen, where=str(file))
    found = [CoreCheck(result.core, file, "images", counts)]
    for number, (name, part) in enumerate(result.parts.items(), start=2):
        own = file.with_name(f"{core_prefix(number)}{part.target.file_name}")
        inputs, shown = [drawn_inputs(part, DRAWN, seed)], "drawn inputs"
        if number == 2 and regions:
            inputs, shown = regions, "regions of them"
        counts = part.target.check(part.files, part.twin, inputs, where=str(own))
        found.append(CoreCheck(name, own, shown, counts))
    return found


def together(checks: Sequence[CoreCheck]) -> CheckCounts:
    """Return the counts of all cores; images are the first one's.

    Where there are several, layers have the name of their core in front.
    """
    each = [check.counts for check in checks]
    deviations = [counts.deviation for counts in each if counts.deviation is not None]
    return CheckCounts(
        images=each[0].images,
        values_compared=sum(counts.values_compared for counts in each),
        mismatches=sum(counts.mismatches for counts in each),
        worst={
            f"{check.name}: {layer}" if len(checks) > 1 else layer: count
            for check in checks
            for layer, count in check.counts.worst.items()
        },
        border_values=sum(counts.border_values for counts in each),
        border_equal=sum(counts.border_equal for counts in each),
        deviation=_farthest(deviations) if deviations else None,
    )


def drawn_inputs(result: Result, count: int, seed: int) -> Tensor:
    """Return inputs of a core, float32 [count, ...], each integer of its grid as likely.

    A core that takes reals is given normal ones.
    """
    name = result.graph.inputs[0]
    shape = (count, *result.graph[name].shape[1:])
    generator = torch.Generator().manual_seed(seed)
    grid = result.encodings.activations.get(name)
    if grid is None:
        return torch.randn(shape, generator=generator)
    integers = torch.randint(grid.spec.qmin, grid.spec.qmax + 1, shape, generator=generator)
    return (integers - grid.zero_point).float() * grid.scale


def _with_regions(
    result: Result, batches: Iterable[Tensor], regions: list[Tensor]
) -> Iterator[Tensor]:
    """Yield the batches, and keep what a second core is to be shown of the first pictures."""
    post, left = result.postprocess, LOOKED_AT
    for batch in batches:
        if result.parts and isinstance(post, TwoStage):
            for image in batch[:left].split(1):  # type: ignore[no-untyped-call]
                regions += _regions_of(result, post, image)
            left = max(0, left - len(batch))
        yield batch


def _regions_of(result: Result, post: TwoStage, image: Tensor) -> list[Tensor]:
    """Return some regions of an image [1, C, H, W], [R, C, size, size]; none where none is found.

    Raises:
        RequestError: If the first core has not the outputs that regions are read from.
    """
    outputs = [output.numpy() for output in result.twin.outputs(image)]
    try:
        found = proposals(post.regions, outputs)
        pooled = pooled_regions(post.pooling, outputs, found, post.regions.input_size)
    except ValueError as error:
        raise RequestError(
            f"{POSTPROCESS} does not fit '{result.report.model}': {error}: it is of another network"
        ) from error
    if not len(pooled):
        return []
    return [torch.from_numpy(pooled[:: -(-len(pooled) // REGIONS)])]


def _farthest(found: Sequence[Deviation]) -> Deviation:
    """Return the largest of deviations; NaN is larger than all."""
    return Deviation(
        _largest([one.largest for one in found]),
        _largest([one.relative for one in found]),
        sum(one.values for one in found),
    )


def _largest(values: Sequence[float]) -> float:
    return math.nan if any(map(math.isnan, values)) else max(values)
