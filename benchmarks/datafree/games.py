"""ZAQ within 200 steps of the student: nowhere far below its start, and what each part is worth.

ResNet-20 in the academic scheme from ranges and rounding without images (recipe `squant`); top-1 on
test images, which decide nothing, every EVERY steps as the student is then. The ablations are at
W4A4: without the relation maps of features (alpha = 0), with all layers alike, and without the
regulariser of activations (beta = 0).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.datafree.cifar import bench_of, settings_of
from benchmarks.datafree.generators import begun, judged
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import top1
from intaglio.methods.datafree.game import play
from intaglio.methods.datafree.state import Game
from intaglio.methods.datafree.zaq import TrainZaq
from intaglio.methods.steps.state import Context

START, SEEDS = "squant", (0, 1, 2)
STEPS, EVERY, LOOKED_AT = 200, 50, 2000
"""Steps of the student, how often it is looked at, and on how many images."""
BATCH, WIDTH = 32, 64
ZAQ = TrainZaq(steps=STEPS, batch=BATCH, width=WIDTH)
GAMES = {
    **{f"w{bits}a{bits}": (f"w{bits}a{bits}-academic", ZAQ) for bits in (8, 5, 4)},
    "without relation maps": ("w4a4-academic", replace(ZAQ, alpha=0.0)),
    "all layers alike": ("w4a4-academic", replace(ZAQ, weight_momentum=1.0)),
    "without the regulariser": ("w4a4-academic", replace(ZAQ, beta=0.0)),
    "without batch norms, as published": ("w4a4-academic", replace(ZAQ, norm_weight=0.0)),
}


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows, one seed of all of them first."""
    return [Job(f"{name} seed {seed}", _work(name, seed, wish)) for seed in SEEDS for name in GAMES]


def _work(name: str, seed: int, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: [measured(name, seed, wish)]


def measured(name: str, seed: int, wish: Wish) -> Row:
    """Return a row: top-1 at the start, on the way and at the end."""
    bench = bench_of(wish)
    scheme, step = GAMES[name]
    settings = settings_of(START, scheme, seed)
    state, _ = begun(bench, settings)
    few = bench.test if wish.images else bench.few(LOOKED_AT)
    on_the_way: list[float] = []

    def seen(game: Game) -> None:
        """Look at the student every EVERY of its steps."""
        moved = game.order.move(game.turn - 1).student if game.turn else False
        if moved and game.steps and game.steps % EVERY == 0:
            student = game.players.student

            def outputs(images: Tensor) -> list[Tensor]:
                """Return what the student makes of images."""
                with torch.no_grad():
                    found: list[Tensor] = student(images)
                    return found

            on_the_way.append(round(top1(outputs, few), 2))

    began = time.perf_counter()
    context = Context(None, settings.target, seed)
    played = play(state, context, step.match(state, context), seen=seen)
    seconds = time.perf_counter() - began
    start, end = (judged(one, settings, bench) for one in (state, played.state))
    return {
        "scheme": scheme,
        "seed": seed,
        "n": len(bench.test),
        "start": round(start, 2),
        "final": round(end, 2),
        "on the way": on_the_way,
        "of images": len(few),
        "discrepancy": f"{played.start:.3g} to {played.end:.3g}",
        "kept_start": played.kept_start,
        "events": [event.what for event in played.events],
        "seconds": round(seconds, 1),
    }
