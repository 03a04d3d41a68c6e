"""Images that are made of batch norms have what these state, and a killed run loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from intaglio.errors import RequestError
from intaglio.job.quantize import prepare_network
from intaglio.job.recorder import Recorder
from intaglio.methods.datafree import distill
from intaglio.methods.datafree.distill import IGNORED, Workshop, distilled
from intaglio.methods.datafree.pixels import Pixels
from intaglio.methods.datafree.synthesis import Synthesis
from intaglio.methods.steps.state import Prepared
from intaglio.read.module.export import capture
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import settle
from methods.datafree.small import CLASSES, SIZE, classifier

FEW = Synthesis(images=12, batch=6, steps=30)


def prepared(*, norms: bool = True) -> Prepared:
    captured = capture(classifier(norms=norms).eval(), torch.zeros(1, 3, SIZE, SIZE))
    settings = settle(Recipe(), None, Options(scheme="w4a4-academic"))
    return prepare_network(captured, settings, Recorder())[0]


def workshop(place: Path | None = None, **changes: object) -> Workshop:
    ones = torch.ones(3)

    def noise(count: int, draws: torch.Generator) -> Tensor:
        return 0.1 * torch.randn(count, 3, SIZE, SIZE, generator=draws)

    pixels = Pixels((3, SIZE, SIZE), 0.0 * ones, ones, -2.0 * ones, 2.0 * ones)
    return Workshop(pixels, noise, place=place, **changes)


def test_the_statistics_of_the_images_become_those_that_batch_norms_state():
    made = distilled(prepared(), FEW, workshop())

    assert made.images.shape == (12, 3, SIZE, SIZE)
    assert made.last < made.first / 20.0
    assert made.labels is None
    assert not made.events


def test_pixels_stay_between_the_ends_of_the_input():
    made = distilled(prepared(), FEW, workshop())

    assert float(made.images.min()) >= -2.0
    assert float(made.images.max()) <= 2.0


@pytest.mark.parametrize(
    "changes",
    [
        {"generator": True},
        {"swing": True},
        {"moved": 2},
        {"generator": True, "swing": True, "label": 1e-3},
        {"low_pass": 3.0},
    ],
)
def test_each_way_of_making_them_lowers_the_loss_of_batch_norms(changes):
    made = distilled(prepared(), FEW.model_copy(update=changes), workshop())

    assert made.last < made.first / 2.0
    assert bool(made.images.isfinite().all())


def test_images_of_a_class_are_taken_for_it_by_the_float_network():
    state = prepared()
    plain = distilled(state, FEW, workshop())
    wish = FEW.model_copy(update={"label": 1.0})

    made = distilled(state, wish, workshop())

    assert made.labels.tolist() == [index % CLASSES for index in range(12)]
    assert right(state, made.images, made.labels) > right(state, plain.images, made.labels)


def right(state: Prepared, images: Tensor, labels: Tensor) -> float:
    teacher = distill.Teacher(state.reference, (), ())
    return float((teacher(images).outputs[0].argmax(1) == labels).float().mean())


def test_images_that_are_too_hard_teach_no_label():
    wish = FEW.model_copy(update={"label": 1e-6, "hardest": 0.0, "steps": 2})

    made = distilled(prepared(), wish, workshop())

    assert set(made.labels.tolist()) == {IGNORED}


def test_the_same_seed_makes_the_same_images_and_another_one_others():
    first, second = (distilled(prepared(), FEW, workshop()).images for _ in range(2))
    other = distilled(prepared(), FEW, workshop(seed=1)).images

    assert torch.equal(first, second)
    assert not torch.equal(first, other)


class Killed(Exception):
    """The process ends here."""


@pytest.mark.parametrize(
    ("at", "generator"), [(3, False), (8, False), (9, False), (14, False), (3, True)]
)
def test_a_killed_run_that_goes_on_ends_with_the_same_images(tmp_path, monkeypatch, at, generator):
    steps = 2 if generator else 8  # two batches
    changes = {"generator": generator, "moved": 1, "save_seconds": 1e-9, "steps": steps}
    wish = FEW.model_copy(update=changes)
    state = prepared()
    whole = distilled(state, wish, workshop()).images
    step, done = distill._step, 0

    def until(bench: distill.Bench, making: distill.Making) -> tuple[float, float]:
        nonlocal done
        if done == at:
            raise Killed
        done += 1
        return step(bench, making)

    monkeypatch.setattr(distill, "_step", until)
    with pytest.raises(Killed):
        distilled(state, wish, workshop(tmp_path))
    monkeypatch.setattr(distill, "_step", step)

    again = distilled(state, wish, workshop(tmp_path, resume=True)).images

    assert torch.equal(again, whole)


def test_a_run_that_has_ended_is_resumed_as_ended(tmp_path):
    state = prepared()
    whole = distilled(state, FEW, workshop(tmp_path)).images

    again = distilled(state, FEW, workshop(tmp_path, resume=True))

    assert torch.equal(again.images, whole)


def test_another_wish_does_not_go_on_with_what_was_saved(tmp_path):
    state = prepared()
    distilled(state, FEW, workshop(tmp_path))

    with pytest.raises(RequestError, match="steps was 30 and is 31"):
        distilled(state, FEW.model_copy(update={"steps": 31}), workshop(tmp_path, resume=True))


def test_a_loss_that_is_not_finite_is_told_and_the_images_stay_finite(monkeypatch):
    step, seen = distill._step, 0

    def poisoned(bench: distill.Bench, making: distill.Making) -> tuple[float, float]:
        nonlocal seen
        seen += 1
        loss, of_norms = step(bench, making)
        return (float("nan"), of_norms) if seen in (25, 30) else (loss, of_norms)

    monkeypatch.setattr(distill, "_step", poisoned)
    made = distilled(prepared(), FEW.model_copy(update={"batch": 12}), workshop())

    assert bool(made.images.isfinite().all())
    assert "goes back to step 20" in made.events[0]
    assert "ends" in made.events[1]


def test_a_network_without_batch_norms_is_refused_with_what_to_do_instead():
    with pytest.raises(RequestError, match="--recipe datafree"):
        distilled(prepared(norms=False), FEW, workshop())


def test_outputs_that_are_no_classes_are_told_and_images_have_none(monkeypatch):
    state = prepared()
    state.reference.outputs = [state.reference[state.reference.outputs[0]].inputs[0]]
    node = state.reference[state.reference.outputs[0]]
    if len(node.shape) == 2:
        state.reference.outputs = [node.inputs[0]]

    made = distilled(state, FEW.model_copy(update={"label": 1.0, "steps": 2}), workshop())

    assert made.labels is None
    assert "without classes" in made.events[0]
