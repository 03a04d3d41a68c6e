"""MobileNets for 32x32 images and their quantization-friendly twins, trained from scratch.

All see the same images of CIFAR-10 (JPEG) in the same order. Each is judged in float, and as plain
integers with one scale a weight: calibrated by the smallest and largest values, no step that makes
up for anything. `worst_depthwise` is the most unequal depthwise weight, its norms folded: the
largest channel over the median one. `drop` is the float network's top-1 minus the integers'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.networks import RESNET20
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import (
    Ended,
    Run,
    at,
    epochs_for,
    place_of,
    samples_of,
    start_of,
    told,
    top1,
    trained_float,
)
from benchmarks.training.settings import (
    FRIENDLY,
    FRIENDLY_BUDGET,
    FRIENDLY_CALIBRATION,
    FRIENDLY_ROWS,
    FRIENDLY_SCHEME,
)
from intaglio.data.image_samples import ImageSamples
from intaglio.methods.learn.processes import Processes
from intaglio.methods.structure.depthwise_ranges import depthwise_ranges
from intaglio.read.module.export import capture
from intaglio.read.named import build_model, parse_model
from intaglio.recipe.recipe import find_recipe


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows."""
    return [Job(model, _work(model, wish)) for model in FRIENDLY_ROWS]


def _work(model: str, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: [measured(model, wish)]


def measured(model: str, wish: Wish) -> Row:
    """Return the row of a network: trained in float, and judged in both."""
    made = from_scratch(model, wish)
    module, ended, test = made.module, made.ended, made.test
    recipe = find_recipe("plain")
    start = start_of(module, made.shape, FRIENDLY_SCHEME, made.calibration, recipe=recipe)
    found, real = top1(start.twin.outputs, test), top1(ended.outputs, test)
    return {
        "n": len(test),
        "parameters": sum(one.numel() for one in module.parameters()),
        "float_top1": round(real, 2),
        "integer_top1": round(found, 2),
        "drop": round(real - found, 2),
        "worst_depthwise": round(max(depthwise_ranges(start.state.graph).values()), 1),
        **told(ended.learned, made.run.options),
    }


@dataclass(frozen=True, eq=False)
class FromScratch:
    """A network of this table, trained.

    Attributes:
        module: Which, with its trained weights.
        shape: What it takes, (1, C, H, W).
        train, test: Images.
        calibration: Some of `train`, [N, C, H, W].
        run: How it was trained.
        ended: What came of it.
    """

    module: nn.Module
    shape: tuple[int, ...]
    train: ImageSamples
    test: ImageSamples
    calibration: Tensor
    run: Run
    ended: Ended


def from_scratch(model: str, wish: Wish) -> FromScratch:
    """Return a network after training in float: as it was saved, or gone on with."""
    torch.manual_seed(FRIENDLY.seed)
    built = build_model(parse_model(model))
    module, preprocess, shape = built.module.eval(), built.preprocess, built.input_shape
    assert preprocess is not None
    assert shape is not None
    subject = at(RESNET20, wish.data)
    train = samples_of(subject.calibration, preprocess, shape, wish.images)
    test = samples_of(subject.judged, preprocess, shape, wish.images)
    run = planned(model, train, wish)
    images = train.take(range(min(FRIENDLY_CALIBRATION, len(train)))).images
    ended = trained_float(capture(module, images[:1]), run)
    module.load_state_dict(ended.weights, strict=False)
    return FromScratch(module, shape, train, test, images, run, ended)


def planned(model: str, train: ImageSamples, wish: Wish) -> Run:
    """Return how a network trains: saved as it goes, and gone on with."""
    budget = wish.at_most(FRIENDLY_BUDGET)
    epochs = epochs_for(budget, FRIENDLY, len(train))
    options = FRIENDLY.model_copy(update={"epochs": epochs})
    place = place_of(wish.running, f"friendly {model}", options, len(train))
    return Run(
        options,
        train,
        place=place,
        resume=(place / "state.safetensors").is_file(),
        about={"row": model},
        processes=Processes(device=wish.device),
    )
