"""Quantization without images: the command's default recipe for it, judged on judge.csv.

Each row is `compress` of a network with ImageNet weights and no data; `seconds` are its own, from
the captured network to the checked file, without evaluation.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from benchmarks.measured import Place, judged, judged_at
from benchmarks.networks import V1_025, V1_075, V2, Subject
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import at
from intaglio.job.of_graph import compress_graph
from intaglio.recipe.options import Options, Provenance

JUDGED = "judge.csv"
SUBJECTS: tuple[tuple[Subject, tuple[str, ...]], ...] = (
    (V2, ("w8a8", "w8a8-per-tensor", "w4a8", "w2a8")),
    (V1_025, ("w8a8", "w8a8-per-tensor")),
    (V1_075, ("w8a8", "w8a8-per-tensor")),
)


def jobs(wish: Wish) -> list[Job]:
    """Return the rows: each network in each scheme."""
    return [
        Job(f"{subject.model} {scheme}", _work(subject, scheme, wish))
        for subject, schemes in SUBJECTS
        for scheme in schemes
    ]


def _work(subject: Subject, scheme: str, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: [measured(at(subject, wish.data), scheme, wish.images)]


def measured(subject: Subject, scheme: str, images: int | None) -> Row:
    """Return a row: a network quantized without images, judged and checked."""
    place = _place(subject, images)
    _, preprocess, _ = subject.build()
    where = Provenance(model=subject.model, preprocess=preprocess)
    began = time.perf_counter()
    result = compress_graph(
        place.captured, data=None, options=Options(scheme=scheme, provenance=where)
    )
    seconds = time.perf_counter() - began
    report = result.report
    return {
        "scheme": report.scheme,
        "recipe": f"{result.recipe.name}: {', '.join(result.recipe.step_names)}",
        **judged(result.twin, place),
        "made_in_seconds": round(seconds, 1),
        "file_bytes": report.integer.size_bytes,
        "checked": None if report.check is None else report.check.values_compared,
        "mismatches": None if report.check is None else report.check.mismatches,
        "warnings": len(report.warnings),
    }


@functools.cache
def _place(subject: Subject, images: int | None) -> Place:
    """Return the network beside its own answers: the rows of one network share it."""
    return judged_at(subject, subject.judged.with_name(JUDGED), images)
