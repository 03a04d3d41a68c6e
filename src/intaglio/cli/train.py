"""`intaglio train`: a network trained in integers, or in float."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import typer

from intaglio.cli.beside import ran_with, unreadable
from intaglio.cli.curves import charted
from intaglio.cli.failures import WRONG_REQUEST, tell_note
from intaglio.cli.images import Images
from intaglio.cli.labelled import has_masks, labelled_for
from intaglio.cli.learning import learning_options
from intaglio.cli.progress import shown_progress
from intaglio.cli.request import default_place, known_device, learning_data, read_paths
from intaglio.cli.screen import print_json, print_line, screen
from intaglio.cli.source import open_named
from intaglio.cli.train_options import TrainRequest
from intaglio.data.dataset import Dataset
from intaglio.data.image_samples import ImageSamples
from intaglio.data.images import open_dataset
from intaglio.data.labels import class_names
from intaglio.data.part import Unlabelled
from intaglio.data.samples import Samples
from intaglio.errors import IntaglioError, one_line
from intaglio.host.files import TRAIN_MARK
from intaglio.host.folder import claim_place
from intaglio.host.hidden import training_name
from intaglio.host.place import Place, find_spot, needs_replace
from intaglio.host.progress import Progress, Silent
from intaglio.host.strict_json import read_json
from intaglio.host.training import drop_training, has_training
from intaglio.ir.graph import Graph
from intaglio.job.compress import captured_or_cut
from intaglio.job.maps import with_maps
from intaglio.job.recorder import Recorder
from intaglio.job.teach import Session
from intaglio.job.train import check_labels, train_graph
from intaglio.job.train_whole import train_whole
from intaglio.job.trained import WEIGHTS, TrainResult
from intaglio.job.training import TrainRun, TrainWish, wished
from intaglio.methods.learn.precision import check_precision
from intaglio.methods.learn.processes import Processes, joined_processes
from intaglio.read.module.core_whole import Whole
from intaglio.read.reader import Source
from intaglio.recipe.options import Options, Provenance
from intaglio.report import print_report
from intaglio.report.words import figure_text
from intaglio.store.weights import file_and_part
from intaglio.tasks.detect.detect import DETECT
from intaglio.tasks.own import own_task
from intaglio.tasks.task import Task, output_shapes, task_for, wording_of

OPTIONS = ("epochs", "minutes", "batch", "lr", "precision", "distill", "seed")
"""What the command line may say of `TrainOptions`, by the same names."""

Made = TypeVar("Made")


def run(request: TrainRequest) -> None:
    """Train, write the result's folder, and show what came of it.

    Raises:
        RequestError: If something asked for is wrong, or cannot be used.
    """
    known_device(request.device)
    with joined_processes(request.device) as processes:
        wish = in_step(processes, lambda: _wish(request))
        in_step(processes, lambda: check_precision(wish.options, processes.device))
        shown = Path(request.out or default_place(request.model, wish.scheme_name))
        place = in_step(processes, lambda: _place(shown, request, wish, processes))
        if place is None:
            _show_done(shown, as_json=request.as_json and processes.is_first)
            return
        result = _made(request, wish, place, processes)
        if processes.is_first:
            result.save(place)
            _show(result, shown, as_json=request.as_json)


def in_step(processes: Processes, work: Callable[[], Made]) -> Made:
    """Return what work makes, in each process; what fails in the first one, it alone tells.

    Raises:
        Exit: If it failed in the first one and this is another.
        IntaglioError: As the work does.
    """
    error, made = None, list[Made]()
    try:
        made.append(work())
    except IntaglioError as raised:
        error = raised
    if processes.agreed(error is not None) and not processes.is_first:
        raise typer.Exit(WRONG_REQUEST)
    if error is not None:
        raise error
    return made[0]


def _wish(request: TrainRequest) -> TrainWish:
    """Return what is asked for, all names known."""
    options = learning_options(request, OPTIONS)
    choices = Options(
        calibrator=request.calibrator,
        seed=request.seed,
        keep_float=tuple(request.keep_float or ()),
        task=request.task,
        provenance=Provenance(model=request.model, data=str(Path(request.data))),
    )
    run = TrainRun(recipe=request.recipe, target=request.target, choices=choices)
    return wished(run, scheme=request.scheme, method=request.method, options=options)


def _place(
    shown: Path, request: TrainRequest, wish: TrainWish, processes: Processes
) -> Place | None:
    """Return the place of the result; None where it is there already, whole.

    Raises:
        OutputError: If something is there that is not to be replaced; says what.
    """
    if not processes.is_first:
        is_done = processes.agreed(False)
        return None if is_done else Place(find_spot(shown, {}), replace=True, older=None)
    apart = read_paths(request.model, request.weights, request.data, request.evaluation)
    if request.backbone_weights is not None:
        apart["--backbone-weights"] = str(file_and_part(request.backbone_weights)[0])
    place = claim_place(shown, replace=request.replace_older or request.resume, apart=apart)
    is_done = request.resume and place.older is not None and _is_done(place.spot.path, wish)
    if place.older is not None and not is_done and not request.replace_older:
        raise needs_replace(place.spot, place.older)
    processes.agreed(is_done)
    if is_done:
        drop_training(training_name(place.spot))
        tell_note(f"{shown} holds the whole result of this training: nothing is left to do")
        return None
    if place.older is not None:
        tell_note(f"{shown} will be replaced at the end: {place.older}")
    if has_training(place) and not request.resume:
        tell_note(
            f"a training for {shown} that was not finished is dropped when this one first saves its"
            " state; --resume would have gone on with it"
        )
    elif request.resume and not has_training(place):
        tell_note(f"there is no training for {shown} to go on with: it begins")
    return place


def _is_done(folder: Path, wish: TrainWish) -> bool:
    """Whether a result is what this training would end with, as far as its words say."""
    try:
        record = read_json(folder / TRAIN_MARK)
    except (OSError, ValueError):
        return False
    ran = record.get("run") if isinstance(record, dict) else None
    if not isinstance(ran, dict):
        return False
    same = {name: ran.get(name) for name in ran if name != "weights"} == wish.about()
    return same and record.get("options") == wish.options.model_dump(exclude_none=True)


@dataclass(frozen=True, eq=False)
class _Job:
    """A request with everything opened.

    Attributes:
        request, wish: What is asked.
        network: With what the user should know of it and of the data.
        taken: Its graph, or the detector cut into cores.
        recorder: Of what was done so far.
        samples: To learn from.
        evaluation: To measure on.
        task: What it is for.
    """

    request: TrainRequest
    wish: TrainWish
    network: Source
    taken: Graph | Whole
    recorder: Recorder
    samples: Samples
    evaluation: Images | None
    task: Task


def _made(
    request: TrainRequest, wish: TrainWish, place: Place, processes: Processes
) -> TrainResult:
    """Return the result; no failure of the system in it is taken for one of the output place."""
    if not wish.is_float:
        wish.settings.target.quiet()
    try:
        with _progress(request, processes) as progress:
            job = in_step(processes, lambda: _opened(request, wish, progress, processes))
            return _trained(job, place, progress, processes)
    except OSError as error:
        raise IntaglioError(f"the system failed: {error}") from error


@contextmanager
def _progress(request: TrainRequest, processes: Processes) -> Iterator[Progress]:
    """Give the progress that is shown; of several processes the first one's alone."""
    if not processes.is_first:
        yield Silent()
        return
    with shown_progress(as_json=request.as_json) as progress:
        if request.tensorboard is None:
            yield progress
            return
        with charted(progress, Path(request.tensorboard)) as both:
            yield both


