"""`intaglio evaluate`: the accuracy of a file, run by its runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from intaglio.cli.images import Images
from intaglio.cli.labelled import labelled_for, post_told
from intaglio.cli.options import EvaluateRequest
from intaglio.cli.progress import shown_progress
from intaglio.cli.saved import SavedFile, open_saved
from intaglio.cli.screen import print_json, print_line
from intaglio.cli.source import parse_input_shape
from intaglio.data.dataset import Dataset
from intaglio.data.images import open_dataset, require_labels
from intaglio.errors import RequestError
from intaglio.host.progress import told
from intaglio.ir.graph import BATCH
from intaglio.report.words import figure_text
from intaglio.targets.runtime import Runner
from intaglio.tasks.classify import Classify, without_background
from intaglio.tasks.crf.parameters import DEEPLAB_VOC, Crf
from intaglio.tasks.evaluate import evaluate
from intaglio.tasks.own import own_task
from intaglio.tasks.pieces import images_at_once
from intaglio.tasks.task import Shapes, Task, task_for


def run(request: EvaluateRequest) -> None:
    """Run the file over the labelled images, and show its figures.

    Raises:
        RequestError: If the file or the images cannot be used, or do not go together.
    """
    saved = open_saved(request.file, request.target)
    if saved.result is not None and saved.result.core:
        raise RequestError(
            f"{saved.path} is a part of a detector whose own Python prepares its pictures and reads"
            " its outputs, which no file holds: use 'intaglio compress MODEL --eval', or in Python"
            " load(place, module=...).module()"
        )
    dataset = open_dataset(request.evaluation)
    if saved.result is not None:
        stated, post = saved.result.report.task, saved.result.postprocess
        dataset = labelled_for(dataset, post, stated, crf=request.crf)
    with saved.opened() as network:
        if parse_input_shape(request.input_shape) not in (None, network.input_shape):
            raise RequestError(
                f"{saved.path} takes {list(network.input_shape)}, not --input-shape"
                f" {request.input_shape}: leave it out"
            )
        prepared = saved.preprocess(request.preprocess)
        images = Images(dataset, prepared, network.input_shape, request.skip_bad_images)
        outputs = _shapes(network)
        task = _task(saved, outputs, dataset, crf=DEEPLAB_VOC if request.crf else None)
        found = _figures(network, outputs, task, images, as_json=request.as_json)
    content: dict[str, Any] = {name: _rounded(task, name, found[name]) for name in found}
    content["runtime"] = saved.runs_on
    if images.skipped:
        content["skipped"] = len(images.skipped)
    _show(content, str(saved.path), task, as_json=request.as_json)


def _task(saved: SavedFile, outputs: Shapes, dataset: Dataset, *, crf: Crf | None) -> Task:
    """Return the task of a file: the one that its report states, else the first that fits.

    Raises:
        RequestError: If it has no figures of one network alone.
    """
    stated = saved.result.report.task if saved.result else None
    post = saved.result.postprocess if saved.result else None
    post = post or post_told(dataset, outputs)
    task = task_for(outputs, name=stated, own=own_task(post, dataset.categories, crf=crf))
    if not task.needs_labels:
        raise RequestError(
            f"{saved.path}: a file alone has no figures where the task is '{task.name}', which"
            " compares outputs with the float network's: use 'intaglio compress MODEL --eval',"
            " which has both"
        )
    return task


def _shapes(network: Runner) -> list[tuple[int, ...]]:
    """Return the shapes of the outputs, the batch first.

    Axes of one entry are left out where one other is there: many files give [1, 1, 1, classes].
    """
    found = []
    for shape in network.output_shapes:
        sizes = [size for size in shape[1:] if size != 1]
        found.append((BATCH, *(sizes if len(sizes) == 1 else shape[1:])))
    return found


def _figures(
    network: Runner,
    outputs: list[tuple[int, ...]],
    task: Task,
    images: Images,
    *,
    as_json: bool,
) -> dict[str, float]:
    labels = task.labels(require_labels(images.dataset), outputs)
    seen: Callable[[Tensor], Sequence[Tensor]] = _reshaped(network, outputs)
    if isinstance(task, Classify):
        seen = without_background(seen, outputs, labels)
    with shown_progress(as_json=as_json) as progress:
        progress.begin("evaluate", len(images))
        labelled = images.labelled(images_at_once(outputs))
        batches = told(labelled, progress.advance, size=lambda pair: len(pair[1]))
        found = evaluate(seen, batches, task)
        progress.end()
    return found


def _reshaped(network: Runner, outputs: list[tuple[int, ...]]) -> Callable[[Tensor], list[Tensor]]:
    def reshaped(images: Tensor) -> list[Tensor]:
        """Return the outputs for images [N, C, H, W], in those shapes."""
        found = network(images)
        return [
            value.reshape(len(value), *shape[1:])
            for value, shape in zip(found, outputs, strict=True)
        ]

    return reshaped


def _rounded(task: Task, name: str, value: float) -> float:
    digits = task.wording.of(name).digits
    return value if digits is None else round(value, digits)


def _show(content: dict[str, Any], path: str, task: Task, *, as_json: bool) -> None:
    if as_json:
        print_json(content)
        return
    print_line(f"{path} on {content['runtime']}")
    figures = {name: task.wording.of(name) for name in content if task.wording.knows(name)}
    said = [f"{told.short} {figure_text(told, content[name])}" for name, told in figures.items()]
    print_line(", ".join([*said, f"n = {content['n']}"]))
    if "skipped" in content:
        print_line(f"{content['skipped']} unreadable images were passed over")
