"""What a run ends with, and how its report is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

from torch import Tensor

from intaglio.cost.macs import count_macs, total_params
from intaglio.data.held import HeldImages
from intaglio.data.preprocess import describe
from intaglio.errors import DataError
from intaglio.ir.graph import Graph
from intaglio.job.recorder import Recorder
from intaglio.methods.steps.state import Quantized
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import Settings
from intaglio.report.parts import Attempt
from intaglio.report.record import CheckResult, DataSource, FloatSide, IntegerSide, Report
from intaglio.run.float import run_float
from intaglio.run.twin import Twin
from intaglio.targets.runtime import CheckCounts
from intaglio.targets.target import Target
from intaglio.tasks.evaluate import Compared, compare
from intaglio.tasks.task import Task, output_shapes, stated_name, task_for

CHECK_IMAGES = 8
"""Images on which file and twin are compared and layers measured while compressing."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A network in integers and how it came to be.

    Attributes:
        state: The network.
        settings: What made it; behind a search, its recipe spelled out.
        checked: Batches on which file and twin are to be compared.
        images: How many images were used.
        seen: Batches of those that it was tuned on, as far as they are held: what the doctor sees.
        attempts: What a search tried.
        warnings: What the user should know of it.
    """

    state: Quantized
    settings: Settings
    checked: Sequence[Tensor]
    images: int
    seen: Sequence[Tensor]
    attempts: list[Attempt] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def outcome_of(state: Quantized, settings: Settings, held: HeldImages) -> Outcome:
    """Return what a run on held images ends with."""
    images = len(held.tuning) + len(held.judged)
    return Outcome(state, settings, [held.tuning[:CHECK_IMAGES]], images, [held.tuning])


def first_report(
    captured: Graph, outcome: Outcome, counts: CheckCounts, options: Options
) -> Report:
    """Return the report of a run without the figures of its layers and its evaluation."""
    where, settings, target = options.provenance, outcome.settings, outcome.settings.target
    params = total_params(captured)
    granularity = "per-channel" if settings.scheme.per_channel else "per-tensor"
    skipped = len(where.skipped)
    return Report(
        intaglio=metadata.version("intaglio"),
        model=where.model,
        target=target.name,
        runtime=target.runtime,
        scheme=f"{settings.scheme.bits_name} {granularity}",
        data=DataSource(where.data or "tensors", outcome.images, settings.seed, skipped),
        preprocess=describe(where.preprocess) if where.preprocess else {},  # type: ignore[arg-type]
        float=FloatSide(4 * params, sum(count_macs(captured).values()), params),
        integer=IntegerSide(),
        check=_checked(counts, target),
        attempts=outcome.attempts,
        warnings=[*outcome.warnings, *counts.remarks, *_skipped(where)],
    )


def _checked(counts: CheckCounts, target: Target) -> CheckResult:
    return CheckResult(
        counts.images,
        counts.values_compared,
        counts.mismatches,
        target.runtime,
        border_values=counts.border_values or None,
        border_equal=counts.border_equal if counts.border_values else None,
    )


def _skipped(where: Provenance) -> list[str]:
    skipped = where.skipped
    if not skipped:
        return []
    return [f"{len(skipped)} unreadable images were passed over, first {skipped[0]}"]


def task_of(captured: Graph, evaluate: Any) -> Task:
    """Return the task by which a run is judged and told.

    Args:
        evaluate: As the user gave it, or None. Nothing is read of it but a pair's labels.

    Raises:
        DataError: If the labels are none that fit the network, or the task needs some.
    """
    is_pair = isinstance(evaluate, tuple) and len(evaluate) == 2 and isinstance(evaluate[0], Tensor)
    task = task_for(output_shapes(captured), evaluate[1] if is_pair else None)
    if isinstance(evaluate, Tensor) and task.needs_labels:
        raise DataError("evaluate has no labels: give (images, labels)")
    return task


def evaluated(
    report: Report, captured: Graph, twin: Twin, task: Task, *, recorder: Recorder, evaluate: Any
) -> Report:
    """Return the report with the task's figures of both networks, on images that are read once."""
    shape = captured[captured.inputs[0]].shape[1:]

    def work() -> Compared:
        """Return how both networks do on the same images, each told to the progress."""
        return compare(
            lambda images: run_float(captured, images),
            twin,
            task.batches(evaluate, shape),
            task,
            names=captured.outputs,
            seen=recorder.progress.advance,
        )

    found = recorder.step("evaluate", work)
    agreement = found.agreement
    return replace(
        report,
        float=replace(report.float, figures=found.float_figures, n=agreement.n),
        integer=replace(
            report.integer, figures=found.figures, n=agreement.n, agreement=agreement.percent
        ),
        task=stated_name(task),
    )


def used_recipe(settings: Settings, where: Provenance) -> Recipe:
    """Return the recipe that repeats the run, everything settled spelled out."""
    ran: dict[str, str | int | float | bool | None] = {"model": where.model, "data": where.data}
    return settings.recipe.model_copy(
        update={
            "calibrator": settings.calibrator,
            "target": settings.target.name,
            "scheme": settings.scheme.name,
            "io": settings.io,
            "seed": settings.seed,
            "keep_float": list(settings.keep_float) or None,
            "limit": where.images,
            "ran": ran,
        }
    )
