"""The two ways of training: in integers, where compressing has it in its midst, and in float."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any, TypeVar

import torch
from torch import Tensor

from intaglio.data.samples import Samples
from intaglio.host.place import Place
from intaglio.host.processor import processor_name
from intaglio.host.progress import Silent
from intaglio.ir.graph import Graph
from intaglio.job.compress import noted
from intaglio.job.outcome import Outcome, told_figures, used_recipe
from intaglio.job.produce import Product, Run, produce
from intaglio.job.quantize import most_used, named_layers, prepare_float, split_by
from intaglio.job.recorder import Recorder
from intaglio.job.trained import TrainResult, plain
from intaglio.job.training import TrainWish, by_user_names, ran_recipe
from intaglio.methods.learn.lesson import Learned
from intaglio.methods.learn.processes import ALONE, Processes
from intaglio.methods.train.ground import Ground
from intaglio.methods.train.qat import Trained, TrainedFloat, train_float, train_quantized
from intaglio.read.reader import Source
from intaglio.recipe.settings import Settings
from intaglio.run.float import run_float
from intaglio.tasks.detect.split_outputs import whole_weights
from intaglio.tasks.evaluate import side_by_side
from intaglio.tasks.pieces import evaluation_batches
from intaglio.tasks.task import Task

TAKEN_AT_ONCE = 64

Made = TypeVar("Made", Trained, TrainedFloat)


@dataclass(frozen=True, eq=False)
class Session:
    """Where and on what a training runs.

    Attributes:
        captured: The network.
        source: Where it is from.
        recorder: Told of each step.
        processes: That train together.
        place: Where the result is going to be; None: nothing is kept.
        resume: Whether to go on with what is kept beside it.
    """

    captured: Graph
    source: Source
    recorder: Recorder
    processes: Processes = ALONE
    place: Place | None = None
    resume: bool = False


def trained_integer(
    session: Session, wish: TrainWish, ground: Ground, evaluate: Any
) -> TrainResult:
    """Return the network trained in integers: what compressing makes, with training in it."""
    settings = replace(wish.settings, task=ground.task.name)

    def taught(outcome: Outcome, run: Run) -> Outcome:
        """Return the outcome after training; its reference is the float network of the weights."""
        method = wish.method
        assert method is not None, "there are grids"
        trained = _told(
            run.recorder,
            lambda: train_quantized(
                outcome.state, ground, wish.options, target=outcome.settings.target, method=method
            ),
        )
        prepared = replace(trained.state.prepared, reference=trained.state.graph)
        state = replace(trained.state, prepared=prepared)
        warnings = [*outcome.warnings, *remarks(trained.learned, ground.samples)]
        return replace(
            outcome,
            state=state,
            trained=trained,
            start=outcome.state,
            judgement=None,
            warnings=warnings,
        )

    data = _calibration(session, wish, ground.samples)
    device = ground.processes.device
    run = Run(settings, replace(wish.choices, device=device), data, session.recorder, taught)
    product = produce(session.captured, run, evaluate)
    trained = product.outcome.trained
    assert trained is not None, "it was taught"
    recipe = ran_recipe(product.result.recipe, wish, _epochs(trained.learned, wish))
    result = replace(noted(product.result, session.source), recipe=recipe)
    record = record_of(session, wish, ground, trained.learned, _measured(product))
    record["warnings"] = list(result.report.warnings)
    weights = by_user_names(_joined(session, settings, trained.weights), session.source.tensors)
    return TrainResult(result, weights, record, recipe, ground.place)


def _joined(
    session: Session, settings: Settings, weights: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """Return trained weights, those of layers that were split put together again."""
    post = split_by(settings)
    if post is None:
        return weights
    return whole_weights(session.captured, post, weights, whole=named_layers(settings))


def _calibration(session: Session, wish: TrainWish, samples: Samples) -> Sequence[Any]:
    """Return the images, with labels, from which the integers are made: a seeded part, drawn."""
    settings = wish.settings
    wanted = most_used(settings, session.captured) or settings.tuning_images
    generator = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(len(samples), generator=generator)[:wanted].sort().values.tolist()
    taken = [
        samples.take(order[start : start + TAKEN_AT_ONCE])
        for start in range(0, len(order), TAKEN_AT_ONCE)
    ]
    return [
        part.images if not isinstance(part.labels, Tensor) else (part.images, part.labels)
        for part in taken
        if len(part.indices)
    ]


def _measured(product: Product) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures before and after training."""
    report, start = product.result.report, dict(product.start)
    if report.integer.n is None:
        return start, {}
    final: dict[str, Any] = {**report.integer.figures, "n": report.integer.n}
    if "sqnr_db" in start:
        final["sqnr_db"] = report.integer.sqnr_db
    return start, final


