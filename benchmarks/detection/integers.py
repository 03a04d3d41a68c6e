"""Detectors in integers: coco128 split in two by a seed, each half calibrates once, is judged once.

A row is a detector, a scheme, a recipe and a seed: two runs on 64 pictures each. `drop` is the mean
of both halves; its error, of the difference over resampled pictures, is the mean of theirs over the
root of 2. `ap of 10` counts 10 detections a picture over all pictures, each judged by the run that
did not see it. `matched of float's` are boxes above a score of 0.25 in the float network that the
integer one finds too, of the class and with half the overlap; `of either's` counts those as well
that the integer network alone finds; `same boxes` is the mean of that over pictures. Without images
each row is one run, judged on all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from benchmarks.detection.subjects import SUBJECTS, Scene, Subject, scene
from benchmarks.halves import Asked, Half, jobs_of, mean, of_files
from benchmarks.rows import Job, Row, Wish
from intaglio.boxes.detections import Detections
from intaglio.data.truth import Truth
from intaglio.job.result import Result
from intaglio.run.float import run_float
from intaglio.tasks.detect.average_precision import MEASURES
from intaglio.tasks.detect.bootstrap import bootstrap_error
from intaglio.tasks.detect.coco import coco_figures
from intaglio.tasks.detect.matching import matched
from intaglio.tasks.detect.placed import chosen
from intaglio.tasks.evaluate import side_by_side

ASKED = (
    ("w8a8", "plain"),
    ("w8a8-per-tensor", "plain"),
    ("w4a8", "plain"),
    ("w4a8", "accurate"),
)
"""Scheme and recipe."""
WITHOUT = ("w8a8",)
BATCH = 16
FIGURES = ("ap", "ap50")


def jobs(wish: Wish) -> list[Job]:
    """Return the rows."""
    return jobs_of(Asked(SUBJECTS, ASKED, WITHOUT, scene, judged, _row), wish)


def judged(found: Scene, made: tuple[Result, float], chosen_ones: Tensor) -> Half:
    """Return a run, judged on some of the pictures."""
    result, seconds = made
    batches = [
        (found.images[part], [found.truths[index] for index in part.tolist()])
        for part in chosen_ones.split(BATCH)
    ]
    (side,) = side_by_side(
        lambda images: run_float(found.graph, images),
        [result.twin.outputs],
        batches,
        found.task,
        names=found.graph.output_titles,
    )
    return Half(side, result, seconds)


def _row(subject: Subject, halves: Sequence[Half]) -> Row:
    return row_of(halves)


def row_of(halves: Sequence[Half]) -> Row:
    """Return what one seed came to."""
    row: Row = {"scheme": halves[0].result.report.scheme, "recipe": halves[0].result.recipe.name}
    for name in FIGURES:
        pairs = [half.side.figures() for half in halves]
        real, found = ([pair[which][name] for pair in pairs] for which in (0, 1))
        row[f"float {name}"] = round(mean(real), 2)
        row[name] = round(mean(found), 2)
        row[f"{name} drop"] = round(mean(real) - mean(found), 2)
        errors = [_error(half, name) for half in halves]
        row[f"{name} error"] = round(mean(errors) / math.sqrt(len(errors)), 2)
    row["matched of float's %"], row["matched of either's %"] = _matched(halves)
    agreements = [half.side.judgement().agreement for half in halves]
    row["same boxes %"] = round(mean([found.percent or 0.0 for found in agreements]), 2)
    return {**row, **_of_files(halves), "n": sum(half.side.n for half in halves)}


def _matched(halves: Sequence[Half]) -> tuple[float, float]:
    """Return percent of the float network's boxes that are found again, and of either's boxes."""
    both = real = either = 0
    for half in halves:
        pairs = zip(*(meter.found for meter in half.side.meters), strict=True)  # type: ignore[attr-defined]
        for one, other in pairs:
            match = matched(one, other)
            both += len(match.both)
            real += len(match.both) + len(match.only_real)
            either += match.union
    return round(100.0 * both / real, 2), round(100.0 * both / either, 2)


def _of_files(halves: Sequence[Half]) -> Row:
    return {
        "ap of 10": round(_ap_of_ten(halves), 2),
        "integer macs %": round(100.0 - max(map(_float_macs, halves)), 2),
        **of_files(halves),
    }


def _float_macs(half: Half) -> float:
    share = half.result.report.in_float
    return 0.0 if share is None else share.macs_percent


def _ap_of_ten(halves: Sequence[Half]) -> float:
    found: list[Detections] = []
    truths: list[Truth] = []
    for half in halves:
        meter = half.side.meters[1]
        found += [chosen(one, slice(10)) for one in meter.found]  # type: ignore[attr-defined]
        truths += meter.truths  # type: ignore[attr-defined]
    return coco_figures(found, truths)["ap"]


def _error(half: Half, name: str) -> float:
    real, found = half.side.meters
    return bootstrap_error(
        real.found,  # type: ignore[attr-defined]
        found.found,  # type: ignore[attr-defined]
        found.truths,  # type: ignore[attr-defined]
        MEASURES[name],
    )
