"""`intaglio evaluate`: the accuracy of a file, run by its runtime."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from torch import Tensor

from intaglio.cli import options
from intaglio.cli.images import Images
from intaglio.cli.progress import shown_progress
from intaglio.cli.saved import open_saved
from intaglio.cli.screen import print_json, print_line
from intaglio.cli.source import parse_input_shape
from intaglio.data.dataset import Dataset, check_labels
from intaglio.data.images import open_dataset
from intaglio.errors import RequestError
from intaglio.host.progress import told
from intaglio.targets.runtime import Runner
from intaglio.tasks.classify import Accuracy, Network, accuracy

BACKGROUND_CLASSES = 1001
"""TensorFlow's ImageNet classifiers: class 0 is the background, and all others are one further."""


def evaluate(
    file: Annotated[
        str,
        typer.Argument(
            metavar="DIR|FILE.tflite", help="A saved result, or any file.", show_default=False
        ),
    ],
    evaluation: options.Evaluation,
    preprocess: options.Preprocessing = None,
    input_shape: options.InputShape = None,
    target: options.TargetName = None,
    skip_bad_images: options.SkipBadImages = False,
    as_json: options.AsJson = False,
) -> None:
    """Report the top-1 and top-5 accuracy of a .tflite file on its own runtime."""
    saved = open_saved(file, target)
    dataset = open_dataset(evaluation, need_labels=True)
    with saved.target.open(saved.files, where=str(saved.path)) as network:
        if parse_input_shape(input_shape) not in (None, network.input_shape):
            raise RequestError(
                f"{saved.path} takes {list(network.input_shape)}, not --input-shape {input_shape}:"
                " leave it out"
            )
        prepared = saved.preprocess(preprocess)
        images = Images(dataset, prepared, network.input_shape, skip_bad_images)
        scores = _without_background(network, dataset, str(saved.path))
        found = _accuracy(scores, images, as_json=as_json)
    content: dict[str, Any] = {
        "top1": round(found.top1, 2),
        "top5": round(found.top5, 2),
        "n": found.n,
        "runtime": saved.target.runtime,
    }
    if images.skipped:
        content["skipped"] = len(images.skipped)
    _show(content, str(saved.path), as_json=as_json)


def _accuracy(scores: Network, images: Images, *, as_json: bool) -> Accuracy:
    with shown_progress(as_json=as_json) as progress:
        progress.begin("evaluate", len(images))
        found = accuracy(
            scores, told(images.labelled(), progress.advance, size=lambda pair: len(pair[1]))
        )
        progress.end()
    return found


def _without_background(network: Runner, dataset: Dataset, where: str) -> Network:
    """Return the file's scores for the data set's classes.

    Raises:
        RequestError: If it is no classifier.
        DataError: If a class index is none of the file's.
    """
    classes = _classes(network, where)
    labels = [item.label for item in dataset.items if item.label is not None]
    first = 1
    if classes != BACKGROUND_CLASSES or max(labels, default=0) >= BACKGROUND_CLASSES - 1:
        check_labels(dataset, classes)
        first = 0

    def scores(images: Tensor) -> Tensor:
        found = network(images)[0].flatten(1)
        if found.shape[1] != classes:
            raise RequestError(f"the file gives {found.shape[1]} scores and says {classes}")
        return found[:, first:]

    return scores


def _classes(network: Runner, where: str) -> int:
    sizes = [size for shape in network.output_shapes[:1] for size in shape if size != 1]
    if len(network.output_shapes) != 1 or len(sizes) != 1:
        raise RequestError(
            f"{where}: gives {[list(shape) for shape in network.output_shapes]}, not the"
            " scores of one classifier [1, classes]: accuracy is not defined for it"
        )
    return sizes[0]


def _show(content: dict[str, Any], path: str, *, as_json: bool) -> None:
    if as_json:
        print_json(content)
        return
    print_line(f"{path} on {content['runtime']}")
    print_line(f"top-1 {content['top1']:.2f} %, top-5 {content['top5']:.2f} %, n = {content['n']}")
    if "skipped" in content:
        print_line(f"{content['skipped']} unreadable images were passed over")
