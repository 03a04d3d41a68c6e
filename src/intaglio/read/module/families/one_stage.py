"""Readings of detectors of one stage with anchors: SSD, RetinaNet, FCOS, by what they give."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from torch import nn

from intaglio.boxes.coders import Coder, Deltas, Distances
from intaglio.boxes.postprocess import Level, Places, PostProcess, Selection, Suppression
from intaglio.read.module.families.candidate import Candidate
from intaglio.read.module.families.evidence import Evidence
from intaglio.read.module.families.limits import Holder, holders_of
from intaglio.read.module.families.places import places_of
from intaglio.read.module.families.runs import Run, runs_of


@dataclass(frozen=True)
class Style:
    """How a family makes scores of what it gives, as of `PostProcess`."""

    family: str
    coder: type[Deltas] | type[Distances]
    within: str
    activation: str = "sigmoid"
    background: int | None = None
    combine: str = "product"
    objectness: bool = False


STYLES = (
    Style("ssd", Deltas, "class", activation="softmax", background=0),
    Style("retinanet", Deltas, "level"),
    Style("fcos", Distances, "level", combine="root", objectness=True),
)


@dataclass(frozen=True)
class Kinds:
    """Which runs hold what."""

    boxes: Run
    scores: Run
    objectness: Run | None = None


def one_stage(module: nn.Module, evidence: Evidence) -> Iterator[Candidate]:
    """Give all readings of a module as a detector of one stage.

    Args:
        module: The whole one, for its attributes.
        evidence: Of a run of it.
    """
    holders = [own for own in holders_of(module) if own.stage == "detections"]
    for anchors in evidence.anchors:
        places = places_of(anchors, evidence.input_size)
        runs = runs_of(evidence.outputs[0], places)
        for holder, style in itertools.product(holders, STYLES):
            coders = [coder for coder in holder.coders if isinstance(coder, style.coder)]
            for coder, kinds in itertools.product(coders, _kinds(runs, style)):
                with suppress(ValueError):  # what no post-processing may say
                    post = _post(evidence, places, holder, style=style, coder=coder, kinds=kinds)
                    yield Candidate(post, tuple(holder.settings.values()))


def _kinds(runs: Sequence[Run], style: Style) -> Iterator[Kinds]:
    """Give the ways to tell boxes, scores and centre-ness apart by their widths."""
    singles = [run for run in runs if run.width == 1] if style.objectness else [None]
    for objectness in singles:
        for boxes in runs:
            for scores in runs:
                if boxes.width == 4 and len({boxes, scores, objectness}) == 3:
                    yield Kinds(boxes, scores, objectness)


def _post(
    evidence: Evidence,
    places: Sequence[Places],
    holder: Holder,
    *,
    style: Style,
    coder: Coder,
    kinds: Kinds,
) -> PostProcess:
    overlap, most = holder.value("overlap"), holder.whole("most")
    assert overlap is not None, "holders have it"
    assert most is not None, "holders have it"
    return PostProcess(
        family=style.family,
        input_size=evidence.input_size,
        levels=levels_of(places, coder, kinds),
        classes=kinds.scores.width,
        select=Selection(holder.value("above"), holder.whole("before"), style.within),
        suppress=Suppression(overlap),
        most=most,
        activation=style.activation,
        combine=style.combine,
        background=style.background,
    )


def levels_of(places: Sequence[Places], coder: Coder, kinds: Kinds) -> tuple[Level, ...]:
    """Return the levels whose numbers stand in these runs."""
    levels, start = [], 0
    for number, own in enumerate(places):
        single = None if kinds.objectness is None else kinds.objectness.part(number, start)
        boxes, scores = kinds.boxes.part(number, start), kinds.scores.part(number, start)
        levels.append(Level(own, coder, (boxes,), scores, single))
        start += own.count
    return tuple(levels)