def _opened(
    request: TrainRequest, wish: TrainWish, progress: Progress, processes: Processes
) -> _Job:
    """Return the job of a request; what is wrong with its data is told here.

    Raises:
        RequestError: If the network or the data cannot be used.
    """
    settings = wish.settings
    limit = request.limit if request.limit is not None else settings.recipe.limit
    dataset = learning_data(request.data, limit, settings.seed)
    evaluated = open_dataset(request.evaluation) if request.evaluation else None
    network = open_named(request, settings.seed, backbone_weights=request.backbone_weights)
    dataset = labelled_for(dataset, network.postprocess, settings.task)
    evaluated = evaluated and labelled_for(evaluated, network.postprocess, settings.task)
    notes = [*dataset.notes, *(evaluated.notes if evaluated else ())]
    if processes.is_first:
        for note in notes:
            tell_note(note)
    network = replace(network, notes=(*network.notes, *notes))
    skip_bad = request.skip_bad_images
    samples: Samples = ImageSamples(
        dataset, network.preprocess, network.input_shape, skip_bad=skip_bad
    )
    evaluation = None
    if evaluated is not None:
        evaluation = Images(evaluated, network.preprocess, network.input_shape, skip_bad)
        evaluation.try_first()
    recorder = Recorder(progress)
    taken = recorder.step("capture", lambda: captured_or_cut(network))
    job = _Job(request, wish, network, taken, recorder, samples, evaluation, DETECT)
    return job if isinstance(taken, Whole) else _of_graph(job, taken, dataset)


