"""`intaglio surgery`: a trained network, rewritten so that it quantizes well by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from intaglio.cli.beside import ran_with, unreadable
from intaglio.cli.failures import tell_note
from intaglio.cli.images import Images
from intaglio.cli.labelled import has_masks, labelled_for
from intaglio.cli.learning import learning_options
from intaglio.cli.progress import shown_progress
from intaglio.cli.request import default_place, known_device, learning_data, read_paths
from intaglio.cli.screen import print_json, print_line
from intaglio.cli.source import open_named
from intaglio.cli.surgery_options import SurgeryRequest
from intaglio.data.images import open_dataset
from intaglio.data.labels import names_of
from intaglio.errors import IntaglioError
from intaglio.host.folder import claim_place, whole_folder
from intaglio.host.progress import Progress
from intaglio.job.maps import with_maps
from intaglio.job.operated import PROGRAM, SURGERY_MARK, SurgeryResult
from intaglio.job.recorder import Recorder
from intaglio.job.surgery import SurgeryWish, operate, wished_surgery
from intaglio.job.trained import WEIGHTS
from intaglio.read.reader import Source
from intaglio.recipe.options import Options, Provenance
from intaglio.tasks.task import output_shapes, task_for

OPTIONS = ("epochs", "batch", "lr", "seed")
"""What the command line may say of fine-tuning, by the names of `TrainOptions`."""


def run(request: SurgeryRequest) -> None:
    """Operate, write the result's folder, and show the price list.

    Raises:
        RequestError: If something asked for is wrong, or cannot be used.
    """
    wish = _wish(request)
    shown = Path(request.out or default_place(request.model, request.to))
    apart = read_paths(request.model, request.weights, request.data, request.evaluation)
    place = claim_place(shown, replace=request.replace_older, apart=apart)
    if place.older is not None:
        tell_note(f"{shown} will be replaced at the end: {place.older}")
    wish.settings.target.quiet()
    with whole_folder(place) as folder:
        try:
            with shown_progress(as_json=request.as_json) as progress:
                result = _operated(request, wish, progress)
        except OSError as error:
            raise IntaglioError(f"the system failed: {error}") from error
        result.write_into(folder)
    _show(result, shown, as_json=request.as_json)


def _wish(request: SurgeryRequest) -> SurgeryWish:
    """Return what is asked for, all names known."""
    options = learning_options(request, OPTIONS)
    choices = Options(
        scheme=request.scheme,
        seed=request.seed,
        keep_float=tuple(request.keep_float or ()),
        task=request.task,
        device=known_device(request.device),
    )
    return wished_surgery(request.to, options, choices, request.target)


def _operated(request: SurgeryRequest, wish: SurgeryWish, progress: Progress) -> SurgeryResult:
    seed, skip_bad = wish.settings.seed, request.skip_bad_images
    network = open_named(request, seed)
    shape, preprocess = network.input_shape, network.preprocess
    dataset = learning_data(request.data, request.limit, seed)
    images = Images(dataset, preprocess, shape, skip_bad)
    images.try_first()
    evaluation = _judging(request, network, wish)
    recorder = Recorder(progress)
    graph = recorder.step("capture", network.capture)
    masked = has_masks(evaluation.dataset if evaluation else None)
    network, graph = with_maps(network, graph, task=wish.settings.task, is_masked=masked)
    judged: Any = None
    own = Provenance(
        postprocess=network.postprocess,
        categories=evaluation.dataset.categories if evaluation else (),
    )
    wish = replace(wish, settings=replace(wish.settings, own_task=own.task))
    if evaluation is not None:
        task = task_for(output_shapes(graph), name=wish.settings.task, own=own.task)
        judged = evaluation.for_task(task, output_shapes(graph))
        wish = replace(wish, settings=replace(wish.settings, task=task.name))
    provenance = replace(
        own,
        model=network.name,
        data=str(dataset.path),
        images=len(images),
        preprocess=preprocess,
        labels=names_of(dataset),
        skipped=images.skipped,
    )
    wish = replace(wish, choices=replace(wish.choices, provenance=provenance, progress=progress))
    made = operate(graph, network, wish, data=images.batches(), evaluate=judged, recorder=recorder)
    whole = made.result
    notes = unreadable(evaluation.skipped if evaluation is not None else [])
    report = replace(whole.report, warnings=[*whole.report.warnings, *notes])
    recipe = ran_with(whole.recipe, network, request.weights)
    record = {**made.record, "warnings": [*made.record["warnings"], *notes]}
    return replace(made, result=replace(whole, report=report, recipe=recipe), record=record)


def _judging(request: SurgeryRequest, network: Source, wish: SurgeryWish) -> Images | None:
    """Return the images of --eval; None without them."""
    if request.evaluation is None:
        return None
    dataset = open_dataset(request.evaluation)
    dataset = labelled_for(dataset, network.postprocess, wish.settings.task)
    images = Images(dataset, network.preprocess, network.input_shape, request.skip_bad_images)
    images.try_first()
    return images


def _show(result: SurgeryResult, place: Path, *, as_json: bool) -> None:
    record = result.record
    if as_json:
        print_json(record)
        return
    for row in record["steps"]:
        print_line(_line(row))
    for warning in record["warnings"]:
        print_line(f"Warning: {warning}")
    files = {"report": "report.html", "price list": SURGERY_MARK, "float network": PROGRAM}
    files |= {"weights": WEIGHTS}
    for what, name in files.items():
        print_line(f"The {what}: {place / name}")


def _line(row: dict[str, Any]) -> str:
    """Return a row of the price list in words."""
    told = [f"{row['change']}: {_figures(row)}"]
    if "before_fine_tuning" in row:
        told.append(f"before fine-tuning {_figures(row['before_fine_tuning'])}")
    if row["why"]:
        told.append(str(row["why"]))
    return "; ".join(told)


def _figures(row: dict[str, Any]) -> str:
    """Return the first figure that both networks have, of each."""
    for key, value in row.items():
        name = key.removeprefix("integer_")
        if name != key and f"float_{name}" in row:
            real = row[f"float_{name}"]
            shown = [f"{one:.2f}" if one is not None else "all" for one in (real, value)]
            return f"{name} float {shown[0]}, integer {shown[1]} (n = {row['n']})"
    return "no figure"
