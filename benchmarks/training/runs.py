"""A network, quantized and trained: the one module of the tables that knows by which functions.

Tables that measure whole runs go through `start_of`, `trained` and `trained_float` alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.networks import Subject
from benchmarks.places import DATA
from benchmarks.training.settings import CALIBRATOR
from intaglio.data.image_samples import ImageSamples
from intaglio.data.images import draw, open_dataset
from intaglio.data.preprocess import Preprocess
from intaglio.data.samples import Samples, Taken
from intaglio.host.progress import Progress, Silent
from intaglio.ir.graph import Graph
from intaglio.job.quantize import prepare_float, prepare_network, quantize_network
from intaglio.job.recorder import Recorder
from intaglio.methods.learn.lesson import Learned
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.processes import ALONE, Processes
from intaglio.methods.learn.sharded import measured_by_parts
from intaglio.methods.steps.state import Quantized
from intaglio.methods.train.ground import Ground, float_network, taught
from intaglio.methods.train.qat import learner_of, train_float
from intaglio.numerics.scheme import parse_scheme
from intaglio.read.module.export import capture
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import Settings
from intaglio.run.fake import FakeNetwork
from intaglio.run.twin import Twin, build_twin
from intaglio.runtimes import LITERT
from intaglio.tasks import TASKS

TESTED_AT_ONCE = 100
FLOAT = "float"


@dataclass(frozen=True, eq=False)
class Start:
    """A network as training finds it.

    Attributes:
        captured: As the user has it.
        state: In integers.
        settings: Of these.
    """

    captured: Graph
    state: Quantized
    settings: Settings

    @property
    def twin(self) -> Twin:
        """The integer network."""
        return twin_of(self.state)


@dataclass(frozen=True, eq=False)
class Run:
    """How a run trains.

    Attributes:
        options: As the trainer takes them.
        samples: What it learns from.
        method: How grids follow.
        place: Where it is saved; None: nowhere.
        resume: Whether it goes on with what is there.
        about: What it is, in words.
        processes: That train together.
        progress: Told of steps.
        prepare: Called with the network before its first step.
    """

    options: TrainOptions
    samples: Samples
    method: str = "lsq"
    place: Path | None = None
    resume: bool = False
    about: Mapping[str, str] = field(default_factory=dict)
    processes: Processes = ALONE
    progress: Progress = field(default_factory=Silent)
    prepare: Callable[[FakeNetwork], None] = lambda network: None


@dataclass(frozen=True, eq=False)
class Ended:
    """What a run left.

    Attributes:
        outputs: Returns the network's outputs for images.
        learned: What came of it.
        weights: By the user's names.
        state: In integers; None of a float network.
    """

    outputs: Callable[[Tensor], Sequence[Tensor]]
    learned: Learned
    weights: dict[str, Tensor]
    state: Quantized | None = None


def at(subject: Subject, data: Path) -> Subject:
    """Return a network of the data pack, where the data pack lies elsewhere."""

    def moved(path: Path) -> Path:
        return data / path.relative_to(DATA)

    return replace(
        subject,
        weights=None if subject.weights is None else moved(subject.weights),
        calibration=moved(subject.calibration),
        judged=moved(subject.judged),
    )


def samples_of(
    path: Path, preprocess: Preprocess, shape: Sequence[int], limit: int | None = None
) -> ImageSamples:
    """Return images of a data set; with a limit, some that are drawn."""
    return ImageSamples(draw(open_dataset(path), limit, seed=0), preprocess, shape)


def start_of(
    module: nn.Module,
    shape: Sequence[int],
    scheme: str,
    images: Tensor,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
) -> Start:
    """Return a network after post-training quantization, from ranges of least error.

    Args:
        images: For calibration, and the recipe's steps.
        recipe: None: the ranges alone.
    """
    captured = capture(module.eval(), torch.zeros(tuple(shape)))
    recipe = recipe or Recipe(name="start", calibrator=CALIBRATOR)
    settings = Settings(
        recipe,
        LITERT,
        scheme=parse_scheme(scheme),
        calibrator=recipe.calibrator,
        io="float",
        seed=seed,
    )
    recorder = Recorder()
    prepared, settings = prepare_network(captured, settings, recorder)
    state = quantize_network(prepared, settings, images, recorder, device="cpu").state
    return Start(captured, state, settings)


def network_of(
    start: Start,
    method: str,
    options: TrainOptions = TrainOptions(),  # noqa: B008  frozen
) -> FakeNetwork:
    """Return the network that trains."""
    return learner_of(start.state, options, target=LITERT, method=method)


def trained(start: Start, run: Run) -> Ended:
    """Return what quantization-aware training makes of a network."""
    network = network_of(start, run.method, run.options)
    run.prepare(network)
    learned = taught(network, _ground(start.state.reference, run), run.options)
    graph, encodings = network.read_out()
    state = replace(start.state.with_graph(graph), encodings=encodings)
    return Ended(twin_of(state).outputs, learned, network.user_weights(), state)


def trained_float(captured: Graph, run: Run) -> Ended:
    """Return what training in float makes of a network."""
    state = prepare_float(captured)
    made = train_float(state, _ground(state.reference, run), run.options)
    return Ended(float_outputs(made.state.graph), made.learned, made.weights)


def float_outputs(graph: Graph) -> Callable[[Tensor], Sequence[Tensor]]:
    """Return what computes a float network's outputs, convolutions channels last."""
    return float_network(graph, "cpu")


