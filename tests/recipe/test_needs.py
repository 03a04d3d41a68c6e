"""Needs of a recipe: Python and the command line refuse in the same words, before any work."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

import intaglio
from intaglio.cli.request import NO_DATA, calibration_data
from intaglio.errors import RequestError
from intaglio.methods import STEPS
from intaglio.methods.steps.steps import NUMBERS, register_step
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import settle

X = torch.randn(12, 3, 8, 8)
Y = torch.arange(12) % 4
WORDS = r"recipe 'mine' judges what it tries on images and there are none: give data \(--data DIR"


class Told:
    """Progress that remembers which steps began."""

    def __init__(self):
        self.names = []

    def begin(self, name, total):
        self.names.append(name)

    def advance(self, count):
        pass

    def end(self):
        pass


@pytest.fixture
def learner(monkeypatch):
    """A recipe with a step that needs labels, and the contexts that the step was given."""
    monkeypatch.setattr(STEPS, "_entries", dict(STEPS._entries))
    given = []

    @register_step("learner", NUMBERS, needs=("images", "labels"))
    @dataclass(frozen=True)
    class Learner:
        """Learn."""

        def __call__(self, state, context):
            given.append(context)
            return state

    return Recipe(name="mine", steps=[{"name": "learner"}]), given


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten()).eval()


def compressed(recipe, data, progress=None):
    options = intaglio.Options(progress=progress or Told())
    return intaglio.compress(network(), X[:1], data=data, recipe=recipe, options=options)


def test_a_search_without_images_is_refused_by_python():
    with pytest.raises(RequestError, match=WORDS):
        compressed(Recipe(name="mine", search=True), None)


def test_a_search_without_images_is_refused_by_the_command_line_in_the_same_words():
    settled = settle(Recipe(name="mine", search=True), None, intaglio.Options())

    with pytest.raises(RequestError, match=WORDS):
        calibration_data(NO_DATA, settled, evaluated=False, limit=None)


def test_a_step_that_needs_images_is_refused_without_them():
    recipe = Recipe(name="mine", steps=[{"name": "correct-bias"}])

    with pytest.raises(RequestError, match="step 'correct-bias' needs 'images'"):
        compressed(recipe, None)


def test_the_command_line_wants_to_be_told_that_there_are_no_images():
    settled = settle(Recipe(name="mine"), None, intaglio.Options())

    with pytest.raises(RequestError, match=r"give data .* or say --data none"):
        calibration_data(None, settled, evaluated=False, limit=None)
    assert calibration_data(NO_DATA, settled, evaluated=False, limit=None) is None


def test_a_step_that_needs_labels_is_refused_before_any_work_where_data_can_have_none(learner):
    recipe, _ = learner
    told = Told()

    with pytest.raises(RequestError, match="step 'learner' needs 'labels'"):
        compressed(recipe, X, told)

    assert told.names == []


def test_it_is_refused_before_calibration_where_only_reading_tells(learner):
    recipe, given = learner
    told = Told()

    with pytest.raises(RequestError, match="step 'learner' needs 'labels'"):
        compressed(recipe, [X], told)

    assert "calibrate" not in told.names
    assert given == []


def test_a_step_that_needs_labels_is_given_those_of_its_images(learner):
    recipe, given = learner

    compressed(recipe, [(X, Y)])

    (context,) = given
    assert torch.equal(context.images, X)
    assert torch.equal(context.labels, Y)
