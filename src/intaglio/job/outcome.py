"""What a run ends with, and how its report is made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any, Literal

from torch import Tensor

from intaglio.calibrate.weight_bits import unmet_bits
from intaglio.cost.macs import count_macs, total_params
from intaglio.data.preprocess import describe
from intaglio.errors import DataError
from intaglio.ir.graph import Graph
from intaglio.job.byte_input import byte_input
from intaglio.job.islands import macs_in_float
from intaglio.job.maps import first_labels
from intaglio.job.recorder import Recorder
from intaglio.methods.datafree.distill import Distilled
from intaglio.methods.steps.state import Quantized
from intaglio.methods.train.qat import Trained
from intaglio.numerics.scheme import Scheme
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import Settings
from intaglio.report.parts import Attempt
from intaglio.report.record import (
    CheckResult,
    DataSource,
    FloatShare,
    FloatSide,
    IntegerSide,
    Report,
)
from intaglio.report.synthetic import Synthetic
from intaglio.run.float import run_float
from intaglio.run.twin import Twin, build_twin
from intaglio.targets.runtime import CheckCounts
from intaglio.targets.target import BESIDE, Target
from intaglio.tasks.evaluate import Compared, SideBySide, compared, side_by_side
from intaglio.tasks.judgement import Judgement
from intaglio.tasks.pieces import evaluation_batches
from intaglio.tasks.task import Task, output_shapes, stated_name, task_for

CHECK_IMAGES = 8
"""Images on which file and twin are compared and layers measured while compressing."""


POOR_DB, DOUBTFUL_DB = 20.0, 40.0
"""SQNR of an output below which it is warned of: on any images, and on fewer than FEW_IMAGES, which
are the very ones that the ranges are taken from: others are clipped, by 5 dB or 20."""
FEW_IMAGES = 8
WARNED = 8
"""Outputs that are named."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Which images a run looked at.

    Attributes:
        images: Those that it tuned on, or the first of those that it calibrated with, [N, ...].
        count: All of them, those that judged among them.
        judged: Those that nothing was tuned on.
        made_up: Noise to compare file and twin on where there are no images, [N, ...]; else None.
        synthetic: Images that were made of batch norms and tuned on; None without any.
    """

    images: Tensor
    count: int
    judged: int = 0
    made_up: Tensor | None = None
    synthetic: Distilled | None = None

    @property
    def measured(self) -> Sequence[Tensor]:
        """Batches on which layers are to be measured."""
        return [self.images[:CHECK_IMAGES]]

    @property
    def checked(self) -> Sequence[Tensor]:
        """Batches on which file and twin are to be compared."""
        return self.measured if self.made_up is None else [self.made_up]


@dataclass(frozen=True, eq=False)
class Outcome:
    """A network in integers and how it came to be.

    Attributes:
        state: The network.
        settings: What made it; behind a search, its recipe spelled out.
        seen: The images.
        judgement: Of it, on images apart; None where there were too few.
        attempts: What a search tried.
        warnings: What the user should know of it.
        trained: What training made of it, and `state` is; None where it was not trained.
        start: The network before it was trained; None as above.
    """

    state: Quantized
    settings: Settings
    seen: Seen
    judgement: Judgement | None = None
    attempts: list[Attempt] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    trained: Trained | None = None
    start: Quantized | None = None


def first_report(
    captured: Graph, outcome: Outcome, counts: CheckCounts | None, options: Options
) -> Report:
    """Return the report of a run without the figures of its layers and its evaluation.

    Args:
        counts: What the check of the file found; None where there is no file.
    """
    where, settings, target = options.provenance, outcome.settings, outcome.settings.target
    params = total_params(captured)
    return Report(
        intaglio=metadata.version("intaglio"),
        model=where.model,
        target=target.name,
        runtime=target.runtime,
        scheme=_scheme_text(settings.scheme),
        data=_source(where, outcome),
        preprocess=describe(where.preprocess) if where.preprocess else {},  # type: ignore[arg-type]
        float=FloatSide(4 * params, sum(count_macs(captured).values()), params),
        integer=IntegerSide(),
        input=byte_input(outcome.state, settings, where.preprocess),
        check=None if counts is None else _checked(counts, outcome),
        synthetic=_synthetic(outcome),
        attempts=outcome.attempts,
        warnings=[
            *outcome.warnings,
            *unmet_bits(outcome.state.plan, settings.scheme, target),
            *([] if counts is None else counts.remarks),
            *_skipped(where),
        ],
    )


def _scheme_text(scheme: Scheme) -> str:
    if scheme.is_half:
        return scheme.name
    return f"{scheme.bits_name} {'per-channel' if scheme.per_channel else 'per-tensor'}"


def _source(where: Provenance, outcome: Outcome) -> Literal["none"] | DataSource:
    seen = outcome.seen
    if not seen.count:
        return "none"
    left_out = None if where.offered is None else where.offered - seen.count - len(where.skipped)
    if outcome.settings.scheme.is_half:  # more would only measure the same again
        left_out = None
    return DataSource(
        where.data or "tensors",
        seen.count,
        outcome.settings.seed,
        len(where.skipped),
        judged=seen.judged or None,
        left_out=left_out or None,
    )


def _synthetic(outcome: Outcome) -> Synthetic | None:
    """Return what is told of images that were made; None where none were."""
    made, wish = outcome.seen.synthetic, outcome.settings.recipe.synthetic
    if made is None or wish is None:
        return None
    apart = {"images", "steps", "save", "save_seconds"}
    said = wish.model_dump(include={"batch", "lr"})
    said |= wish.model_dump(exclude_defaults=True, exclude=apart)
    first, last = (loss if math.isfinite(loss) else None for loss in (made.first, made.last))
    return Synthetic(
        len(made.images), wish.steps, made.seconds, first, last, len(made.events), said
    )


def _checked(counts: CheckCounts, outcome: Outcome) -> CheckResult:
    found, target = counts.deviation, outcome.settings.target
    return CheckResult(
        counts.images,
        counts.values_compared,
        counts.mismatches,
        target.runtime,
        border_values=counts.border_values or None,
        border_equal=counts.border_equal if counts.border_values else None,
        largest_deviation=None if found is None else found.largest,
        relative_deviation=None if found is None else found.relative,
        floats_compared=None if found is None else found.values,
        made_up=True if outcome.seen.made_up is not None else None,
    )


def _skipped(where: Provenance) -> list[str]:
    skipped = where.skipped
    if not skipped:
        return []
    return [f"{len(skipped)} unreadable images were passed over, first {skipped[0]}"]


def task_of(captured: Graph, evaluate: Any, settings: Settings) -> tuple[Task, bool]:
    """Return the task by which a run is judged and told, and whether somebody said that it is it.

    Args:
        evaluate: As the user gave it, or None. Nothing is read of it but the labels of a pair, or
            of a list's first.
        settings: With the task that the user chose, and the one that the network brings.

    Raises:
        DataError: If the labels are none that fit the network, or the task needs some.
    """
    labels = first_labels(evaluate)
    name, own = settings.task, settings.own_task
    task = task_for(output_shapes(captured), labels, name, own)
    if isinstance(evaluate, Tensor) and task.needs_labels:
        raise DataError(
            "evaluate has no labels: give (images, labels), or say what else the network is for:"
            " task 'values' needs none"
        )
    return task, name is not None or own is not None or labels is not None


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What an evaluation came to.

    Attributes:
        report: With the task's figures of both networks.
        found: The two networks, side by side.
        start: Figures, and `n`, of the network before it was trained; empty where it was not.
    """

    report: Report
    found: Compared
    start: dict[str, Any]


