"""The main job: a trained network in, a checked integer file and its report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from intaglio.calibrate.float_islands import is_float_tail
from intaglio.data.batches import Data, FirstImages, image_batches
from intaglio.data.held import hold_images
from intaglio.doctor import findings_for_report
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.job.ladder import search
from intaglio.job.outcome import Outcome, evaluated, first_report, task_of, used_recipe
from intaglio.job.quantize import Prepared, calibrated, plan_of, prepare_network, quantize_network
from intaglio.job.recorder import Recorder
from intaglio.job.result import Result
from intaglio.methods.steps.state import State
from intaglio.read.module.export import capture
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe, find_recipe
from intaglio.recipe.settings import DEFAULT_RECIPE, Settings, settle
from intaglio.report.layers import measure_layers, output_sqnr_db
from intaglio.report.parts import Ailment
from intaglio.report.record import IntegerSide, KeptFloat, Report, Step
from intaglio.run.twin import build_twin
from intaglio.runtimes.litert.check import check_file, require_match
from intaglio.runtimes.litert.file.metadata import file_metadata, fitting_labels, with_labels
from intaglio.runtimes.litert.file.write import write_tflite

CHECK_IMAGES = 8
"""Images on which file and twin are compared and layers measured while compressing."""


def compress(
    model: nn.Module,
    example_input: Tensor,
    *,
    target: str | None = None,
    data: Data | None = None,
    evaluate: Any = None,
    recipe: str | Recipe | None = None,
    options: Options | None = None,
) -> Result:
    """Return the integer network of a trained module, checked bit for bit against its file.

    Args:
        model: A trained module with one image tensor in.
        example_input: [N, C, H, W] float32 of the size that it will be deployed at.
        target: The runtime, as `intaglio.targets.TARGETS` names it; None: the recipe's, else
            "litert".
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
    chosen = _chosen(recipe)
    wishes = options or Options()
    settings, recorder = settle(chosen, target, wishes), Recorder(wishes.progress)
    if data is None:
        raise RequestError(
            f"recipe '{chosen.name}' calibrates with images and there are none: give data"
            " (--data DIR)"
        )
    graph = recorder.step("capture", lambda: capture(model, example_input))
    run = _Run(settings, wishes, recorder)
    return _compress_graph(graph, run, data=data, evaluate=evaluate)


def compress_graph(
    captured: Graph,
    *,
    data: Data,
    target: str | None = None,
    evaluate: Any = None,
    recipe: str | Recipe | None = None,
    options: Options | None = None,
    steps: Sequence[Step] = (),
) -> Result:
    """Return the integer network of a graph that `capture` made: `compress` from there on.

    Args:
        steps: What was done before, to stand first in the report's steps.
    """
    wishes = options or Options()
    settings = settle(_chosen(recipe), target, wishes)
    run = _Run(settings, wishes, Recorder(wishes.progress, list(steps)))
    return _compress_graph(captured, run, data=data, evaluate=evaluate)


def _chosen(recipe: str | Recipe | None) -> Recipe:
    return recipe if isinstance(recipe, Recipe) else find_recipe(recipe or DEFAULT_RECIPE)


@dataclass(frozen=True)
class _Run:
    """What one run was asked for, and its record; `settings` count, not `options`."""

    settings: Settings
    options: Options
    recorder: Recorder


def _compress_graph(captured: Graph, run: _Run, *, data: Data, evaluate: Any) -> Result:
    task = task_of(captured, evaluate)
    prepared = prepare_network(captured, run.settings, run.recorder)
    outcome = _quantized(prepared, run, data)
    state, settings, recorder = outcome.state, outcome.settings, run.recorder
    graph, encodings = state.graph, state.encoded
    twin = recorder.step("build the twin", lambda: build_twin(graph, encodings, settings.target))
    content = recorder.step("write", lambda: _written(state, settings, run.options))
    counts = recorder.step("check", lambda: check_file(content, twin, outcome.checked))
    require_match(counts, twin)
    layers = recorder.step(
        "measure layers", lambda: measure_layers(state.reference, twin, outcome.checked)
    )
    report = replace(
        first_report(captured, outcome, counts, run.options),
        integer=IntegerSide(
            size_bytes=len(content), logits_sqnr_db=output_sqnr_db(layers, _scores(graph))
        ),
        layers=layers,
        kept_float=[KeptFloat(name, why) for name, why in state.planned.kept_float.items()],
    )
    report = _examined(report, captured, outcome, run)
    if evaluate is not None:
        report = evaluated(report, captured, twin, task, recorder=recorder, evaluate=evaluate)
    report = replace(report, steps=recorder.steps, wording=task.wording)
    recipe = used_recipe(settings, run.options.provenance)
    return Result(graph, encodings, settings.target, report, content, recipe, settings.io)


def _examined(report: Report, captured: Graph, outcome: Outcome, run: _Run) -> Report:
    """Return the report with what the doctor finds on the images that were checked."""
    images = torch.cat(list(outcome.checked))
    found = run.recorder.step(
        "diagnose",
        lambda: findings_for_report(
            captured,
            outcome.state,
            images,
            total=outcome.images,
            preprocess=run.options.provenance.preprocess,
        ),
        changed=lambda made: {"findings": len(made)},
    )
    plain = [finding.to_dict() for finding in found]
    ailments = [
        Ailment(row["cause"], row["layer"], row["evidence"], row["remedy"]) for row in plain
    ]
    return replace(report, doctor=ailments, doctor_images=len(images))


def _quantized(prepared: Prepared, run: _Run, data: Data) -> Outcome:
    """Return the network in integers: streaming where the recipe has no steps, else held images."""
    settings, recorder, device = run.settings, run.recorder, run.options.device
    recipe = settings.recipe
    shape = prepared.graph[prepared.graph.inputs[0]].shape[1:]
    if not recipe.search and not recipe.steps and not recipe.judged_share:
        graph = prepared.graph.copy()
        plan = plan_of(graph, settings)
        first = FirstImages(CHECK_IMAGES)
        state = State(graph, graph, prepared.statistics, plan)
        batches, total = first.of(image_batches(data, shape)), run.options.provenance.images
        state = calibrated(state, settings, batches, recorder, total=total, device=device)
        return Outcome(state, settings, first.kept, first.seen)
    held = recorder.step(
        "read images",
        lambda: hold_images(
            data,
            shape,
            count=settings.tuning_images,
            judged_share=recipe.judged_share,
            seed=settings.seed,
        ),
        changed=lambda made: {"tuning": len(made.tuning), "judged": len(made.judged)},
    )
    checked = [held.tuning[:CHECK_IMAGES]]
    seen = len(held.tuning) + len(held.judged)
    if not recipe.search:
        state = quantize_network(prepared, settings, held.tuning, recorder, device=device)
        return Outcome(state, settings, checked, seen)
    found = search(prepared, settings, held, recorder, device=device)
    return Outcome(found.state, found.settings, checked, seen, found.attempts, found.warnings)


def _written(state: State, settings: Settings, options: Options) -> bytes:
    graph, where = state.graph, options.provenance
    named = file_metadata(
        graph, where.preprocess, where.labels, scheme=settings.scheme, model=where.model
    )
    content = write_tflite(graph, state.encoded, settings.target, io=settings.io, metadata=named)
    return with_labels(content, fitting_labels(graph, where.labels))


def _scores(graph: Graph) -> list[str]:
    """Return the outputs; where one is a softmax at the end, what it reads."""
    nodes = [graph[name] for name in graph.outputs]
    return [node.inputs[0] if is_float_tail(graph, node) else node.name for node in nodes]
