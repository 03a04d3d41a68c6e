"""ResNet-20 on CIFAR-10 without images: every rung, in the scheme that papers compare in.

A row's name is recipe, scheme and seed; `seconds` are all that it takes but for evaluation, the
distilling of images too, although rows of one seed share them here. The last rows are in schemes of
two published codes, each beside what that code reaches there (SQuant 79.7 to 79.9 at 4 bits and
80.3 to 80.5 at 5, GENIE, cut short, 79.05). `float` is the network itself on the same images.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.networks import RESNET20
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import at, samples_of, top1
from intaglio.data.image_samples import ImageSamples
from intaglio.data.preprocess import Preprocess
from intaglio.ir.graph import Graph
from intaglio.job.data_free import input_of, run_without_images
from intaglio.job.fitted import fitted_settings
from intaglio.job.quantize import prepare_network, quantize_network, run_steps
from intaglio.job.recorder import Recorder
from intaglio.job.synthetic import made_images
from intaglio.methods.datafree.distill import Distilled
from intaglio.methods.steps.state import Context, Prepared, Quantized
from intaglio.read.module.export import capture
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import find_recipe
from intaglio.recipe.settings import Settings, settle
from intaglio.run.float import run_float
from intaglio.run.twin import build_twin

FLOAT, NOISE = "float", "min-max on noise"
RECIPES = (
    NOISE,
    "dfq",
    "aciq",
    "squant",
    "zeroq",
    "zeroq-second-order",
    "datafree",
    "zeroq-brecq",
    "synq",
)
BITS = (8, 6, 5, 4, 3)
SEEDS = (0, 1, 2)
OTHERS = (
    ("datafree", "w4a4-squant"),
    ("datafree", "w5a5-squant"),
    ("squant", "w4a4-squant"),
    ("squant", "w5a5-squant"),
    ("datafree", "w4a4-genie"),
    ("genie", "w4a4-genie"),
    ("datafree", "w2a4-academic"),
    ("datafree", "w4a4"),
)
"""Recipes in other schemes: those of published codes, two bits, and all values quantized."""
NOISE_IMAGES = 32
TESTED = 10_000
DETERMINED = ("dfq",)
"""Recipes that draw nothing: one seed is all of them."""


@dataclass(frozen=True, eq=False)
class Bench:
    """What all rows share.

    Attributes:
        captured: The network.
        preprocess: Of its images.
        test: Images that judge.
        path: Of these.
        shape: Of an image.
    """

    captured: Graph
    preprocess: Preprocess
    test: ImageSamples
    path: Path
    shape: tuple[int, ...]

    def few(self, count: int) -> ImageSamples:
        """Return some of the test images, drawn."""
        return samples_of(self.path, self.preprocess, self.shape, count)


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows: the first seed of all, the default's seeds, then other seeds."""
    default = [("datafree", f"w{bits}a{bits}-academic") for bits in (4, 3, 5, 6, 8)]
    chosen = [(name, f"w{b}a{b}-academic") for name in RECIPES for b in BITS if name != "datafree"]
    chosen += OTHERS
    rows = [(*row, 0) for row in (*default[:2], *chosen)]
    rows += [(*row, seed) for seed in SEEDS for row in default if (*row, seed) not in rows]
    rows += [(*row, seed) for seed in SEEDS[1:] for row in chosen if row[0] not in DETERMINED]
    return [Job(FLOAT, lambda: [float_row(wish)])] + [
        Job(f"{recipe} {scheme} seed {seed}", _work(recipe, scheme, seed, wish))
        for recipe, scheme, seed in rows
    ]


def _work(recipe: str, scheme: str, seed: int, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: [measured(recipe, scheme, seed, wish)]


@functools.cache
def bench_of(wish: Wish) -> Bench:
    """Return what all rows share."""
    subject = at(RESNET20, wish.data)
    module, preprocess, shape = subject.build()
    captured = capture(module.eval(), torch.zeros(tuple(shape)))
    test = samples_of(subject.judged, preprocess, shape, wish.at_most(TESTED))
    return Bench(captured, preprocess, test, subject.judged, tuple(shape))


def float_row(wish: Wish) -> Row:
    """Return the row of the network itself."""
    bench = bench_of(wish)
    figure = top1(lambda images: run_float(bench.captured, images), bench.test)
    return {"scheme": FLOAT, "n": len(bench.test), "top1": round(figure, 2)}


def measured(recipe: str, scheme: str, seed: int, wish: Wish) -> Row:
    """Return a row: quantized without images, and judged."""
    bench = bench_of(wish)
    settings = fitted_settings(bench.captured, settings_of(recipe, scheme, seed))
    prepared, settings = prepare_network(bench.captured, settings, Recorder())
    made = None if settings.recipe.synthetic is None else images_of(bench, prepared, settings)
    began = time.perf_counter()
    if recipe == NOISE:
        state = _on_noise(prepared, settings)
    else:
        outcome = run_without_images(
            prepared, settings, Recorder(), preprocess=bench.preprocess, images=made
        )
        state = outcome.state
    seconds = time.perf_counter() - began
    figure = top1(build_twin(state.graph, state.encodings, settings.target).outputs, bench.test)
    return {
        "scheme": scheme,
        "recipe": recipe,
        "seed": seed,
        "n": len(bench.test),
        "top1": round(figure, 2),
        "distilling_seconds": None if made is None else round(made.seconds, 1),
        "seconds": round(seconds + (0.0 if made is None else made.seconds), 1),
        "steps": ", ".join(settings.recipe.step_names),
    }


def settings_of(recipe: str, scheme: str, seed: int) -> Settings:
    """Return the settings of a row."""
    found = find_recipe("plain" if recipe == NOISE else recipe)
    return settle(found, None, Options(scheme=scheme, seed=seed))


_MADE: dict[tuple[str, int, str], Distilled] = {}


def images_of(bench: Bench, prepared: Prepared, settings: Settings) -> Distilled:
    """Return the images of a recipe and a seed, made when they are first asked for."""
    assert settings.recipe.synthetic is not None, "the recipe makes images"
    key = (settings.recipe.synthetic.model_dump_json(), settings.seed, settings.target.name)
    if key not in _MADE:
        context = Context(None, settings.target, settings.seed)
        shaped = run_steps(prepared, context, settings, Recorder())
        draws = torch.Generator().manual_seed(settings.seed)
        taken = input_of(shaped, bench.preprocess, draws)
        ends = taken.low, taken.high
        _MADE[key] = made_images(shaped, settings, ends, Recorder(), context=context, about={})
    return _MADE[key]


def _on_noise(prepared: Prepared, settings: Settings) -> Quantized:
    """Return the network with ranges from images of white noise, and nothing else."""
    shape = prepared.graph[prepared.graph.inputs[0]].shape[1:]
    generator = torch.Generator().manual_seed(settings.seed)
    noise: Tensor = torch.randn((NOISE_IMAGES, *shape), generator=generator)
    return quantize_network(prepared, settings, noise, Recorder(), device="cpu").state