def evaluated(
    report: Report,
    captured: Graph,
    twin: Twin,
    task: Task,
    *,
    recorder: Recorder,
    evaluate: Any,
    outcome: Outcome,
) -> Evaluated:
    """Return what the evaluation of both networks came to; images are read once."""
    before, target = outcome.start, outcome.settings.target
    networks = [twin.outputs]
    if before is not None:
        networks.append(build_twin(before.graph, before.encodings, target).outputs)

    def work() -> list[SideBySide]:
        """Return how the networks do on the same images, each told to the progress."""
        return side_by_side(
            lambda images: run_float(captured, images),
            networks,
            evaluation_batches(task, evaluate, captured),
            task,
            names=captured.output_titles,
            seen=recorder.progress.advance,
            looks=True,
        )

    side, *start = recorder.step("evaluate", work)
    found = compared(side, report.preprocess)
    made = _by_output(with_figures(report, found, task), captured, found.judgement)
    return Evaluated(made, found, told_figures(captured, start[0]) if start else {})


def with_figures(report: Report, found: Compared, task: Task) -> Report:
    """Return the report with the task's figures of both networks, and how they agree."""
    judgement = found.judgement
    return replace(
        report,
        float=replace(report.float, figures=found.float_figures, n=judgement.n),
        integer=replace(
            report.integer,
            figures=found.figures,
            n=judgement.n,
            agreement=judgement.percent,
        ),
        task=stated_name(task),
        detection=found.shown.detection,
        segmentation=found.shown.segmentation,
    )


