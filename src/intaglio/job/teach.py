"""The two ways of training: in integers, where compressing has it in its midst, and in float."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from intaglio.data.samples import Samples
from intaglio.host.hidden import training_name
from intaglio.host.place import Place
from intaglio.host.processor import processor_name
from intaglio.host.progress import Silent
from intaglio.host.training import STATE, training_folder
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
from intaglio.methods.train.two_stage import Course
from intaglio.read.module.core_whole import Whole
from intaglio.read.reader import Source
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import Settings
from intaglio.run.float import run_float
from intaglio.tasks.detect.split_outputs import whole_weights
from intaglio.tasks.evaluate import side_by_side
from intaglio.tasks.pieces import evaluation_batches
from intaglio.tasks.task import Task

TAKEN_AT_ONCE = 64

Made = TypeVar("Made", Trained, TrainedFloat, Learned)


@dataclass(frozen=True, eq=False)
class Session:
    """Where and on what a training runs.

    Attributes:
        taken: The network, or where it cannot be captured the detector that it is, cut into cores.
        source: Where it is from.
        recorder: Told of each step.
        processes: That train together.
        place: Where the result is going to be; None: nothing is kept.
        resume: Whether to go on with what is kept beside it.
    """

    taken: Graph | Whole
    source: Source
    recorder: Recorder
    processes: Processes = ALONE
    place: Place | None = None
    resume: bool = False

    @property
    def captured(self) -> Graph:
        """The network, where it is captured as a whole."""
        assert isinstance(self.taken, Graph), "cores are trained by train_whole"
        return self.taken


@contextmanager
def kept(session: Session) -> Iterator[tuple[Path | None, bool]]:
    """Give the folder in which the run is kept, and whether there is one to go on with."""
    place, processes = session.place, session.processes
    if place is None:
        yield None, False
    elif processes.is_first:
        with training_folder(place) as folder:
            yield folder, processes.agreed(session.resume and (folder / STATE).is_file())
    else:
        yield training_name(place.spot), processes.agreed(False)


def trained_integer(
    session: Session, wish: TrainWish, ground: Ground, evaluate: Any
) -> TrainResult:
    """Return the network trained in integers: what compressing makes, with training in it."""
    settings = replace(wish.settings, task=ground.task.name)

    def taught(outcome: Outcome, run: Run) -> Outcome:
        """Return the outcome after training; its reference is the float network of the weights."""
        method = wish.method
        assert method is not None, "there are grids"
        trained = told(
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
    recipe = ran_recipe(product.result.recipe, wish, trained.learned)
    result = replace(noted(product.result, session.source), recipe=recipe)
    record = record_of(wish, ground, trained.learned, _measured(product))
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
    trained = told(recorder, lambda: train_float(state, ground, wish.options))
    start, final = dict[str, Any](), dict[str, Any]()
    if evaluate is not None:
        start, final = recorder.step(
            "evaluate",
            lambda: _both_figures(session, trained, ground.task, evaluate),
            changed=lambda made: None,
        )
    record = record_of(wish, ground, trained.learned, (start, final))
    record["warnings"] = [
        *session.source.notes,
        *remarks(trained.learned, ground.samples),
    ]
    weights = by_user_names(trained.weights, session.source.tensors)
    recipe = float_recipe(wish, trained.learned)
    return TrainResult(None, weights, record, recipe, ground.place)


def float_recipe(wish: TrainWish, learned: Learned) -> Recipe:
    """Return the recipe that repeats a training in float."""
    used = used_recipe(wish.settings, wish.choices.provenance)
    used = used.model_copy(update={"scheme": wish.scheme_name, "io": None, "target": None})
    return ran_recipe(used, wish, learned)


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


def told(recorder: Recorder, work: Callable[[], Made]) -> Made:
    """Do the training as a step of the record; it tells the progress itself."""

    def changed(made: Made) -> dict[str, Any]:
        """Return what the record says of it."""
        learned = made if isinstance(made, Learned) else made.learned
        return {"steps": learned.steps, "epochs": round(learned.epochs, 3)}

    return Recorder(Silent(), recorder.steps).step("train", work, changed=changed)


def remarks(learned: Learned, samples: Samples) -> list[str]:
    """Return what the user should know: of a training that went back, of images passed over."""
    told = [f"training: {event.what}" for event in learned.events] if learned.rolled_back else []
    if samples.skipped:
        told.append(
            f"{len(samples.skipped)} unreadable images were passed over, first:"
            f" {samples.skipped[0]}"
        )
    return told


def record_of(
    wish: TrainWish,
    ground: Ground | Course,
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
        "processes": ground.processes.count,
        "device": ground.processes.device,
        "cpu": processor_name(),
        "run": dict(ground.about),
    }
    return {key: value for key, value in record.items() if value is not None}
