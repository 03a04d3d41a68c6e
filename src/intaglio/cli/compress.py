"""`intaglio compress`: the main job."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from intaglio.cli import options
from intaglio.cli.failures import tell_note
from intaglio.cli.images import Images
from intaglio.cli.progress import shown_progress
from intaglio.cli.request import (
    NO_DATA,
    calibration_data,
    default_place,
    known_device,
    settled_choices,
)
from intaglio.cli.screen import print_line, screen
from intaglio.cli.source import open_source
from intaglio.data.dataset import Dataset
from intaglio.data.images import open_dataset
from intaglio.data.labels import class_names
from intaglio.data.preprocess import Preprocess, describe
from intaglio.errors import IntaglioError
from intaglio.host.folder import claim_place, whole_folder
from intaglio.host.memory import peak_mb
from intaglio.host.progress import Progress
from intaglio.ir.graph import Graph
from intaglio.job.compress import compress_graph
from intaglio.job.result import Result
from intaglio.read.reader import Source
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.settings import Settings
from intaglio.report import StepRow, print_report
from intaglio.tasks.task import labelled_task_for, output_shapes


def compress(
    model: options.Model,
    weights: options.Weights = None,
    data: options.CalibrationData = None,
    evaluation: options.OptionalEvaluation = None,
    target: options.TargetName = None,
    scheme: options.SchemeName = None,
    recipe: options.RecipeName = None,
    calibrator: options.CalibratorName = None,
    out: options.Out = None,
    replace_older: options.Replace = False,
    preprocess: options.Preprocessing = None,
    input_shape: options.InputShape = None,
    limit: options.Limit = None,
    keep_float: options.KeepFloat = None,
    max_drop: options.MaxDrop = None,
    minutes: options.Minutes = None,
    io: options.FileForm = None,
    skip_bad_images: options.SkipBadImages = False,
    seed: options.Seed = None,
    device: options.Device = "cpu",
    as_json: options.AsJson = False,
) -> None:
    """Write the integer network of MODEL as a .tflite whose every bit is known, and a report."""
    wishes = Options(
        scheme=scheme,
        calibrator=calibrator,
        io=io,
        seed=seed,
        keep_float=tuple(keep_float or ()),
        max_drop=max_drop,
        minutes=minutes,
        device=known_device(device),
    )
    settled, most = settled_choices(recipe, target, limit, wishes)
    shown = Path(out or default_place(model, settled.scheme.name))
    place = claim_place(
        shown, replace=replace_older, apart=_read_paths(model, weights, data, evaluation)
    )
    if place.older is not None:
        tell_note(f"{shown} will be replaced at the end: {place.older}")

    def find() -> Source:
        return open_source(
            model,
            weights=weights,
            preprocess=preprocess,
            input_shape=input_shape,
            seed=settled.seed,
        )

    with whole_folder(place) as folder:
        request = _opened(
            data,
            evaluation,
            most,
            settled=settled,
            wishes=wishes,
            weights=weights,
            skip_bad=skip_bad_images,
        )
        result = _made(request, find, as_json=as_json)
        result.write_into(folder)
    _show(result, shown, as_json=as_json)


def _read_paths(
    model: str, weights: str | None, data: str | None, evaluation: str | None
) -> dict[str, str]:
    """Return the files and folders that the run reads, by the name of the option."""
    named = {"--data": data, "--eval": evaluation, "--weights": weights}
    if os.path.isfile(model):
        named["MODEL"] = model
    return {option: path for option, path in named.items() if path and path != NO_DATA}


@dataclass(frozen=True)
class _Request:
    """Everything but the network."""

    settled: Settings
    calibration: Dataset
    labels: tuple[str, ...]
    evaluation: Dataset | None
    wishes: Options
    weights: str | None
    skip_bad: bool

    def images(self, dataset: Dataset, network: Source) -> Images:
        return Images(dataset, network.preprocess, network.input_shape, self.skip_bad)


def _opened(
    data: str | None,
    evaluation: str | None,
    limit: int | None,
    *,
    settled: Settings,
    wishes: Options,
    weights: str | None,
    skip_bad: bool,
) -> _Request:
    """Return the request with its data sets looked through; no image is opened yet."""
    calibration = calibration_data(
        data,
        recipe=settled.recipe,
        evaluated=evaluation is not None,
        limit=limit,
        seed=settled.seed,
    )
    return _Request(
        settled=settled,
        calibration=calibration,
        labels=tuple(class_names(calibration.path) or ()),
        evaluation=open_dataset(evaluation, need_labels=True) if evaluation else None,
        wishes=wishes,
        weights=weights,
        skip_bad=skip_bad,
    )


def _made(request: _Request, find: Callable[[], Source], *, as_json: bool) -> Result:
    """Return the result; no failure of the system in it is taken for one of the output place."""
    request.settled.target.quiet()
    totals = {"evaluate": len(request.evaluation)} if request.evaluation else {}
    try:
        with shown_progress(as_json=as_json, totals=totals) as progress:
            return _compressed(request, find(), progress)
    except OSError as error:
        raise IntaglioError(f"the system failed: {error}") from error


def _compressed(request: _Request, network: Source, progress: Progress) -> Result:
    settled = request.settled
    calibration = request.images(request.calibration, network)
    calibration.try_first()
    evaluation = None
    if request.evaluation is not None:
        evaluation = request.images(request.evaluation, network)
        evaluation.try_first()
    graph, step = _captured(network, progress)
    if evaluation is not None:
        outputs = output_shapes(graph)
        labelled_task_for(outputs).labels(evaluation.dataset, outputs)  # refused before the work
    provenance = Provenance(
        model=network.name,
        data=str(request.calibration.path),
        images=len(calibration),
        preprocess=network.preprocess,
        labels=request.labels,
        skipped=calibration.skipped,
    )
    result = compress_graph(
        graph,
        data=calibration.batches(),
        target=settled.target.name,
        evaluate=None if evaluation is None else evaluation.labelled(),
        recipe=settled.recipe,
        options=replace(request.wishes, provenance=provenance, progress=progress),
        steps=(step,),
    )
    missed = [] if evaluation is None else evaluation.skipped
    return _annotated(result, request, network, missed)


def _captured(network: Source, progress: Progress) -> tuple[Graph, StepRow]:
    progress.begin("capture", None)
    began = time.perf_counter()
    try:
        graph = network.capture()
    finally:
        progress.end()
    return graph, StepRow("capture", time.perf_counter() - began, peak_mb())


def _annotated(result: Result, request: _Request, network: Source, missed: Sequence[str]) -> Result:
    """Return the result with what the command line knows beside the pipeline."""
    notes = list(network.notes)
    if missed:
        notes.append(f"{len(missed)} images of --eval were unreadable, first {missed[0]}")
    report = replace(result.report, warnings=[*result.report.warnings, *notes])
    shape = ",".join(map(str, network.input_shape))
    ran = {**result.recipe.ran, "weights": request.weights, "input_shape": shape}
    ran["preprocess"] = preprocess_text(network.preprocess)
    return replace(result, report=report, recipe=result.recipe.model_copy(update={"ran": ran}))


def preprocess_text(preprocess: Preprocess) -> str:
    """Return the text for --preprocess that says all four parts."""
    parts = {
        name: "/".join(map(repr, value)) if isinstance(value, list) else value or "none"
        for name, value in describe(preprocess).items()
    }
    return ",".join(f"{name}={value}" for name, value in parts.items())


def _show(result: Result, place: Path, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(result.report.to_json())
        return
    print_report(result.report, screen())
    print_line(f"The file: {place / result.target.file_name}")
    print_line(f"The report: {place / 'report.html'}")