def _by_output(report: Report, captured: Graph, judgement: Judgement) -> Report:
    """Return the report with the SQNR of each output on the images that were evaluated."""
    lowest = report.integer.logits_sqnr_db
    if report.data == "none":  # nothing else was measured
        lowest = judgement.sqnr_db
    listed = listed_sqnr_db(captured, judgement)
    return replace(report, integer=replace(report.integer, logits_sqnr_db=lowest, sqnr_db=listed))


def told_figures(captured: Graph, side: SideBySide) -> dict[str, Any]:
    """Return the figures of the second of two networks and `n`; without a metric its SQNR."""
    _, figures = side.figures()
    told: dict[str, Any] = {**figures, "n": side.n}
    if not side.task.has_metric:
        told["sqnr_db"] = listed_sqnr_db(captured, side.judgement())
    return told


def listed_sqnr_db(captured: Graph, judgement: Judgement, *later: Graph) -> list[float | None]:
    """Return the SQNR in dB of each output by itself, in the network's order.

    0 where the float network gives a constant and the integer one does not.

    Args:
        later: What became of the captured graph: an activation at the end is by then part of the
            layer before it, and the judgement may name the output by that.
    """
    found = judgement.agreement.sqnr_db
    titles = zip(*(graph.output_titles for graph in (captured, *later)), strict=True)
    return [next((found[name] for name in names if name in found), 0.0) for names in titles]


def simulated_size(state: Quantized, target: Target) -> int:
    """Return what the file of a simulated scheme would take, if its target held the bits."""
    bits = {name: grid.spec.bits for name, grid in state.encodings.weights.items()}
    return target.size_bytes(state.graph, bits)


def float_share(outcome: Outcome, counts: CheckCounts | None) -> FloatShare | None:
    """Return what layers in float cost; None where none stayed, or no file says it."""
    state = outcome.state
    if not state.plan.kept_float or counts is None or state.encodings.halves is not None:
        return None
    share = macs_in_float(state.graph, state.plan)
    return FloatShare(share, counts.partitions, len(counts.builtin) - counts.shifts)


def poor_outputs(report: Report, captured: Graph, outcome: Outcome) -> list[str]:
    """Return a warning for each output of which little is left beside the float network's.

    On fewer than FEW_IMAGES, what is not much more is doubtful: others may leave less.
    """
    judgement = outcome.judgement
    if judgement is None or report.integer.sqnr_db is None:
        rows = {row.name: row.sqnr_db for row in report.layers}
        found, count = [rows.get(name) for name in outcome.state.graph.outputs], None
    else:
        found, count = list(report.integer.sqnr_db), judgement.n
    told = []
    for name, db in zip(captured.outputs, found, strict=True):
        if db is not None and db < POOR_DB:
            told.append(
                f"output '{name}' has an SQNR of {db:.1f} dB beside the float network's: below"
                f" {POOR_DB:g} dB little may be left of it; measure it (evaluate=, --eval), and see"
                " the layers' SQNR in the report"
            )
        elif db is not None and db < DOUBTFUL_DB and (count or 0) < FEW_IMAGES:
            told.append(
                f"output '{name}' has an SQNR of {db:.1f} dB beside the float network's, on the few"
                f" images that its ranges are from: on others it may be below {POOR_DB:g} dB"
            )
    return told[:WARNED] + (
        [f"and {len(told) - WARNED} more outputs"] if len(told) > WARNED else []
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
            "postprocess": None if settings.postprocess == BESIDE else settings.postprocess,
            "seed": settings.seed,
            "keep_float": list(settings.keep_float) or None,
            "task": settings.task,
            "max_drop": settings.max_drop,
            "min_sqnr": settings.min_sqnr,
            "allow_float": settings.allow_float or None,
            "limit": where.images,
            "ran": ran,
        }
    )
