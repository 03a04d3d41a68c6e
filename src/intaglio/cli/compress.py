"""`intaglio compress`: the main job."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from intaglio.cli.failures import tell_note
from intaglio.cli.images import Images
from intaglio.cli.options import CompressRequest
from intaglio.cli.progress import shown_progress
from intaglio.cli.request import (
    NO_DATA,
    calibration_data,
    default_place,
    known_device,
    settled_choices,
)
from intaglio.cli.screen import screen
from intaglio.cli.source import open_source
from intaglio.cli.train_options import TrainRequest
from intaglio.data.dataset import Dataset
from intaglio.data.images import open_dataset
from intaglio.data.labels import class_names
from intaglio.data.preprocess import Preprocess, describe
from intaglio.errors import IntaglioError, one_line
from intaglio.host.folder import claim_place, whole_folder
from intaglio.host.memory import peak_mb
from intaglio.host.progress import Progress
from intaglio.ir.graph import Graph
from intaglio.job.compress import compress_graph
from intaglio.job.quantize import most_used
from intaglio.job.result import Result
from intaglio.read.reader import Source
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.settings import WISHES, Settings
from intaglio.report import StepRow, print_report
from intaglio.store.weights import file_and_part
from intaglio.tasks.task import output_shapes, task_for


def run(request: CompressRequest) -> None:
    """Write the result's folder, and show its report.

    Raises:
        RequestError: If something asked for is wrong, or cannot be used.
    """
    wishes = _wishes(request)
    settled, limit = settled_choices(request.recipe, request.target, request.limit, wishes)
    shown = Path(request.out or default_place(request.model, settled.scheme.name))
    place = claim_place(shown, replace=request.replace_older, apart=read_paths(request))
    if place.older is not None:
        tell_note(f"{shown} will be replaced at the end: {place.older}")
    with whole_folder(place) as folder:
        result = _made(_opened(request, wishes, settled, limit=limit))
        result.write_into(folder)
    _show(result, shown, as_json=request.as_json)


def _wishes(request: CompressRequest) -> Options:
    """Return what is asked for in place of the recipe's words."""
    said = {name: getattr(request, name) for name in WISHES}
    said["keep_float"] = tuple(request.keep_float or ())
    said["allow_float"] = request.allow_float or None  # a flag left out says nothing
    return Options(**said, device=known_device(request.device))


def read_paths(request: CompressRequest | TrainRequest) -> dict[str, str]:
    """Return the files and folders that the run reads, by the name of the option."""
    named = {"--data": request.data, "--eval": request.evaluation}
    if request.weights:
        named["--weights"] = str(file_and_part(request.weights)[0])
    if os.path.isfile(request.model):
        named["MODEL"] = request.model
    return {option: path for option, path in named.items() if path and path != NO_DATA}


@dataclass(frozen=True)
class _Job:
    """Everything but the network: wishes settled, data sets opened."""

    request: CompressRequest
    wishes: Options
    settled: Settings
    calibration: Dataset
    labels: tuple[str, ...]
    evaluation: Dataset | None

    def network(self) -> Source:
        """Return the network that was named, its weights loaded."""
        return open_source(
            self.request.model,
            weights=self.request.weights,
            preprocess=self.request.preprocess,
            input_shape=self.request.input_shape,
            seed=self.settled.seed,
        )

    def images(self, dataset: Dataset, network: Source) -> Images:
        """Return a data set as the network takes it."""
        skip_bad = self.request.skip_bad_images
        return Images(dataset, network.preprocess, network.input_shape, skip_bad)


def _opened(
    request: CompressRequest, wishes: Options, settled: Settings, *, limit: int | None
) -> _Job:
    """Return the job of a request with its data sets looked through; no image is opened yet."""
    calibration = calibration_data(
        request.data,
        recipe=settled.recipe,
        evaluated=request.evaluation is not None,
        limit=limit,
        seed=settled.seed,
    )
    evaluation = request.evaluation
    return _Job(
        request=request,
        wishes=wishes,
        settled=settled,
        calibration=calibration,
        labels=tuple(class_names(calibration.path) or ()),
        evaluation=open_dataset(evaluation) if evaluation else None,
    )


def _made(job: _Job) -> Result:
    """Return the result; no failure of the system in it is taken for one of the output place."""
    job.settled.target.quiet()
    totals = {"evaluate": len(job.evaluation)} if job.evaluation else {}
    try:
        with shown_progress(as_json=job.request.as_json, totals=totals) as progress:
            return _compressed(job, job.network(), progress)
    except OSError as error:
        raise IntaglioError(f"the system failed: {error}") from error


def _compressed(job: _Job, network: Source, progress: Progress) -> Result:
    settled = job.settled
    calibration = job.images(job.calibration, network)
    calibration.try_first()
    evaluation = None
    if job.evaluation is not None:
        evaluation = job.images(job.evaluation, network)
        evaluation.try_first()
    graph, step = captured(network, progress)
    wishes, judged = job.wishes, None
    if evaluation is not None:  # what is wrong with the labels is told before the work
        task = task_for(output_shapes(graph), name=settled.task)
        judged = evaluation.for_task(task, output_shapes(graph))
        wishes = replace(wishes, task=task.name)
    used = calibration.drawn(most_used(settled, graph), settled.seed)
    provenance = Provenance(
        model=network.name,
        data=str(job.calibration.path),
        images=len(used),
        offered=len(calibration),
        preprocess=network.preprocess,
        labels=job.labels,
        skipped=used.skipped,
    )
    result = compress_graph(
        graph,
        data=used.batches(),
        target=settled.target.name,
        evaluate=judged,
        recipe=settled.recipe,
        options=replace(wishes, provenance=provenance, progress=progress),
        steps=(step,),
    )
    missed = [] if evaluation is None else evaluation.skipped
    return _annotated(result, job, network, missed)


def captured(network: Source, progress: Progress) -> tuple[Graph, StepRow]:
    """Return a network's graph, and the row of the report on how it was captured."""
    progress.begin("capture", None)
    began = time.perf_counter()
    try:
        graph = network.capture()
    finally:
        progress.end()
    return graph, StepRow("capture", time.perf_counter() - began, peak_mb())


def _annotated(result: Result, job: _Job, network: Source, missed: Sequence[str]) -> Result:
    """Return the result with what the command line knows beside the pipeline."""
    notes = list(network.notes)
    if missed:
        notes.append(f"{len(missed)} images of --eval were unreadable, first {missed[0]}")
    report = replace(result.report, warnings=[*result.report.warnings, *notes])
    shape = ",".join(map(str, network.input_shape))
    ran = {**result.recipe.ran, "weights": job.request.weights, "input_shape": shape}
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
    files = {"file": result.target.file_name} if result.files else {}
    files["report"] = "report.html"
    written = [one_line(f"The {what}: {place / name}") for what, name in files.items()]
    print_report(result.report, screen(), closing=written)