def trained_float(session: Session, wish: TrainWish, ground: Ground, evaluate: Any) -> TrainResult:
    """Return the network trained in float."""
    captured, recorder = session.captured, session.recorder
    state = prepare_float(captured)
    trained = _told(recorder, lambda: train_float(state, ground, wish.options))
    start, final = dict[str, Any](), dict[str, Any]()
    if evaluate is not None:
        start, final = recorder.step(
            "evaluate",
            lambda: _both_figures(session, trained, ground.task, evaluate),
            changed=lambda made: None,
        )
    record = record_of(session, wish, ground, trained.learned, (start, final))
    record["warnings"] = [
        *session.source.notes,
        *remarks(trained.learned, ground.samples),
    ]
    used = used_recipe(wish.settings, wish.choices.provenance)
    used = used.model_copy(update={"scheme": wish.scheme_name, "io": None, "target": None})
    recipe = ran_recipe(used, wish, _epochs(trained.learned, wish))
    weights = by_user_names(trained.weights, session.source.tensors)
    return TrainResult(None, weights, record, recipe, ground.place)


def _both_figures(
    session: Session, trained: TrainedFloat, task: Task, evaluate: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures of the network that was given, and of the trained one."""
    captured, after = session.captured, trained.state.graph

    def given(images: Tensor) -> list[Tensor]:
        """Return the outputs of the network that was given."""
        return run_float(captured, images)

    before, now = side_by_side(
        given,
        [given, lambda images: run_float(after, images)],
        evaluation_batches(task, evaluate, captured),
        task,
        names=captured.output_titles,
        seen=session.recorder.progress.advance,
    )
    return told_figures(captured, before), told_figures(captured, now)


def _told(recorder: Recorder, work: Callable[[], Made]) -> Made:
    """Do the training as a step of the record; it tells the progress itself."""
    return Recorder(Silent(), recorder.steps).step(
        "train",
        work,
        changed=lambda made: {"steps": made.learned.steps, "epochs": round(made.learned.epochs, 3)},
    )


def remarks(learned: Learned, samples: Samples) -> list[str]:
    """Return what the user should know: of a training that went back, of images passed over."""
    told = [f"training: {event.what}" for event in learned.events] if learned.rolled_back else []
    if samples.skipped:
        told.append(
            f"{len(samples.skipped)} unreadable images were passed over, first:"
            f" {samples.skipped[0]}"
        )
    return told


def _epochs(learned: Learned, wish: TrainWish) -> float:
    """Return the epochs that make as many steps as the run was to have."""
    if wish.options.minutes is None and wish.options.epochs is not None:
        return wish.options.epochs
    return learned.total * learned.epochs / learned.steps if learned.steps else 1.0


def record_of(
    session: Session,
    wish: TrainWish,
    ground: Ground,
    learned: Learned,
    figures: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what train.json says, but for warnings."""
    where = wish.choices.provenance
    record: dict[str, Any] = {
        "intaglio": metadata.version("intaglio"),
        "model": where.model,
        "scheme": wish.scheme_name,
        "method": wish.method,
        "start": plain(figures[0]),
        "final": plain(figures[1]),
        "epochs": round(learned.epochs, 6),
        "steps": learned.steps,
        "seconds": round(learned.seconds, 3),
        "rolled_back": learned.rolled_back,
        "events": [{"step": event.step, "what": event.what} for event in learned.events],
        "held_out": plain({"start": learned.start, "last": learned.last, "best": learned.best}),
        "options": wish.options.model_dump(exclude_none=True),
        "data": {"source": where.data or "tensors", "images": len(ground.samples)},
        "processes": session.processes.count,
        "device": session.processes.device,
        "cpu": processor_name(),
        "run": dict(ground.about),
    }
    return {key: value for key, value in record.items() if value is not None}
