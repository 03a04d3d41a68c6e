"""The main job: a trained network in, a checked integer file and its report out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from intaglio.calibrate.float_islands import ASKED, is_float_tail, layers_called
from intaglio.data.batches import Data
from intaglio.data.held import hold_images
from intaglio.doctor import findings_for_report
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.job.fixed import run_held, run_stream
from intaglio.job.ladder import search
from intaglio.job.made import Made, made_with_islands
from intaglio.job.outcome import (
    Outcome,
    evaluated,
    first_report,
    float_share,
    listed_sqnr_db,
    poor_outputs,
    task_of,
    used_recipe,
)
from intaglio.job.quantize import is_streamed, prepare_network, share_of
from intaglio.job.recorder import Recorder
from intaglio.job.result import Result
from intaglio.job.verdict import missed_wish, verdict_of, wish_of
from intaglio.methods.steps.state import Prepared, Quantized
from intaglio.methods.steps.steps import is_altered
from intaglio.read.reader import Source
from intaglio.read.source import read
from intaglio.recipe.needs import refuse_unmet_needs
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.recipe import Recipe, find_recipe
from intaglio.recipe.settings import DEFAULT_RECIPE, Settings, settle
from intaglio.report.layers import measure_layers, output_sqnr_db
from intaglio.report.parts import LayerRow
from intaglio.report.record import IntegerSide, KeptFloat, Report, StepRow
from intaglio.run.twin import Twin, build_twin
from intaglio.targets.runtime import About, require_match
from intaglio.tasks import Judgement


def compress(
    model: nn.Module | str | os.PathLike[str] | Source,
    example_input: Tensor | None = None,
    *,
    target: str | None = None,
    data: Data | None = None,
    evaluate: Any = None,
    recipe: str | Recipe | None = None,
    options: Options | None = None,
) -> Result:
    """Return the integer network of a trained module, checked bit for bit against its file.

    Args:
        model: A trained module or exported program with one image tensor in; or a text or path,
            as the command line takes it ("net.pt2", "mobilenet_v2", "package.module:factory"); or
            what `intaglio.read` returned for one, which also takes weights.
        example_input: [N, C, H, W] float32 of the deployed size; needed where no text says it.
        target: The runtime, a name of `TARGETS`; None: the recipe's, else "litert".
        data: Calibration images as the model wants them: a tensor [N, C, H, W], or an iterable of
            batches (a tensor, or a tuple of one and, maybe, class indices, which a search then
            judges by). Gone through once.
        evaluate: (images, labels), or an iterable of such batches; gone through once, at the end;
            it decides nothing. Of maps and the like: (images, targets), or images.
        recipe: A name, a .toml file or a Recipe; None: "auto".
        options: Everything else.

    Raises:
        RequestError: If something asked for is wrong; its kinds say what (intaglio.errors).
        MismatchError: If file and twin disagree: a defect of ours, the file is not handed out.
    """
    run = _run(recipe, target, options, data=data)
    source = _source(model, example_input, run.settings.seed)
    run = replace(run, options=_named(run.options, source))
    graph = run.recorder.step("capture", source.capture)
    return _noted(_compress_graph(graph, run, evaluate), source)


def _source(
    model: nn.Module | str | os.PathLike[str] | Source,
    example_input: Tensor | None,
    seed: int,
) -> Source:
    if not isinstance(model, Source):
        return read(model, example_input, seed=seed)
    if example_input is not None:
        raise RequestError("the network was read already, with its input: leave example_input out")
    return model


def _noted(result: Result, source: Source) -> Result:
    """Return the result with what the user should know about the network."""
    told = [*result.report.warnings, *source.notes]
    return replace(result, report=replace(result.report, warnings=told))


def _named(options: Options, source: Source) -> Options:
    """Return the options with the network's name, where the user gave it no other one."""
    where = options.provenance
    if where.model != Provenance.model:
        return options
    return replace(options, provenance=replace(where, model=source.name))


def compress_graph(
    captured: Graph,
    *,
    data: Data,
    target: str | None = None,
    evaluate: Any = None,
    recipe: str | Recipe | None = None,
    options: Options | None = None,
    steps: Sequence[StepRow] = (),
) -> Result:
    """Return the integer network of a graph that `capture` made: `compress` from there on.

    Args:
        steps: What was done before, to stand first in the report's steps.
    """
    run = _run(recipe, target, options, data=data, steps=steps)
    return _compress_graph(captured, run, evaluate)


@dataclass(frozen=True)
class _Run:
    """What one run was asked for, and its record; `settings` count, not `options`."""

    settings: Settings
    options: Options
    data: Data
    recorder: Recorder


def _run(
    recipe: str | Recipe | None,
    target: str | None,
    options: Options | None,
    *,
    data: Data | None,
    steps: Sequence[StepRow] = (),
) -> _Run:
    """Return what holds for a run, once it is certain that its recipe has what it needs."""
    chosen = recipe if isinstance(recipe, Recipe) else find_recipe(recipe or DEFAULT_RECIPE)
    wishes = options or Options()
    settings = settle(chosen, target, wishes)
    refuse_unmet_needs(chosen, _may_hold(data))
    assert data is not None, "every recipe needs images"
    return _Run(settings, wishes, data, Recorder(wishes.progress, list(steps)))


