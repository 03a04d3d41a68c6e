"""The main job: a trained network in, a checked integer file and its report out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any, TypeVar

from torch import Tensor, nn

from intaglio.batches import Data, FirstImages, image_batches, labelled_batches
from intaglio.calibrate import (
    CALIBRATORS,
    choose_encodings,
    make_plan,
    observe_ranges,
    trial_encodings,
)
from intaglio.calibrate.plan import Plan
from intaglio.capture import capture
from intaglio.cost.macs import count_macs, total_params
from intaglio.data.preprocess import describe
from intaglio.errors import RequestError
from intaglio.evaluate import Comparison, compare
from intaglio.export.tflite.check import CheckCounts, check_file, require_match
from intaglio.export.tflite.metadata import file_metadata, fitting_labels, with_labels
from intaglio.export.tflite.write import write_tflite
from intaglio.ir.graph import Graph
from intaglio.memory import peak_mb
from intaglio.numerics.encodings import Encodings
from intaglio.options import Options
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.lower import lower
from intaglio.progress import told
from intaglio.recipe import Recipe, find_recipe
from intaglio.report.layers import measure_layers, output_sqnr_db
from intaglio.report.record import (
    CheckResult,
    DataSource,
    FloatSide,
    IntegerSide,
    KeptFloat,
    Report,
    Step,
)
from intaglio.result import Result
from intaglio.run.float import run_float
from intaglio.run.integer import Twin, build_twin
from intaglio.settings import Settings, settle

CHECK_IMAGES = 8
"""Images on which file and twin are compared and layers measured while compressing."""

T = TypeVar("T")


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
            batches (a tensor, or a tuple whose first item is one). Gone through once.
        evaluate: (images, labels), or an iterable of such batches; gone through once, at the end;
            it decides nothing.
        recipe: A name, a .toml file or a Recipe; None: "plain".
        options: Everything else.

    Raises:
        RequestError: If something asked for is wrong; its kinds say what (intaglio.errors).
        MismatchError: If file and twin disagree: a defect of ours, the file is not handed out.
    """
    chosen = _chosen(recipe)
    run = _Run(settle(chosen, target, options or Options()), options or Options())
    if data is None:
        raise RequestError(
            f"recipe '{chosen.name}' calibrates with images and there are none: give data"
            " (--data DIR)"
        )
    graph = run.step("capture", lambda: capture(model, example_input))
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
    chosen = _chosen(recipe)
    run = _Run(settle(chosen, target, options or Options()), options or Options())
    run.steps.extend(steps)
    return _compress_graph(captured, run, data=data, evaluate=evaluate)


def _chosen(recipe: str | Recipe | None) -> Recipe:
    return recipe if isinstance(recipe, Recipe) else find_recipe(recipe or "plain")


@dataclass
class _Run:
    """What the steps of one run share: settled settings, and the record of what was done.

    `options` holds some of them as the user gave them; `settings` count.
    """

    settings: Settings
    options: Options
    steps: list[Step] = field(default_factory=list)

    def step(self, name: str, work: Callable[[], T], total: int | None = None) -> T:
        """Do one step: tell the progress, take the time, remember both."""
        self.options.progress.begin(name, total)
        began = time.perf_counter()
        try:
            made = work()
        finally:
            self.options.progress.end()
        seconds = time.perf_counter() - began
        self.steps.append(Step(name, seconds, peak_mb(), _changes(made)))
        return made


def _changes(made: object) -> Any:
    if isinstance(made, dict) and all(isinstance(value, int) for value in made.values()):
        return {name: count for name, count in made.items() if count}
    return None


def _compress_graph(captured: Graph, run: _Run, *, data: Data, evaluate: Any) -> Result:
    graph, target = captured.copy(), run.settings.target
    run.step("fold and fuse", lambda: canonicalize(graph))
    run.step("lower", lambda: lower(graph))
    plan = make_plan(graph, target, run.settings.scheme)
    # what the target cannot hold is refused before any image is decoded
    write_tflite(graph, trial_encodings(graph, plan, target), target)
    first = FirstImages(CHECK_IMAGES)
    encodings = _calibrate(graph, plan, run, data=data, first=first)
    twin = run.step("build the twin", lambda: build_twin(graph, encodings, target))
    content = run.step("write", lambda: _written(graph, encodings, run))
    counts = run.step("check", lambda: check_file(content, twin, first.kept))
    require_match(counts, twin)
    layers = run.step("measure layers", lambda: measure_layers(graph, twin, first.kept))
    report = replace(
        _report(captured, run, counts, images=first.seen),
        integer=IntegerSide(
            size_bytes=len(content),
            logits_sqnr_db=output_sqnr_db(layers, _integer_outputs(graph, plan)),
        ),
        layers=layers,
        kept_float=[KeptFloat(name, why) for name, why in plan.kept_float.items()],
    )
    if evaluate is not None:
        report = _evaluated(report, captured, twin, run=run, evaluate=evaluate)
    report = replace(report, steps=run.steps)
    return Result(graph, encodings, target, report, content, _used_recipe(run), run.settings.io)


