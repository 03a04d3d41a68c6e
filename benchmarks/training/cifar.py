"""ResNet-20 on CIFAR-10: what each method of training is worth, in top-1.

Every row sees the same number of images, drawn and augmented by its seed, and states the top-1 of
the twin on the test images before training (`start`: ranges of least error at 8 bits, else the
recipe `accurate`, as `intaglio train` has it) and after its last step (`final`). The float row is
the same network fine-tuned in float with the same budget: the page states the others' `drop`
against it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

from benchmarks.networks import RESNET20
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import (
    FLOAT,
    Ended,
    Run,
    at,
    epochs_for,
    float_outputs,
    place_of,
    samples_of,
    start_of,
    told,
    top1,
    trained,
    trained_float,
)
from benchmarks.training.settings import (
    CIFAR,
    CIFAR_BUDGET,
    CIFAR_ROWS,
    CIFAR_TESTED,
    TUNING_IMAGES,
    CifarRow,
)
from intaglio.data.image_samples import ImageSamples
from intaglio.job.quantize import prepare_float
from intaglio.methods.learn.processes import Processes
from intaglio.numerics.scheme import parse_scheme
from intaglio.read.module.export import capture
from intaglio.recipe.recipe import Recipe, find_recipe


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows."""
    return [Job(row.name, _work(row, wish)) for row in CIFAR_ROWS]


def _work(row: CifarRow, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: [measured(row, wish)]


def measured(row: CifarRow, wish: Wish) -> Row:
    """Return a row: trained, or gone on with, and judged."""
    subject = at(RESNET20, wish.data)
    module, preprocess, shape = subject.build()
    train = samples_of(subject.calibration, preprocess, shape, wish.images)
    test = samples_of(subject.judged, preprocess, shape, wish.at_most(CIFAR_TESTED))
    run = planned(row, train, wish)
    if row.scheme == FLOAT:
        captured = capture(module.eval(), train.take([0]).images)
        start = top1(float_outputs(prepare_float(captured).graph), test)
        ended = trained_float(captured, run)
    else:
        tuning = range(0, len(train), max(1, len(train) // TUNING_IMAGES))
        images = train.take(tuning[:TUNING_IMAGES]).images
        begun = start_of(module, shape, row.scheme, images, recipe=recipe_for(row.scheme))
        start = top1(begun.twin.outputs, test)
        ended = trained(begun, run)
    made = _row(row, ended, start=start, test=test, run=run)
    if run.place is not None:
        shutil.rmtree(run.place, ignore_errors=True)
    return made


def recipe_for(scheme: str) -> Recipe | None:
    """Return what makes the start: as `intaglio train` chooses it, by the bits of the scheme."""
    parsed = parse_scheme(scheme)
    is_low = min(parsed.weight_bits, parsed.activation_bits) < 8
    return find_recipe("accurate") if is_low else None


def planned(row: CifarRow, train: ImageSamples, wish: Wish) -> Run:
    """Return how a row trains."""
    options = CIFAR.model_copy(update={**row.change, "seed": row.seed})
    budget = wish.at_most(CIFAR_BUDGET)
    epochs = epochs_for(budget, options, len(train))
    options = options.model_copy(update={"epochs": epochs})
    place = place_of(wish.running, f"cifar {row.name}", options, len(train))
    return Run(
        options,
        train,
        method=row.method or "lsq",
        place=place,
        resume=(place / "state.safetensors").is_file(),
        about={"row": row.name},
        processes=Processes(device=wish.device),
    )


def _row(row: CifarRow, ended: Ended, *, start: float, test: ImageSamples, run: Run) -> Row:
    return {
        "scheme": row.scheme,
        "method": row.method,
        "n": len(test),
        "start": round(start, 2),
        "final": round(top1(ended.outputs, test), 2),
        **told(ended.learned, run.options),
    }
