"""From a captured network to its result: quantized, maybe trained, written, checked, reported."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from intaglio.calibrate.float_islands import ASKED, is_float_tail, layers_called
from intaglio.data.batches import Data
from intaglio.data.held import hold_images
from intaglio.doctor import findings_for_report
from intaglio.host.training import NOT_KEPT, Kept
from intaglio.ir.graph import Graph
from intaglio.job.data_free import run_without_images
from intaglio.job.ended import end_notes, end_of, labels_of, refuse_end
from intaglio.job.fixed import run_held, run_stream
from intaglio.job.half import half_rows, run_half
from intaglio.job.ladder import search
from intaglio.job.made import Made, made_with_islands
from intaglio.job.outcome import (
    Outcome,
    evaluated,
    first_report,
    float_share,
    listed_sqnr_db,
    poor_outputs,
    simulated_size,
    task_of,
    used_recipe,
)
from intaglio.job.quantize import is_streamed, prepare_network, share_of
from intaglio.job.recorder import Recorder
from intaglio.job.result import Result
from intaglio.job.verdict import missed_wish, verdict_of, wish_of
from intaglio.maps.postprocess import MapPostProcess
from intaglio.methods.steps.state import Prepared, Quantized
from intaglio.methods.steps.steps import is_altered
from intaglio.recipe.options import Options
from intaglio.recipe.settings import Settings
from intaglio.report.layers import measure_layers, output_sqnr_db
from intaglio.report.parts import LayerRow
from intaglio.report.record import IntegerSide, KeptFloat, Report
from intaglio.run.twin import Twin, build_twin
from intaglio.store.synthetic import SyntheticImages
from intaglio.targets.runtime import About, CheckCounts, require_match
from intaglio.tasks import Judgement


@dataclass(frozen=True)
class Run:
    """What one run was asked for, and its record; `settings` count, not `options`.

    Attributes:
        data: Images; None where neither scheme nor recipe needs any and there are none.
        teach: What trains a network that the recipe has made, with the captured one as its
            teacher; None: it is not trained.
        kept: Where long stages are kept.
    """

    settings: Settings
    options: Options
    data: Data | None
    recorder: Recorder
    teach: Callable[[Outcome, Run], Outcome] | None = None
    kept: Kept = NOT_KEPT


@dataclass(frozen=True, eq=False)
class Product:
    """What a run ends with.

    Attributes:
        result: What the user gets.
        outcome: How it came to be.
        start: Figures, and `n`, of the network before it was trained; empty where it was not, or
            nothing was evaluated.
    """

    result: Result
    outcome: Outcome
    start: Mapping[str, Any] = field(default_factory=dict)


def produce(captured: Graph, run: Run, evaluate: Any) -> Product:
    """Return what comes of a captured network.

    Args:
        evaluate: As the user gave it, or None; gone through once, at the end.
    """
    task, is_told = task_of(captured, evaluate, run.settings)
    run = replace(run, settings=replace(run.settings, task=task.name)) if is_told else run
    refuse_end(captured, run.settings, run.options.provenance)
    asked = run.settings.keep_float
    prepared, settings = prepare_network(captured, run.settings, run.recorder)
    run = replace(run, settings=settings)
    quantized, again = _quantized(captured, prepared, run)
    made = made_with_islands(
        prepared.graph, settings, lambda wished: _made(quantized(wished), run), again=again
    )
    outcome, twin, files = made.outcome, made.twin, made.files
    counts = _checked(made, run.recorder)
    report = _report(captured, prepared, made, counts, run)
    notes = end_notes(outcome.settings, run.options.provenance)
    report = replace(
        report, kept_float=_kept_float(outcome, asked), warnings=[*report.warnings, *notes]
    )
    found, start = None, dict[str, Any]()
    if evaluate is not None:
        done = evaluated(
            report, captured, twin, task, recorder=run.recorder, evaluate=evaluate, outcome=outcome
        )
        report, found, start = done.report, done.found, done.start
    report = _judged(report, outcome, None if found is None else found.judgement)
    report = replace(report, steps=run.recorder.steps, wording=task.wording)
    settings = outcome.settings
    recipe = used_recipe(settings, run.options.provenance)
    graph, target = outcome.state.graph, settings.target
    result = Result(graph, twin.encodings, target, report, files, recipe, settings.io)
    post = run.options.provenance.postprocess
    result = replace(result, synthetic=_images(outcome), postprocess=post)
    if found is not None:
        result = replace(result, shown=found.shown.sections)
    return Product(result, outcome, start)


def _images(outcome: Outcome) -> SyntheticImages | None:
    """Return the images that a run made; None where it made none."""
    made = outcome.seen.synthetic
    return None if made is None else SyntheticImages(made.images, made.labels)


def _checked(made: Made, recorder: Recorder) -> CheckCounts | None:
    """Return how file and twin compare; None where there is no file.

    Raises:
        MismatchError: If they differ.
    """
    if not made.files:
        return None
    target, batches = made.outcome.settings.target, made.outcome.seen.checked
    counts = recorder.step("check", lambda: target.check(made.files, made.twin, batches))
    require_match(counts, target.runtime)
    return counts


def _report(
    captured: Graph, prepared: Prepared, made: Made, counts: CheckCounts | None, run: Run
) -> Report:
    """Return the report of what was made, without an evaluation and a verdict."""
    outcome, files = made.outcome, made.files
    layers = run.recorder.step("measure layers", lambda: _measured(prepared, outcome, made.twin))
    size = sum(map(len, files.values()))
    if not files:
        size = simulated_size(outcome.state, outcome.settings.target)
    integer = IntegerSide(
        size_bytes=size,
        logits_sqnr_db=_lowest_db(outcome, layers, _scores(outcome.state.graph)),
        sqnr_db=_by_output(captured, outcome),
        outputs=list(captured.output_names) or None,
    )
    report = replace(
        first_report(captured, outcome, counts, run.options),
        integer=integer,
        layers=layers,
        in_float=float_share(outcome, counts),
    )
    if outcome.state.encodings.halves is not None:
        return _of_half(_warned(report, captured, outcome), outcome)
    if outcome.trained is not None or not outcome.seen.count:
        return report  # what it was taught is not what it was; the doctor looks at images
    return _examined(_warned(report, captured, outcome), captured, outcome, run)


def _of_half(report: Report, outcome: Outcome) -> Report:
    """Return the report of a network in float16: its numbers, and how its images agree.

    Nothing was tuned on them. The doctor looks for what integers lose, and is not asked.
    """
    judgement = outcome.judgement
    integer = report.integer
    if judgement is not None and judgement.percent is not None:
        integer = replace(integer, n=judgement.n, agreement=judgement.percent)
    return replace(report, integer=integer, halves=half_rows(outcome))


def _warned(report: Report, captured: Graph, outcome: Outcome) -> Report:
    """Return the report with a warning for each output of which little is left."""
    return replace(report, warnings=[*report.warnings, *poor_outputs(report, captured, outcome)])


def _judged(report: Report, outcome: Outcome, found: Judgement | None) -> Report:
    """Return the report with its verdict, and a warning where that is no good news."""
    verdict = verdict_of(report.check, wish_of(outcome.settings), outcome.judgement, found)
    if outcome.settings.is_simulated:
        verdict = replace(verdict, bits_why=_no_file(outcome.settings))
    is_told = bool(outcome.attempts) and found is None  # by the search itself
    is_trained = outcome.trained is not None
    told = []
    if not is_told:
        ailments, settings = report.doctor or [], outcome.settings
        told = missed_wish(
            verdict,
            ailments,
            settings,
            is_trained=is_trained,
            has_images=outcome.seen.count > 0,
        )
    return replace(report, verdict=verdict, warnings=[*report.warnings, *told])


def _no_file(settings: Settings) -> str:
    target = settings.target
    return (
        f"scheme {settings.scheme.name} is simulated: target {target.name} holds"
        f" {', '.join(target.schemes)}, so that no file was written and the twin alone runs it"
    )


def _by_output(captured: Graph, outcome: Outcome) -> list[float | None] | None:
    judgement, state = outcome.judgement, outcome.state
    if judgement is None:
        return None
    return listed_sqnr_db(captured, judgement, state.reference, state.graph)


def _lowest_db(outcome: Outcome, layers: list[LayerRow], outputs: list[str]) -> float | None:
    """Return the SQNR of the output that has the lowest.

    Where one output has channels of several sizes, the lowest of these counts: pooled, large ones
    would hide the others.
    """
    lowest, judgement = output_sqnr_db(layers, outputs), outcome.judgement
    if lowest is None or judgement is None:
        return lowest
    found = judgement.agreement
    return min(lowest, *(found.sqnr_db[name] for name in found.grouped), math.inf)


def _kept_float(outcome: Outcome, asked: Sequence[str]) -> list[KeptFloat]:
    """Return what stayed in float, each with the true reason; `asked` are the user's layers."""
    graph, kept = outcome.state.graph, outcome.state.plan.kept_float
    reasons: dict[str, str] = {}
    for layer in outcome.settings.keep_float:
        if layer not in asked:
            why = outcome.settings.float_reasons[layer]
            reasons |= {node.name: why for node in layers_called(graph, layer)}
    return [
        KeptFloat(name, reasons.get(name, why) if why == ASKED else why)
        for name, why in kept.items()
    ]