def _may_hold(data: Data | None) -> set[str]:
    """Return what data gives to steps as far as can be told without going through it."""
    if data is None:
        return {"task"}
    return {"images", "task"} | (set() if isinstance(data, Tensor) else {"labels"})


def _compress_graph(captured: Graph, run: _Run, evaluate: Any) -> Result:
    task, is_told = task_of(captured, evaluate, run.settings.task)
    run = replace(run, settings=replace(run.settings, task=task.name)) if is_told else run
    asked = run.settings.keep_float
    prepared, settings = prepare_network(captured, run.settings, run.recorder)
    run = replace(run, settings=settings)
    quantized, again = _quantized(captured, prepared, run)
    made = made_with_islands(
        prepared.graph, settings, lambda wished: _made(quantized(wished), run), again=again
    )
    outcome, twin, files = made.outcome, made.twin, made.files
    graph, settings, recorder = outcome.state.graph, outcome.settings, run.recorder
    counts = recorder.step(
        "check", lambda: settings.target.check(files, twin, outcome.seen.checked)
    )
    require_match(counts, settings.target.runtime)
    layers = recorder.step("measure layers", lambda: _measured(prepared, outcome, twin))
    integer = IntegerSide(
        size_bytes=sum(map(len, files.values())),
        logits_sqnr_db=_lowest_db(outcome, layers, _scores(graph)),
        sqnr_db=_by_output(captured, outcome),
        outputs=list(captured.output_names) or None,
    )
    report = replace(
        first_report(captured, outcome, counts, run.options),
        integer=integer,
        layers=layers,
        kept_float=_kept_float(outcome, asked),
        in_float=float_share(outcome, counts),
    )
    report = _examined(_warned(report, captured, outcome), captured, outcome, run)
    found = None
    if evaluate is not None:
        report, found = evaluated(
            report, captured, twin, task, recorder=recorder, evaluate=evaluate
        )
    report = _judged(report, outcome, found)
    report = replace(report, steps=recorder.steps, wording=task.wording)
    recipe = used_recipe(settings, run.options.provenance)
    return Result(graph, twin.encodings, settings.target, report, files, recipe, settings.io)


def _warned(report: Report, captured: Graph, outcome: Outcome) -> Report:
    """Return the report with a warning for each output of which little is left."""
    return replace(report, warnings=[*report.warnings, *poor_outputs(report, captured, outcome)])


def _judged(report: Report, outcome: Outcome, found: Judgement | None) -> Report:
    """Return the report with its verdict, and a warning where that is no good news."""
    verdict = verdict_of(report.check, wish_of(outcome.settings), outcome.judgement, found)
    is_told = bool(outcome.attempts) and found is None  # by the search itself
    told = [] if is_told else missed_wish(verdict, report.doctor or [], outcome.settings)
    return replace(report, verdict=verdict, warnings=[*report.warnings, *told])


def _by_output(captured: Graph, outcome: Outcome) -> list[float | None] | None:
    judgement = outcome.judgement
    return None if judgement is None else listed_sqnr_db(captured, judgement)


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


def _examined(report: Report, captured: Graph, outcome: Outcome, run: _Run) -> Report:
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
    captured: Graph, prepared: Prepared, run: _Run
) -> tuple[Callable[[Settings], Outcome], bool]:
    """Return what makes the network in integers, and whether it can do so more than once.

    Streaming where the recipe has no steps, else on held images, which are read here.
    """
    settings, data, recorder = run.settings, run.data, run.recorder
    recipe, device = settings.recipe, run.options.device
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


def _made(outcome: Outcome, run: _Run) -> Made:
    """Return an outcome with its twin and its files."""
    state, settings = outcome.state, outcome.settings
    twin = run.recorder.step(
        "build the twin", lambda: build_twin(state.graph, state.encodings, settings.target)
    )
    files = run.recorder.step("write", lambda: _written(state, settings, run.options))
    return Made(outcome, twin, files)


def _written(state: Quantized, settings: Settings, options: Options) -> dict[str, bytes]:
    where = options.provenance
    about = About(where.preprocess, where.labels, settings.scheme.name, where.model)
    return settings.target.write(state.graph, state.encodings, settings.io, about)


def _measured(prepared: Prepared, outcome: Outcome, twin: Twin) -> list[LayerRow]:
    """Return a row for each value; of the outputs, against the network that the user gave.

    Steps tune towards a reference of their own; where one of them altered the network's function,
    that says nothing of what was lost.
    """
    checked = outcome.seen.checked
    rows = measure_layers(outcome.state.reference, twin, checked)
    if not is_altered(outcome.settings.recipe.steps):
        return rows
    outputs = {*twin.graph.outputs, *_scores(twin.graph)}
    given = measure_layers(prepared.graph, twin, checked, values=outputs)
    return [other if own.name in outputs else own for own, other in zip(rows, given, strict=True)]


def _scores(graph: Graph) -> list[str]:
    """Return the outputs; where one is a softmax at the end, what it reads."""
    nodes = [graph[name] for name in graph.outputs]
    return [node.inputs[0] if is_float_tail(graph, node) else node.name for node in nodes]