def _written(graph: Graph, encodings: Encodings, run: _Run) -> bytes:
    where, settings = run.options.provenance, run.settings
    named = file_metadata(
        graph, where.preprocess, where.labels, scheme=settings.scheme, model=where.model
    )
    content = write_tflite(graph, encodings, settings.target, io=settings.io, metadata=named)
    return with_labels(content, fitting_labels(graph, where.labels))


def _calibrate(graph: Graph, plan: Plan, run: _Run, *, data: Data, first: FirstImages) -> Encodings:
    shape = graph[graph.inputs[0]].shape[1:]
    calibrator = CALIBRATORS[run.settings.calibrator]

    def observed() -> Any:
        batches = told(first.of(image_batches(data, shape)), run.options.progress.advance)
        return observe_ranges(
            graph, plan, batches, calibrator=calibrator, device=run.options.device
        )

    ranges = run.step("calibrate", observed, run.options.provenance.images)
    return run.step("encode", lambda: choose_encodings(graph, plan, ranges, run.settings.target))


def _report(captured: Graph, run: _Run, counts: CheckCounts, *, images: int) -> Report:
    where, settings, target = run.options.provenance, run.settings, run.settings.target
    params = total_params(captured)
    granularity = "per-tensor" if settings.scheme.endswith("-per-tensor") else "per-channel"
    return Report(
        intaglio=metadata.version("intaglio"),
        model=where.model,
        target=target.name,
        runtime=target.runtime,
        scheme=f"{settings.scheme.removesuffix('-per-tensor')} {granularity}",
        data=DataSource(where.data or "tensors", images, settings.seed, len(where.skipped)),
        preprocess=describe(where.preprocess) if where.preprocess else {},  # type: ignore[arg-type]
        float=FloatSide(4 * params, sum(count_macs(captured).values()), params),
        integer=IntegerSide(),
        check=CheckResult(counts.images, counts.values_compared, counts.mismatches, target.runtime),
        warnings=_warnings(counts, run),
    )


def _integer_outputs(graph: Graph, plan: Plan) -> list[str]:
    return [graph[name].inputs[0] if name in plan.kept_float else name for name in graph.outputs]


def _warnings(counts: CheckCounts, run: _Run) -> list[str]:
    found = []
    if run.settings.target.delegated and (counts.partitions != 1 or counts.builtin):
        ops = ", ".join(sorted(set(counts.builtin)))
        found.append(
            f"{len(counts.builtin)} ops ({ops}) run outside the delegate, in {counts.partitions}"
            " partitions: exact, but slower"
        )
    skipped = run.options.provenance.skipped
    if skipped:
        found.append(f"{len(skipped)} unreadable images were passed over, first {skipped[0]}")
    return found


def _evaluated(report: Report, captured: Graph, twin: Twin, *, run: _Run, evaluate: Any) -> Report:
    shape = captured[captured.inputs[0]].shape[1:]

    def work() -> Comparison:
        return compare(
            lambda images: run_float(captured, images)[0],
            lambda images: _single(twin(images)),
            labelled_batches(evaluate, shape),
            seen=run.options.progress.advance,
        )

    found = run.step("evaluate", work)
    first, second = found.first, found.second
    return replace(
        report,
        float=replace(report.float, top1=first.top1, top5=first.top5, n=first.n),
        integer=replace(
            report.integer,
            top1=second.top1,
            top5=second.top5,
            n=second.n,
            agreement=found.agreement,
        ),
    )


def _single(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    if isinstance(outputs, Tensor):
        return outputs
    raise RequestError(
        f"accuracy needs a classifier with one output, this network has {len(outputs)}:"
        " leave --eval out"
    )


def _used_recipe(run: _Run) -> Recipe:
    where, settings = run.options.provenance, run.settings
    ran: dict[str, str | int | float | bool | None] = {"model": where.model, "data": where.data}
    return settings.recipe.model_copy(
        update={
            "calibrator": settings.calibrator,
            "target": settings.target.name,
            "scheme": settings.scheme,
            "io": settings.io,
            "seed": settings.seed,
            "limit": where.images,
            "ran": ran,
        }
    )