def _examined(report: Report, captured: Graph, outcome: Outcome, run: Run) -> Report:
    """Return the report with what the doctor finds on the images that were tuned on."""
    found = run.recorder.step(
        "diagnose",
        lambda: findings_for_report(
            captured,
            outcome.state,
            [outcome.seen.images],
            target=outcome.settings.target,
            total=outcome.seen.count,
            preprocess=run.options.provenance.preprocess,
        ),
        changed=lambda made: {"findings": len(made)},
    )
    ailments = [finding.as_ailment() for finding in found]
    return replace(report, doctor=ailments, doctor_images=len(outcome.seen.images))


def _quantized(
    captured: Graph, prepared: Prepared, run: Run
) -> tuple[Callable[[Settings], Outcome], bool]:
    """Return what makes the network in integers, and whether it can do so more than once.

    Streaming where the recipe has no steps, else on held images, which are read here.
    """
    settings, data, recorder = run.settings, run.data, run.recorder
    recipe, device = settings.recipe, run.options.device
    if settings.scheme.is_half:
        return (lambda wished: run_half(prepared, wished, data, recorder)), True
    if data is None:
        return _without_images(prepared, run), True
    if is_streamed(settings):
        total = run.options.provenance.images
        again = isinstance(data, Tensor) or not isinstance(data, Iterator)
        return (
            lambda wished: run_stream(prepared, wished, data, recorder, device=device, total=total)
        ), again
    shape = prepared.graph[prepared.graph.inputs[0]].shape[1:]
    share = share_of(settings, prepared.graph)
    held = recorder.step(
        "read images",
        lambda: hold_images(data, shape, share, seed=settings.seed),
        changed=lambda made: {"tuning": len(made.tuning), "judged": len(made.judged)},
    )
    if recipe.search:
        return (
            lambda wished: search(captured, prepared, wished, held, recorder, device=device)
        ), True
    return (lambda wished: run_held(prepared, wished, held, recorder, device=device)), True


