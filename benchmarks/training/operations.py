"""Surgery of MobileNetV2 with ImageNet weights: the price list, judged on judge.csv.

Rows are those of surgery.json: each change before and after a short fine-tuning in which the
network that was given teaches, as float network and as plain integers with one scale a weight.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.networks import V2
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import at, batches_of, samples_of
from benchmarks.training.settings import SURGERY, SURGERY_IMAGES
from intaglio.job.surgery import surgery
from intaglio.recipe.options import Options

JUDGED = "judge.csv"


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows, all made together."""
    return [Job("mobilenet_v2_tf", lambda: operated(wish))]


def operated(wish: Wish) -> list[Row]:
    """Return the price list."""
    subject = at(V2, wish.data)
    subject = replace(subject, judged=subject.judged.with_name(JUDGED))
    module, preprocess, shape = subject.build()
    train = samples_of(subject.calibration, preprocess, shape, wish.at_most(SURGERY_IMAGES))
    judged = samples_of(subject.judged, preprocess, shape, wish.images)
    result = surgery(
        module,
        data=train.take(range(len(train))).images,
        evaluate=((taken.images, taken.labels) for taken in batches_of(judged)),
        options=SURGERY,
        choices=Options(task="classify"),
    )
    return [_row(row) for row in result.record["steps"]]


def _row(row: dict[str, Any]) -> Row:
    before, tuned = row.get("before_fine_tuning", {}), row.get("fine_tuning", {})
    return {
        "change": row["change"],
        "exact": row["exact"],
        "kept": row["kept"],
        "n": row["n"],
        "float_top1": row["float_top1"],
        "integer_top1": row["integer_top1"],
        "integer_agreement": row["integer_agreement"],
        "untuned_float_top1": before.get("float_top1", ""),
        "untuned_integer_top1": before.get("integer_top1", ""),
        "steps": tuned.get("steps", 0),
        "points_per_1000_steps": tuned.get("points_per_1000_steps", ""),
        "worst_depthwise": row["worst_depthwise_range"],
        "why": row["why"],
        "seed": SURGERY.seed,
    }
