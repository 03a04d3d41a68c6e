"""ResNet-20 trained without images by generators, beside the default without any, and images.

W4A4 and W5A5 in the academic scheme, from the recipes' own starts, at most MINUTES of training a
row. `train on images` is the ceiling: learned steps on labelled CIFAR-10 from the same start as the
default row. `seconds` are all of a row's but for evaluation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.datafree.cifar import Bench, bench_of, images_of, settings_of
from benchmarks.networks import RESNET20
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import at, epochs_for, samples_of, top1
from intaglio.job.data_free import run_without_images
from intaglio.job.fitted import fitted_settings
from intaglio.job.quantize import prepare_network
from intaglio.job.recorder import Recorder
from intaglio.methods.datafree.gdfq import TrainGdfq
from intaglio.methods.datafree.zaq import TrainZaq
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.train.ground import Ground
from intaglio.methods.train.qat import train_quantized
from intaglio.recipe.settings import Settings
from intaglio.run.twin import build_twin
from intaglio.tasks import TASKS

MINUTES, STEPS = 2.0, 2000
"""What a generator's training may take, about what the default row does, and its most steps."""
SCHEMES = ("w4a4-academic", "w5a5-academic")
PLAYED: dict[str, Callable[[], TrainGdfq | TrainZaq]] = {
    "gdfq": lambda: TrainGdfq(steps=STEPS, minutes=MINUTES),
    "zaq": lambda: TrainZaq(steps=STEPS, minutes=MINUTES),
    "zaq-released": lambda: TrainZaq(
        steps=STEPS, minutes=MINUTES, discrepancy="released", alpha=1.0, beta=0.1
    ),
}
STARTS = {"gdfq": "squant", "zaq": "squant", "zaq-released": "squant"}
CEILING = "train on images"
BUDGET = 30_000
"""Images that training on images sees."""
OPTIONS = TrainOptions(
    batch=64,
    optimizer="adamw",
    lr=1.5e-3,
    scale_lr=1e-2,
    freeze=0.9,
    flip=True,
    crop=4,
    held_out=500,
    evaluations=0,
)


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows."""
    return [
        Job(f"{name} {scheme}", _work(name, scheme, wish))
        for scheme in SCHEMES
        for name in (*PLAYED, CEILING)
    ]


def _work(name: str, scheme: str, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: [measured(name, scheme, wish)]


def measured(name: str, scheme: str, wish: Wish) -> Row:
    """Return a row: where it started, what it trained, and where it ended."""
    bench = bench_of(wish)
    settings = settings_of(STARTS.get(name, "datafree"), scheme, 0)
    state, seconds = begun(bench, settings)
    start = judged(state, settings, bench)
    began = time.perf_counter()
    if name == CEILING:
        state, told = _on_images(state, settings, wish)
    else:
        state, told = _played(PLAYED[name](), state, settings)
    seconds += time.perf_counter() - began
    return {
        "scheme": scheme,
        "method": name,
        "from": settings.recipe.name,
        "n": len(bench.test),
        "start": round(start, 2),
        "final": round(judged(state, settings, bench), 2),
        "seconds": round(seconds, 1),
        "seed": 0,
        **told,
    }


def begun(bench: Bench, settings: Settings) -> tuple[Quantized, float]:
    """Return a network quantized without images, and the seconds that it took."""
    began = time.perf_counter()
    settings = fitted_settings(bench.captured, settings)
    prepared, settings = prepare_network(bench.captured, settings, Recorder())
    made = None
    if settings.recipe.synthetic is not None:
        made = images_of(bench, prepared, settings)
    outcome = run_without_images(
        prepared, settings, Recorder(), preprocess=bench.preprocess, images=made
    )
    return outcome.state, time.perf_counter() - began


def judged(state: Quantized, settings: Settings, bench: Bench) -> float:
    """Return the top-1 of a network on the test images."""
    twin = build_twin(state.graph, state.encodings, settings.target)
    return top1(twin.outputs, bench.test)


def _played(
    step: TrainGdfq | TrainZaq, state: Quantized, settings: Settings
) -> tuple[Quantized, dict[str, Any]]:
    played = step.played(state, Context(None, settings.target, settings.seed))
    told = {
        "student_steps": played.steps,
        "discrepancy": f"{played.start:.3g} to {played.end:.3g}",
        "kept_start": played.kept_start,
        "events": [event.what for event in played.events],
    }
    return played.state, told


def _on_images(
    state: Quantized, settings: Settings, wish: Wish
) -> tuple[Quantized, dict[str, Any]]:
    subject = at(RESNET20, wish.data)
    _, preprocess, shape = subject.build()
    train = samples_of(subject.calibration, preprocess, shape, wish.images)
    epochs = epochs_for(wish.at_most(BUDGET), OPTIONS, len(train))
    options = OPTIONS.model_copy(update={"epochs": epochs})
    ground = Ground(train, TASKS["classify"], state.reference)
    trained = train_quantized(state, ground, options, target=settings.target, method="lsq")
    return trained.state, {"student_steps": trained.learned.steps, "images": len(train)}