def _without_images(prepared: Prepared, run: Run) -> Callable[[Settings], Outcome]:
    """Return what makes the network in integers without images; each time is kept by itself."""
    known, device = run.options.provenance.preprocess, run.options.device
    attempts = itertools.count(1)
    return lambda wished: run_without_images(
        prepared,
        wished,
        run.recorder,
        preprocess=known,
        device=device,
        kept=run.kept.attempt(next(attempts)),
    )


def _made(outcome: Outcome, run: Run) -> Made:
    """Return an outcome, trained where that was asked, with its twin and its files."""
    if run.teach is not None:
        outcome = run.teach(outcome, run)
    state, settings = outcome.state, outcome.settings
    twin = run.recorder.step(
        "build the twin", lambda: build_twin(state.graph, state.encodings, settings.target)
    )
    if settings.is_simulated:
        return Made(outcome, twin, {})
    files = run.recorder.step("write", lambda: _written(state, settings, run.options))
    return Made(outcome, twin, files)


def _written(state: Quantized, settings: Settings, options: Options) -> dict[str, bytes]:
    where = options.provenance
    end = end_of(settings, where)
    is_told = end is not None or isinstance(where.postprocess, MapPostProcess)
    labels = labels_of(where) if is_told else where.labels
    about = About(where.preprocess, labels, settings.scheme.name, where.model, end)
    return settings.target.write(state.graph, state.encodings, settings.io, about)


def _measured(prepared: Prepared, outcome: Outcome, twin: Twin) -> list[LayerRow]:
    """Return a row for each value; of the outputs, against the network that the user gave.

    Steps tune towards a reference of their own; where one of them altered the network's function,
    or training did, that says nothing of what was lost.
    """
    checked = outcome.seen.measured
    rows = measure_layers(outcome.state.reference, twin, checked)
    if outcome.trained is None and not is_altered(outcome.settings.recipe.steps):
        return rows
    outputs = {*twin.graph.outputs, *_scores(twin.graph)}
    given = measure_layers(prepared.graph, twin, checked, values=outputs)
    return [other if own.name in outputs else own for own, other in zip(rows, given, strict=True)]


def _scores(graph: Graph) -> list[str]:
    """Return the outputs; where one is a softmax at the end, what it reads."""
    nodes = [graph[name] for name in graph.outputs]
    return [node.inputs[0] if is_float_tail(graph, node) else node.name for node in nodes]
