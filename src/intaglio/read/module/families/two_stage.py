"""Readings of detectors of two stages: Faster R-CNN, by what its cores give."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

from torch import Tensor, nn

from intaglio.boxes.coders import Deltas
from intaglio.boxes.postprocess import (
    Level,
    Part,
    Pooling,
    PostProcess,
    Proposed,
    Selection,
    Suppression,
    TwoStage,
)
from intaglio.read.module.families.candidate import Candidate
from intaglio.read.module.families.evidence import Evidence
from intaglio.read.module.families.limits import Holder, holders_of, numbers_at, value_at
from intaglio.read.module.families.one_stage import Kinds, levels_of
from intaglio.read.module.families.places import places_of
from intaglio.read.module.families.runs import runs_of

SMALLEST = 1e-3
"""Side of a proposal, in pixels, where nothing says it."""
SMALL = (1e-2, 0.0)
"""Sides of a detection that might be the least."""


def two_stage(module: nn.Module, evidence: Evidence) -> Iterator[Candidate]:
    """Give all readings of a module as a detector of two stages.

    Args:
        module: The whole one, for its attributes.
        evidence: Of a run of it.
    """
    if len(evidence.cores) < 2:
        return
    holders = holders_of(module)
    first = [own for own in holders if own.stage == "regions"]
    last = [own for own in holders if own.stage == "detections"]
    for before, behind in itertools.product(first, last):
        stages = itertools.product(
            _regions(evidence, before), _poolings(module, evidence), _heads(evidence, behind)
        )
        settings = (*before.settings.values(), *behind.settings.values())
        for regions, pooling, head in stages:
            yield Candidate(TwoStage(regions, pooling, head), settings)


def _regions(evidence: Evidence, holder: Holder) -> Iterator[PostProcess]:
    for anchors in evidence.anchors:
        places = places_of(anchors, evidence.input_size)
        runs = runs_of(evidence.outputs[0], places)
        boxes = [run for run in runs if run.width == 4]
        scores = [run for run in runs if run.width == 1]
        coders = [coder for coder in holder.coders if isinstance(coder, Deltas)]
        for one, other, coder in itertools.product(boxes, scores, coders):
            with suppress(ValueError):  # what no post-processing may say
                yield _rpn(evidence, holder, levels_of(places, coder, Kinds(one, other)))


def _rpn(evidence: Evidence, holder: Holder, levels: tuple[Level, ...]) -> PostProcess:
    return PostProcess(
        family="rpn",
        input_size=evidence.input_size,
        levels=levels,
        classes=1,
        select=Selection(holder.value("above") or None, holder.whole("before"), "level"),
        suppress=Suppression(holder.value("overlap") or 0.0, "level"),
        most=holder.whole("most") or 1,
        smallest=SMALLEST if holder.smallest is None else holder.smallest,
    )


def _heads(evidence: Evidence, holder: Holder) -> Iterator[PostProcess]:
    """Give readings of the second core: rows of scores, and of boxes, of each class or of none."""
    rows = [(n, own) for n, own in enumerate(evidence.outputs[1]) if own.ndim == 2]
    coders = [coder for coder in holder.coders if isinstance(coder, Deltas)]
    for (score, scores), (box, boxes) in itertools.permutations(rows, 2):
        classes = scores.shape[1]
        if classes < 2 or boxes.shape[1] not in (4, 4 * classes):
            continue
        width = boxes.shape[1]
        parts = Part(box, "rows", width, 0, width), Part(score, "rows", classes, 0, classes)
        for coder, smallest in itertools.product(coders, SMALL):
            yield PostProcess(
                family="fast_rcnn",
                input_size=evidence.input_size,
                levels=(Level(Proposed(), coder, (parts[0],), parts[1]),),
                classes=classes,
                select=Selection(holder.value("above"), holder.whole("before"), "all"),
                suppress=Suppression(holder.value("overlap") or 0.0),
                most=holder.whole("most") or 1,
                activation="softmax",
                background=0,
                smallest=smallest,
            )


def _poolings(module: nn.Module, evidence: Evidence) -> Iterator[Pooling]:
    """Give what the parts say that cut regions of the second core's size out of maps."""
    entry = evidence.cores[1].example
    if entry.ndim != 4 or entry.shape[2] != entry.shape[3]:
        return
    maps = _maps(evidence.outputs[0], entry.shape[1], evidence.input_size[0])
    said = []
    for part in module.modules():
        size, sampling = numbers_at(part, "output_size"), value_at(part, "sampling_ratio")
        if set(size) != {float(entry.shape[2])} or sampling is None or sampling < 1 or not maps:
            continue
        canonical = value_at(part, "canonical_scale") or Pooling.canonical
        level = value_at(part, "canonical_level")
        with suppress(ValueError):  # what no pooling may say
            pooling = Pooling(
                maps=maps,
                size=entry.shape[2],
                sampling=int(sampling),
                canonical=canonical,
                canonical_level=Pooling.canonical_level if level is None else int(level),
            )
            said.append(pooling)
    yield from dict.fromkeys(said)


def _maps(outputs: Sequence[Tensor], channels: int, height: int) -> tuple[int, ...]:
    """Return the outputs that regions of so many channels are cut out of, the largest first.

    Maps are counted from the first by their level: of two maps of one size, the second is never
    cut out of.
    """
    found, levels = [], []
    for number, own in enumerate(outputs):
        if own.ndim == 4 and own.shape[1] == channels:
            found.append(number)
            levels.append(-round(math.log2(own.shape[2] / height)))
    reached = levels[-1] - levels[0] + 1 if levels else 0
    return tuple(found[:reached])
