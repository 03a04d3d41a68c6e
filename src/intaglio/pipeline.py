"""The main job: a trained network in, a checked integer file and its report out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from intaglio.batches import Data, FirstImages, image_batches, labelled_batches
from intaglio.calibrate import CALIBRATORS, choose_encodings, make_plan, observe_ranges
from intaglio.calibrate.plan import Plan
from intaglio.capture import capture
from intaglio.cost.macs import count_macs, total_params
from intaglio.data.preprocess import describe
from intaglio.errors import RequestError, UnknownName
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
from intaglio.targets import TARGETS, Target

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
    run = _settled(chosen, target, options or Options())
    if data is None:
        raise RequestError(
            f"recipe '{chosen.name}' calibrates with images and there are none: give data"
            " (--data DIR)"
        )
    graph = run.step("capture", lambda: capture(model, example_input))
    return _compress_graph(graph, run, data=data, evaluate=evaluate, recipe=chosen)


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
    run = _settled(chosen, target, options or Options())
    run.steps.extend(steps)
    return _compress_graph(captured, run, data=data, evaluate=evaluate, recipe=chosen)


def _chosen(recipe: str | Recipe | None) -> Recipe:
    return recipe if isinstance(recipe, Recipe) else find_recipe(recipe or "plain")


@dataclass
class _Run:
    """What the steps of one run share: settled settings, and the record of what was done.

    `options` also holds scheme, io and seed as the user gave them; these here count.
    """

    target: Target
    options: Options
    scheme: str
    io: str
    seed: int
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


def _settled(recipe: Recipe, target: str | None, options: Options) -> _Run:
    """Settle each choice: what the caller says, else what the recipe says, else the default."""
    io = options.io or recipe.io or "float"
    if io not in ("float", "int8"):
        raise UnknownName(f"unknown io '{io}': the file takes and gives float or int8")
    seeds = (options.seed, recipe.seed, 0)
    return _Run(
        TARGETS[target or recipe.target or "litert"],
        options,
        options.scheme or recipe.scheme or "w8a8",
        io,
        next(seed for seed in seeds if seed is not None),
    )


def _changes(made: object) -> Any:
    if isinstance(made, dict) and all(isinstance(value, int) for value in made.values()):
        return {name: count for name, count in made.items() if count}
    return None


def _compress_graph(
    captured: Graph, run: _Run, *, data: Data, evaluate: Any, recipe: Recipe
) -> Result:
    graph = captured.copy()
    run.step("fold and fuse", lambda: canonicalize(graph))
    run.step("lower", lambda: lower(graph))
    plan = make_plan(graph, run.target, run.scheme)
    _refuse_unheld(graph, plan, run.target)
    first = FirstImages(CHECK_IMAGES)
    encodings = _calibrate(graph, plan, run, data=data, first=first, recipe=recipe)
    twin = run.step("build the twin", lambda: build_twin(graph, encodings, run.target))
    content = run.step("write", lambda: _written(graph, encodings, run))
    counts = run.step("check", lambda: check_file(content, twin, first.kept))
    require_match(counts, twin)
    report = _report(captured, graph, twin, run=run, content=content)
    report = replace(
        report,
        data=DataSource(
            run.options.provenance.data or "tensors",
            first.seen,
            run.seed,
            len(run.options.provenance.skipped),
        ),
        check=_check_result(counts, run.target),
        kept_float=[KeptFloat(name, why) for name, why in plan.kept_float.items()],
        warnings=_warnings(counts, run),
    )
    layers = run.step("measure layers", lambda: measure_layers(graph, twin, first.kept))
    sqnr = output_sqnr_db(layers, _integer_outputs(graph, plan))
    integer = replace(report.integer, logits_sqnr_db=sqnr)
    report = replace(report, layers=layers, integer=integer, steps=run.steps)
    if evaluate is not None:
        report = _evaluated(report, captured, twin, run=run, evaluate=evaluate)
    used = _used_recipe(recipe, run)
    return Result(graph, encodings, run.target, report, content, used, run.io)


def _written(graph: Graph, encodings: Encodings, run: _Run) -> bytes:
    where = run.options.provenance
    told = file_metadata(
        graph, where.preprocess, where.labels, scheme=run.scheme, model=where.model
    )
    content = write_tflite(graph, encodings, run.target, io=run.io, metadata=told)
    return with_labels(content, fitting_labels(graph, where.labels))


def _calibrate(
    graph: Graph,
    plan: Plan,
    run: _Run,
    *,
    data: Data,
    first: FirstImages,
    recipe: Recipe,
) -> Encodings:
    shape = graph[graph.inputs[0]].shape[1:]
    calibrator = CALIBRATORS[run.options.calibrator or recipe.calibrator]

    def observed() -> Any:
        batches = _told(first.of(image_batches(data, shape)), run)
        return observe_ranges(
            graph, plan, batches, calibrator=calibrator, device=run.options.device
        )

    ranges = run.step("calibrate", observed, run.options.provenance.images)
    return run.step("encode", lambda: choose_encodings(graph, plan, ranges, run.target))


def _told(batches: Iterable[Tensor], run: _Run) -> Iterable[Tensor]:
    for batch in batches:
        yield batch
        run.options.progress.advance(len(batch))


def _refuse_unheld(graph: Graph, plan: Plan, target: Target) -> None:
    """Refuse what the target cannot hold before any image is decoded, with ranges of a dry run."""
    zeros = {name: (torch.tensor(-1.0), torch.tensor(1.0)) for name in plan.activations}
    from_zeros = choose_encodings(graph, plan, zeros, replace(target, arithmetic="reference"))
    write_tflite(graph, from_zeros, target)


def _report(captured: Graph, graph: Graph, twin: Twin, *, run: _Run, content: bytes) -> Report:
    where = run.options.provenance
    params = total_params(captured)
    granularity = "per-tensor" if run.scheme.endswith("-per-tensor") else "per-channel"
    return Report(
        intaglio=metadata.version("intaglio"),
        model=where.model,
        target=run.target.name,
        runtime=run.target.runtime,
        scheme=f"{run.scheme.removesuffix('-per-tensor')} {granularity}",
        data="none",
        preprocess=describe(where.preprocess) if where.preprocess else {},  # type: ignore[arg-type]
        float=FloatSide(4 * params, sum(count_macs(captured).values()), params),
        integer=IntegerSide(size_bytes=len(content)),
    )


def _integer_outputs(graph: Graph, plan: Plan) -> list[str]:
    return [graph[name].inputs[0] if name in plan.kept_float else name for name in graph.outputs]


def _check_result(counts: CheckCounts, target: Target) -> CheckResult:
    return CheckResult(counts.images, counts.values_compared, counts.mismatches, target.runtime)


def _warnings(counts: CheckCounts, run: _Run) -> list[str]:
    found = []
    if run.target.delegated and (counts.partitions != 1 or counts.builtin):
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
        steps=run.steps,
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


def _used_recipe(recipe: Recipe, run: _Run) -> Recipe:
    where, options = run.options.provenance, run.options
    ran: dict[str, str | int | float | bool | None] = {"model": where.model, "data": where.data}
    return recipe.model_copy(
        update={
            "calibrator": options.calibrator or recipe.calibrator,
            "target": run.target.name,
            "scheme": run.scheme,
            "io": run.io,
            "seed": run.seed,
            "limit": where.images,
            "ran": ran,
        }
    )
