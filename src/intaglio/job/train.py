"""Training a network in integers, or in float, from end to end."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intaglio.data.given import first_image, samples_of
from intaglio.data.samples import Samples
from intaglio.errors import DataError
from intaglio.host.folder import claim_place
from intaglio.host.place import Place, find_spot
from intaglio.host.progress import Silent
from intaglio.ir.graph import Graph
from intaglio.job.compress import captured_or_cut, named, source_of
from intaglio.job.maps import are_of_pixels, with_maps
from intaglio.job.outcome import task_of
from intaglio.job.recorder import Recorder
from intaglio.job.teach import Session, kept, trained_float, trained_integer
from intaglio.job.train_whole import train_whole
from intaglio.job.trained import TrainResult
from intaglio.job.training import TrainRun, TrainWish, fingerprint, wished
from intaglio.methods.learn.feed import check_changes
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.precision import check_precision
from intaglio.methods.learn.processes import Processes
from intaglio.methods.train.ground import Ground
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.core_whole import Whole
from intaglio.read.reader import Source
from intaglio.recipe.settings import Settings
from intaglio.tasks.segment.segment import Segment
from intaglio.tasks.task import Task, output_shapes, task_for

LOOKED_AT = 64
"""Images of the data that are looked at before any work."""


def train(
    model: nn.Module | str | os.PathLike[str] | Source,
    *,
    data: Any,
    evaluate: Any = None,
    scheme: str | None = None,
    method: str | None = None,
    options: TrainOptions | None = None,
    run: TrainRun | None = None,
) -> TrainResult:
    """Return a network after training, in integers or in float.

    Args:
        model: As `compress` takes it; what it takes is shown by the data.
        data: Images to learn from, as the model wants them: (images, labels) as tensors, a data set
            of the map style, or `Samples`. Some of them are held out and watch the training.
        evaluate: As `compress` takes it; read once, at the end; it decides nothing.
        scheme: "float", or how the network is quantized; None: the recipe's, else "w8a8".
        method: What learns, and how grids follow: "lsq" (the default), "lsq+", "pact",
            "moving-average", "held", "fixed" or "exact".
        options: How it learns.
        run: What else there is to say.

    Raises:
        RequestError: If something asked for is wrong; its kinds say what (intaglio.errors).
        MismatchError: If file and twin disagree: a defect of ours, nothing is handed out.
    """
    run = run or TrainRun()
    wish = wished(run, scheme=scheme, method=method, options=options)
    check_precision(wish.options, run.processes.device)
    source = source_of(model, _example(model, data), wish.settings.seed)
    recorder = Recorder(wish.choices.progress if run.processes.is_first else Silent())
    graph = recorder.step("capture", lambda: captured_or_cut(source))
    session = Session(graph, source, recorder, run.processes, _place(run), run.resume)
    if isinstance(graph, Whole):
        samples = samples_of(data, source.input_shape[1:])
        return train_whole(session, _brought(wish, source, data), samples, evaluate)
    samples = samples_of(data, graph[graph.inputs[0]].shape[1:])
    session = _mapped(session, graph, samples, wish)
    return train_graph(session, _brought(wish, session.source, data), samples, evaluate)


def _mapped(session: Session, graph: Graph, samples: Samples, wish: TrainWish) -> Session:
    """Return the session with what the labels say of the outputs, where they are masks."""
    is_masked = are_of_pixels(samples.take([0]).labels, graph)
    source, graph = with_maps(session.source, graph, task=wish.settings.task, is_masked=is_masked)
    return replace(session, taken=graph, source=source)


def _brought(wish: TrainWish, source: Source, data: Any) -> TrainWish:
    """Return the wish with what network and data bring: name, task, categories of boxes."""
    choices = named(wish.choices, source)
    where = choices.provenance
    categories = where.categories or getattr(data, "categories", ())
    choices = replace(choices, provenance=replace(where, categories=categories))
    settings = replace(wish.settings, own_task=choices.provenance.task)
    return replace(wish, choices=choices, settings=settings)


def _example(model: object, data: Any) -> Tensor | None:
    """Return an image of the size that a module is captured with; None where its source has one."""
    return first_image(data) if isinstance(model, nn.Module) else None


def train_graph(session: Session, wish: TrainWish, data: Any, evaluate: Any) -> TrainResult:
    """Return a captured network after training; arguments as of `train`."""
    graph = session.captured
    samples = samples_of(data, graph[graph.inputs[0]].shape[1:])
    task = hardened(_task(graph, samples, evaluate, wish.settings), wish.options.hard)
    check_labels(graph, task, samples, wish.options)
    evaluate = evaluate if session.processes.is_first else None
    with kept(session) as (folder, resume):
        ground = Ground(
            samples,
            task,
            reference=_canonical(graph),
            place=folder,
            resume=resume,
            about={**wish.about(), "weights": fingerprint(graph)},
            processes=session.processes,
            progress=session.recorder.progress,
        )
        work = trained_float if wish.is_float else trained_integer
        return work(session, wish, ground, evaluate)


def _task(captured: Graph, samples: Samples, evaluate: Any, settings: Settings) -> Task:
    """Return the task: what the user says, else what the labels are."""
    if evaluate is None and settings.task is None:
        shapes = output_shapes(captured)
        return task_for(shapes, samples.take([0]).labels, own=settings.own_task)
    task, _ = task_of(captured, evaluate, settings)
    return task


def hardened(task: Task, share: float) -> Task:
    """Return a task whose loss is of the hardest pixels, a `share` of them at least; 0: of all."""
    return replace(task, hard_share=share) if share and isinstance(task, Segment) else task


def check_labels(captured: Graph, task: Task, samples: Samples, options: TrainOptions) -> None:
    """Make sure, before any work, that the first images have the labels that training needs.

    Raises:
        DataError: If there are none, or one is none of the network's.
        RequestError: If the task has no loss for the network, or not with these options.
    """
    taken = samples.take(range(min(LOOKED_AT, len(samples))))
    count = len(taken.indices)
    if not count:
        return
    if taken.labels is None:
        if options.distill < 1.0:
            raise DataError(
                f"{samples.name}: there are no labels to learn from: give some, or learn from the"
                " float network alone (--distill, TrainOptions(distill=1.0))"
            )
        return
    outputs = [torch.zeros(count, *shape[1:]) for shape in output_shapes(captured)]
    task.check(outputs, taken.labels)
    check_changes(options, taken.labels)
    if options.distill < 1.0:  # what a loss refuses, it refuses of one image
        one = samples.take(taken.indices[:1])
        task.loss([output[:1] for output in outputs], one.labels, smoothing=options.smoothing)


def _place(run: TrainRun) -> Place | None:
    return None if run.out is None else _claimed(run.out, run.processes)


def _claimed(out: str | Path, processes: Processes) -> Place:
    """Return the place of a result; the first process alone puts right what killed runs left."""
    if processes.is_first:
        return claim_place(out, replace=True)
    return Place(find_spot(out, {}), replace=True, older=None)


def _canonical(captured: Graph) -> Graph:
    graph = captured.copy()
    canonicalize(graph)
    return graph
