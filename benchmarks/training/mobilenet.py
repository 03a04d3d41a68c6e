"""MobileNetV2 with 4-bit weights as files hold them: post-training, then taught by the float one.

The row `start` is the recipe of second-order rounding; the row `trained` goes on from its integers
on the same images, without their labels. Both are judged on judge.csv, which nothing was tuned on,
and their files checked against their twins. The start is kept in DIR/running, and training is saved
there every minute: a run that is killed goes on.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.measured import Place, judged, judged_at, written
from benchmarks.networks import V2, Subject
from benchmarks.rows import Job, Row, Wish
from benchmarks.training.runs import (
    Run,
    Start,
    at,
    place_of,
    samples_of,
    start_of,
    told,
    trained,
    twin_of,
)
from benchmarks.training.settings import (
    MOBILENET,
    MOBILENET_METHOD,
    MOBILENET_RECIPE,
    MOBILENET_SCHEME,
    TUNING_IMAGES,
)
from intaglio.data.tensor_samples import TensorSamples
from intaglio.methods.learn.processes import Processes
from intaglio.methods.steps.state import Quantized
from intaglio.methods.steps.steps import STEPS, STRUCTURE
from intaglio.recipe.recipe import find_recipe
from intaglio.store.encodings import encodings_from_dict, encodings_to_dict

JUDGED = "judge.csv"
START, TRAINED = "start", "trained"


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows."""
    subject = at(V2, wish.data)
    subject = replace(subject, judged=subject.judged.with_name(JUDGED))
    return [
        Job(START, lambda: [start_row(subject, wish)]),
        Job(TRAINED, lambda: [trained_row(subject, wish)]),
    ]


def start_row(subject: Subject, wish: Wish) -> Row:
    """Return the row of what training starts from."""
    found = begun(subject, wish)
    return {
        **_named("recipe " + MOBILENET_RECIPE, len(found.images)),
        **_judged(found.start.state, _place(subject, wish)),
        "seconds": round(found.seconds, 1),
        "seed": found.start.settings.seed,
    }


def trained_row(subject: Subject, wish: Wish) -> Row:
    """Return the row of the trained network."""
    found = begun(subject, wish)
    held = min(MOBILENET.held_out, len(found.images) // 10)
    options = MOBILENET.model_copy(update={"held_out": held})
    if wish.minutes is not None:
        options = options.model_copy(update={"epochs": None, "minutes": wish.minutes})
    place = place_of(wish.running, "mobilenet trained", options, len(found.images))
    shape = tuple(found.images.shape[1:])
    run = Run(
        options,
        TensorSamples(found.images, None, shape),
        method=MOBILENET_METHOD,
        place=place,
        resume=(place / "state.safetensors").is_file(),
        about={"start": MOBILENET_RECIPE, "scheme": MOBILENET_SCHEME},
        processes=Processes(device=wish.device),
    )
    ended = trained(found.start, run)
    assert ended.state is not None, "it is in integers"
    return {
        **_named(f"{MOBILENET_METHOD}, distilled", len(found.images)),
        **_judged(ended.state, _place(subject, wish)),
        **told(ended.learned, options),
        "figures": [ended.learned.start, ended.learned.last, ended.learned.best],
    }


@dataclass(frozen=True, eq=False)
class Begun:
    """What training starts from.

    Attributes:
        start: The network.
        images: For calibration, rounding and training, [N, C, H, W].
        seconds: That the recipe took.
    """

    start: Start
    images: Tensor
    seconds: float


def begun(subject: Subject, wish: Wish) -> Begun:
    """Return the network after the recipe, made or as it was kept."""
    module, preprocess, shape = subject.build()
    samples = samples_of(subject.calibration, preprocess, shape, wish.at_most(TUNING_IMAGES))
    images = samples.take(range(len(samples))).images
    recipe = find_recipe(MOBILENET_RECIPE)
    kept = wish.running / f"mobilenet-start-{len(images)}"
    if not kept.with_suffix(".json").is_file():
        began = time.perf_counter()
        start = start_of(module, shape, MOBILENET_SCHEME, images, recipe=recipe)
        seconds = time.perf_counter() - began
        keep(start.state, seconds, kept)
        return Begun(start, images, seconds)
    steps = [step for step in recipe.steps if STEPS[str(step["name"])].phase == STRUCTURE]
    shaped = recipe.model_copy(update={"steps": steps})
    start = start_of(module, shape, MOBILENET_SCHEME, images, recipe=shaped)
    state, seconds = taken_up(start.state, kept)
    return Begun(replace(start, state=state), images, seconds)


def keep(state: Quantized, seconds: float, place: Path) -> None:
    """Write the weights and grids of a network; what the steps before rounding made is not kept."""
    place.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.clone().contiguous() for name, tensor in state.graph.params.items()}
    save_file(tensors, place.with_suffix(".safetensors"))
    content = {"seconds": seconds, "encodings": encodings_to_dict(state.encodings)}
    unfinished = place.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content))
    unfinished.replace(place.with_suffix(".json"))


def taken_up(state: Quantized, place: Path) -> tuple[Quantized, float]:
    """Return a network with the weights and grids that were kept, and the seconds they took."""
    content: dict[str, Any] = json.loads(place.with_suffix(".json").read_text())
    graph = state.graph.copy()
    graph.params = load_file(place.with_suffix(".safetensors"))
    encodings = encodings_from_dict(content["encodings"], str(place))
    return replace(state.with_graph(graph), encodings=encodings), float(content["seconds"])


def _named(how: str, images: int) -> Row:
    return {"scheme": MOBILENET_SCHEME, "how": how, "images": images}


def _place(subject: Subject, wish: Wish) -> Place:
    return judged_at(subject, subject.judged, wish.images)


def _judged(state: Quantized, place: Place) -> Row:
    twin = twin_of(state)
    with torch.no_grad():
        return {**judged(twin, place), **written(state, twin, place)}