def _ground(reference: Graph, run: Run) -> Ground:
    return Ground(
        run.samples,
        TASKS["classify"],
        reference,
        place=run.place,
        resume=run.resume,
        about=run.about,
        processes=run.processes,
        progress=run.progress,
    )


def twin_of(state: Quantized) -> Twin:
    """Return the integer network."""
    return build_twin(state.graph, state.encodings, LITERT)


def batches_of(samples: Samples) -> Iterator[Taken]:
    """Yield all samples in their order, TESTED_AT_ONCE at a time."""
    for first in range(0, len(samples), TESTED_AT_ONCE):
        yield samples.take(range(first, min(first + TESTED_AT_ONCE, len(samples))))


def top1(outputs: Callable[[Tensor], Sequence[Tensor]], samples: Samples) -> float:
    """Return the percentage of all images that are classified right."""
    figures = measured_by_parts(
        outputs,
        samples,
        indices=range(len(samples)),
        task=TASKS["classify"],
        names=["classes"],
        processes=ALONE,
        batch=TESTED_AT_ONCE,
    )
    return figures["top1"]


def epochs_for(budget: int, options: TrainOptions, images: int) -> float:
    """Return the epochs in which a run sees `budget` images in whole batches, no more.

    Args:
        images: Of the data, those included that only measure.
    """
    learned = images - min(options.held_out, images // 10)
    each = max(1, learned // options.batch)
    return max(1, budget // options.batch) / each


def told(learned: Learned, options: TrainOptions) -> dict[str, Any]:
    """Return what a row states of a run."""
    changed = options.model_dump(exclude_defaults=True)
    changed = {key: round(value, 5) if key == "epochs" else value for key, value in changed.items()}
    return {
        "seen": learned.steps * options.batch,
        "events": [f"{event.step}: {event.what}" for event in learned.events],
        "rolled_back": learned.rolled_back,
        "seconds": round(learned.seconds, 1),
        "seed": options.seed,
        "options": ", ".join(f"{key}={value}" for key, value in changed.items()),
    }


def place_of(running: Path, name: str, options: TrainOptions, images: int) -> Path:
    """Return the folder in which a run is saved: another one for other settings."""
    text = json.dumps([options.model_dump(), images], sort_keys=True)
    return running / f"{name.replace(' ', '-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