def _of_graph(job: _Job, graph: Graph, dataset: Dataset) -> _Job:
    """Return the job of a network that was captured, with the task that it learns for."""
    samples, name = job.samples, job.wish.settings.task
    network, graph = with_maps(job.network, graph, task=name, is_masked=has_masks(dataset))
    own = own_task(network.postprocess, dataset.categories)
    task = task_for(output_shapes(graph), name=name, own=own)
    if not task.needs_labels:  # those of a data set are class indices
        samples = Unlabelled(samples)
    elif dataset.labelled:
        task.labels(dataset, output_shapes(graph))
    check_labels(graph, task, samples, job.wish.options)
    return replace(job, network=network, taken=graph, samples=samples, task=task)


def _trained(job: _Job, place: Place, progress: Progress, processes: Processes) -> TrainResult:
    wish, network, request, taken = job.wish, job.network, job.request, job.taken
    provenance = replace(
        wish.choices.provenance,
        model=network.name,
        preprocess=network.preprocess,
        labels=tuple(class_names(Path(request.data)) or ()),
        postprocess=network.postprocess,
    )
    wish = replace(wish, choices=replace(wish.choices, provenance=provenance, progress=progress))
    session = Session(taken, network, job.recorder, processes, place, request.resume)
    judged = None
    if isinstance(taken, Whole):
        if job.evaluation is not None:
            judged = job.evaluation.labelled()
        return _annotated(train_whole(session, wish, job.samples, judged), job)
    if job.evaluation is not None:
        judged = job.evaluation.for_task(job.task, output_shapes(taken))
    settings = replace(wish.settings, task=job.task.name, own_task=job.task)
    result = train_graph(session, replace(wish, settings=settings), job.samples, judged)
    return _annotated(result, job)


def _annotated(result: TrainResult, job: _Job) -> TrainResult:
    """Return the result with what the command line knows beside the pipeline."""
    notes = [] if job.evaluation is None else unreadable(job.evaluation.skipped)
    request = job.request
    recipe = ran_with(
        result.recipe,
        job.network,
        request.weights,
        backbone_weights=request.backbone_weights,
    )
    recipe = recipe.model_copy(update={"limit": len(job.samples)})
    record = {**result.record, "warnings": [*result.record["warnings"], *notes]}
    whole = result.result
    if whole is not None:
        report = replace(whole.report, warnings=[*whole.report.warnings, *notes])
        whole = replace(whole, report=report, recipe=recipe)
    return replace(result, result=whole, record=record, recipe=recipe)


def _show(result: TrainResult, place: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(result.record)
        return
    files = {"weights": WEIGHTS, "training": TRAIN_MARK}
    if result.result is not None:
        files |= {"report": "report.html"}
        if result.result.files:
            files |= {"file": result.result.target.file_name}
    lines = [*told(result), *(f"The {what}: {place / name}" for what, name in files.items())]
    if result.result is not None:
        print_report(result.result.report, screen(), closing=list(map(one_line, lines)))
        return
    for line in lines:
        print_line(line)
    for warning in result.record["warnings"]:
        print_line(f"Warning: {warning}")


def told(result: TrainResult) -> list[str]:
    """Return lines on what training did."""
    record = result.record
    steps = f"Trained: {record['steps']:,} steps, {record['epochs']:.4g} epochs"
    lines = [f"{steps}, {record['seconds']:.0f} s"]
    stated = result.recipe.task
    wording = wording_of(stated)
    for name, value in record["final"].items():
        if name in record["start"] and wording.knows(name):
            figure = wording.of(name)
            before = figure_text(figure, record["start"][name])
            after = f"{figure_text(figure, value)} after it (n = {record['final']['n']})"
            lines.append(f"{figure.title}: {before} before training, {after}")
    return lines


def _show_done(place: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(read_json(place / TRAIN_MARK))
