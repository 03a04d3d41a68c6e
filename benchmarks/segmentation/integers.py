"""Segmenters in integers: pictures split in two by a seed, each half calibrates and is judged.

A row is a segmenter, a scheme, a recipe and a seed: two runs, each calibrated with one half and
judged on the other, the file itself run by LiteRT. `drop` is of the figures over all pictures, each
judged by the run that did not see it; its error is that of the difference over resampled pictures.
DeepLab's figure is mean IoU at the picture's own pixels; the selfie network's is the IoU of
persons. `same pixels` are of the maps as the networks give them. Without images each row is one
run, judged on all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.halves import Asked, Half, jobs_of, mean, of_files
from benchmarks.rows import Job, Row, Wish
from benchmarks.segmentation.real import class_iou
from benchmarks.segmentation.subjects import SUBJECTS, Scene, Subject, scene
from intaglio.job.result import Result
from intaglio.run.float import run_float
from intaglio.targets.runtime import Runner
from intaglio.tasks.evaluate import side_by_side
from intaglio.tasks.segment.bootstrap import iou_error
from intaglio.tasks.segment.meter import MeanIou

ASKED = (
    ("w8a8", "accurate"),
    ("w8a8-per-tensor", "accurate-per-tensor"),
    ("w4a8", "accurate"),
    ("w8a8", "plain"),
    ("w8a8", "auto"),
)
"""Scheme and recipe."""
WITHOUT = ("w8a8",)
BATCH = 8


def jobs(wish: Wish) -> list[Job]:
    """Return the rows."""
    return jobs_of(Asked(SUBJECTS, ASKED, WITHOUT, scene, judged, _row), wish)


def judged(found: Scene, made: tuple[Result, float], chosen: Tensor) -> Half:
    """Return a run, judged on some of the pictures."""
    result, seconds = made
    with result.target.open(result.files) as runner:
        (side,) = side_by_side(
            lambda images: run_float(found.graph, images),
            [_shaped(runner, found)],
            found.batches(chosen, BATCH),
            found.task,
            names=found.graph.output_titles,
        )
    return Half(side, result, seconds)


def _shaped(runner: Runner, found: Scene) -> Callable[[Tensor], list[Tensor]]:
    """Return what the file gives, in the shapes of the network's outputs."""
    shapes = [found.graph[name].shape[1:] for name in found.graph.outputs]

    def network(images: Tensor) -> list[Tensor]:
        return [
            output.reshape(len(output), *shape)
            for output, shape in zip(runner(images), shapes, strict=True)
        ]

    return network


def _row(subject: Subject, halves: Sequence[Half]) -> Row:
    """Return what one seed came to."""
    real, found = (_together([_meters(half)[which] for half in halves]) for which in (0, 1))
    row: Row = {"scheme": halves[0].result.report.scheme, "recipe": halves[0].result.recipe.name}
    own = (class_iou(real), class_iou(found)) if subject.only else None
    figures = real.figures(), found.figures()
    name = "iou" if own else "miou"
    before, after = own or (figures[0][name], figures[1][name])
    row |= {f"float {name}": round(before, 2), name: round(after, 2)}
    row |= {"drop": round(before - after, 2), "error": round(_error(subject, real, found), 2)}
    row |= {key: round(figures[1][key], 2) for key in ("pixel_accuracy", "boundary_f")}
    agreements = [half.side.judgement().agreement for half in halves]
    row["same pixels %"] = round(mean([one.parts or 0.0 for one in agreements]), 2)
    row["same map %"] = round(mean([one.percent or 0.0 for one in agreements]), 2)
    return {**row, **of_files(halves), "n": sum(half.side.n for half in halves)}


def _meters(half: Half) -> tuple[MeanIou, MeanIou]:
    """Return those of the float network and of the integer one."""
    real, found = half.side.meters
    assert isinstance(real, MeanIou)
    assert isinstance(found, MeanIou)
    return real, found


def _together(meters: Sequence[MeanIou]) -> MeanIou:
    """Return one meter that has the counts of all."""
    whole = MeanIou(meters[0].post, meters[0].pairing)
    for one in meters:
        whole.tally.counts += one.tally.counts
        whole.tally.boundaries += one.tally.boundaries
    return whole


def _error(subject: Subject, real: MeanIou, found: MeanIou) -> float:
    """Return the standard error of the drop, over resampled pictures."""
    both: list[Any] = [np.stack(one.tally.counts) for one in (real, found)]
    if subject.only:
        both = [each[:, 1:] for each in both]
    return iou_error(both[0], both[1])
