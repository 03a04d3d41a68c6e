"""`intaglio compress`: the main job."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from intaglio.cli.beside import ran_with, unreadable
from intaglio.cli.compressed import Job, Work, of_graph, of_whole
from intaglio.cli.failures import tell_note
from intaglio.cli.labelled import has_masks
from intaglio.cli.options import CompressRequest
from intaglio.cli.progress import shown_progress
from intaglio.cli.request import (
    NO_DATA,
    calibration_data,
    default_place,
    known_device,
    read_paths,
    settled_choices,
)
from intaglio.cli.screen import screen
from intaglio.data.images import open_dataset
from intaglio.data.labels import names_of
from intaglio.errors import IntaglioError, one_line
from intaglio.host.folder import claim_place, whole_folder
from intaglio.host.place import Place
from intaglio.host.progress import Progress
from intaglio.host.training import drop_training, has_stages
from intaglio.job.compress import captured_or_cut, with_postprocess
from intaglio.job.kept import is_kept, refuse_nothing, refuse_resume
from intaglio.job.maps import with_maps
from intaglio.job.recorder import Recorder
from intaglio.job.result import Result
from intaglio.read.module.core_whole import Whole
from intaglio.read.reader import Source
from intaglio.recipe.options import Options
from intaglio.recipe.settings import WISHES, Settings
from intaglio.report import print_report


def run(request: CompressRequest) -> None:
    """Write the result's folder, and show its report.

    Raises:
        RequestError: If something asked for is wrong, or cannot be used.
    """
    wishes = _wishes(request)
    settled, limit = settled_choices(
        request.recipe,
        request.target,
        request.limit,
        wishes,
        has_images=request.data != NO_DATA,
    )
    shown = Path(request.out or default_place(request.model, settled.scheme.name))
    wishes = replace(wishes, out=shown, resume=request.resume)
    refuse_resume(wishes, settled.recipe, has_images=request.data != NO_DATA)
    place = claim_place(shown, replace=request.replace_older, apart=_read_paths(request))
    _tell_of(place, shown, wishes, settled)
    with whole_folder(place) as folder:
        result = _made(_opened(request, wishes, settled, limit=limit))
        result.write_into(folder)
    if result.kept is not None:
        drop_training(result.kept)
    _show(result, shown, as_json=request.as_json)


def _tell_of(place: Place, shown: Path, wishes: Options, settled: Settings) -> None:
    """Tell what becomes of what is at a place and beside it.

    Raises:
        RequestError: If the run is to go on, and nothing is there to go on with.
    """
    if place.older is not None:
        tell_note(f"{shown} will be replaced at the end: {place.older}")
    if wishes.resume:
        refuse_nothing(place)
    elif has_stages(place) and is_kept(settled.recipe):
        tell_note(
            f"a run for {shown} that was not finished is dropped when this one begins; --resume"
            " would have gone on with it"
        )


def _read_paths(request: CompressRequest) -> dict[str, str]:
    return read_paths(request.model, request.weights, request.data, request.evaluation)


def _wishes(request: CompressRequest) -> Options:
    """Return what is asked for in place of the recipe's words."""
    said = {name: getattr(request, name) for name in WISHES}
    said["keep_float"] = tuple(request.keep_float or ())
    said["allow_float"] = request.allow_float or None  # a flag left out says nothing
    return Options(**said, device=known_device(request.device))


def _opened(
    request: CompressRequest, wishes: Options, settled: Settings, *, limit: int | None
) -> Job:
    """Return the job of a request with its data sets looked through; no image is opened yet."""
    calibration = calibration_data(
        request.data, settled, evaluated=request.evaluation is not None, limit=limit
    )
    evaluation = open_dataset(request.evaluation) if request.evaluation else None
    # class names stand in the file, and what it is evaluated on does not change a file of integers
    named = calibration or (evaluation if settled.scheme.is_half else None)
    return Job(
        request=request,
        wishes=wishes,
        settled=settled,
        calibration=calibration,
        labels=names_of(named) if named else (),
        evaluation=evaluation,
    )


def _made(job: Job) -> Result:
    """Return the result; no failure of the system in it is taken for one of the output place."""
    job.settled.target.quiet()
    totals = {"evaluate": len(job.evaluation)} if job.evaluation else {}
    try:
        with shown_progress(as_json=job.request.as_json, totals=totals) as progress:
            return _compressed(job, job.network(), progress)
    except OSError as error:
        raise IntaglioError(f"the system failed: {error}") from error


def _compressed(job: Job, network: Source, progress: Progress) -> Result:
    calibration = evaluation = None
    job = job.labelled_for(network)
    if job.calibration is not None:
        calibration = job.images(job.calibration, network)
        calibration.try_first()
    if job.evaluation is not None:
        evaluation = job.images(job.evaluation, network)
        if job.request.data != NO_DATA:  # else none is opened before the network is made
            evaluation.try_first()
    work = Work(job, network, calibration, evaluation, Recorder(progress))
    captured = work.recorder.step("capture", lambda: captured_or_cut(network))
    network = with_postprocess(network, captured)
    if isinstance(captured, Whole):
        made = of_whole(replace(work, network=network), captured)
    else:
        masked = has_masks(job.evaluation)
        network, graph = with_maps(network, captured, task=job.settled.task, is_masked=masked)
        made = of_graph(replace(work, network=network), graph)
    missed = [] if evaluation is None else evaluation.skipped
    return _annotated(made, job, network, missed)


def _annotated(result: Result, job: Job, network: Source, missed: Sequence[str]) -> Result:
    """Return the result with what the command line knows beside the pipeline."""
    notes = [*network.notes, *unreadable(missed)]
    report = replace(result.report, warnings=[*result.report.warnings, *notes])
    return replace(
        result, report=report, recipe=ran_with(result.recipe, network, job.request.weights)
    )


def _show(result: Result, place: Path, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(result.report.to_json())
        return
    files = {"file": result.target.file_name} if result.files else {}
    files["report"] = "report.html"
    written = [one_line(f"The {what}: {place / name}") for what, name in files.items()]
    print_report(result.report, screen(), closing=written)
