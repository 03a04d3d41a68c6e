"""Steps that harm are undone on images that they did not see; recipes are never worse for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

import intaglio
from intaglio.data.held import HeldImages
from intaglio.job.fixed import run_held
from intaglio.job.quantize import HELD_OUT, held_out, prepare_network
from intaglio.job.recorder import Recorder
from intaglio.methods.steps.steps import NUMBERS, STEPS, register_step
from intaglio.numerics.encodings import Encodings
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import settle
from methods.quantized import random_images, separable

X = random_images(120)
SEEN: list[Tensor] = []


@pytest.fixture(autouse=True)
def harmful(monkeypatch):
    """Add two steps on numbers: one that shifts every bias, and one that makes weights coarser."""
    monkeypatch.setattr(STEPS, "_entries", dict(STEPS._entries))
    SEEN.clear()

    @register_step("shift", NUMBERS)
    @dataclass(frozen=True)
    class Shift:
        """Shift every bias by some of its size."""

        by: float = 5.0

        def __call__(self, state, context):
            SEEN.append(context.tuning_images)
            graph = state.graph.copy()
            for name in state.encodings.weights:
                bias = graph.param(graph[name], "bias")
                graph.set_param(graph[name], "bias", bias + self.by * bias.abs().mean())
            return state.with_graph(graph)

    @register_step("coarsen", NUMBERS)
    @dataclass(frozen=True)
    class Coarsen:
        """Give every weight 4 bits."""

        def __call__(self, state, context):
            weights = {
                name: replace(
                    grid, scale=grid.scale * 16, spec=replace(grid.spec, bits=4, narrow=True)
                )
                for name, grid in state.encodings.weights.items()
            }
            return replace(state, encodings=Encodings(state.encodings.activations, weights))


def run(*names: str, recipe: Recipe | None = None) -> intaglio.Result:
    steps = [{"name": name} for name in names]
    recipe = recipe or Recipe(name="mine", steps=steps)
    return intaglio.compress(separable(), X[:1], data=X, recipe=recipe)


def test_a_step_that_lowers_the_outputs_is_undone_as_a_whole_and_that_is_said():
    with_it, without = run("correct-bias", "shift"), run("correct-bias")

    assert with_it.content == without.content
    (said,) = [text for text in with_it.report.warnings if "undone" in text]
    assert "step 'shift' was undone: on 30 images that it did not see it left" in said
    assert not [text for text in without.report.warnings if "undone" in text]


def test_steps_do_not_see_the_images_that_judge_them():
    run("shift")

    apart = X[held_out(len(X))]
    assert len(apart) == min(HELD_OUT, 30)
    (seen,) = SEEN
    assert len(seen) + len(apart) == len(X)
    assert not any(torch.equal(image, other) for image in seen for other in apart)


def test_with_few_images_none_is_kept_apart():
    assert len(held_out(15)) == 0
    assert len(held_out(16)) == 4
    assert len(held_out(10_000)) == HELD_OUT


def test_a_step_that_makes_the_file_smaller_is_not_undone_for_what_that_costs():
    recipe = Recipe(name="mine", steps=[{"name": "coarsen"}])
    recorder = Recorder()
    asked = settle(recipe, None, intaglio.Options())
    prepared, settings = prepare_network(intaglio.capture(separable(), X[:1]), asked, recorder)

    outcome = run_held(prepared, settings, HeldImages(X, X[:0]), recorder, device="cpu")

    assert {grid.spec.bits for grid in outcome.state.encodings.weights.values()} == {4}
    assert outcome.warnings == []


def test_a_recipe_that_was_worse_than_its_calibrator_alone_is_the_calibrator_alone():
    harmful = Recipe(name="mine", steps=[{"name": "replace-relu6"}])
    module = separable()
    with torch.no_grad():
        module[0].weight *= 20.0  # most values are cut at 6

    result = intaglio.compress(module, X[:1], data=X, recipe=harmful)
    plain = intaglio.compress(module, X[:1], data=X, recipe=Recipe(tuning_images=256))

    assert "were all undone" in result.report.warnings[0]
    assert result.content == plain.content
