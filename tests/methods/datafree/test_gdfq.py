"""GDFQ's losses, and what it does with networks that have no classes, or no batch norms."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from intaglio.errors import RequestError
from intaglio.methods.datafree.gdfq import TrainGdfq, classes_of
from intaglio.methods.datafree.losses import View
from intaglio.methods.datafree.tapped import Seen
from intaglio.methods.datafree.turn import turn_once
from intaglio.methods.steps.steps import make_step
from methods.datafree.small import (
    CLASSES,
    TwoHeads,
    cached_state,
    classifier,
    context,
    game_of,
    gdfq,
    quantized,
)


def view():
    """Return a batch of two mixed and two single labels, seen by both networks."""
    drawn = torch.Generator().manual_seed(0)
    labels = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0.5, 0.5, 0, 0], [0, 0, 0.2, 0.8]])
    teacher, student = (Seen([torch.randn(4, CLASSES, generator=drawn)], []) for _ in range(2))
    return View(torch.zeros(4, 3, 9, 9), labels, teacher, student)


def test_the_student_learns_softened_classes_and_labels_where_they_are_asked_for():
    losses = game_of(gdfq(kl_only=False, label_weight=0.5, temperature=4.0)).players.losses
    shown = view()
    teacher, student = shown.teacher.outputs[0], shown.student.outputs[0]

    found = losses.of_student(shown)

    shares = (teacher / 4.0).softmax(1)
    distance = (shares * (shares.log() - (student / 4.0).log_softmax(1))).sum(1).mean()
    labels = -(shown.labels * student.log_softmax(1)).sum(1).mean()
    assert torch.allclose(found, 16.0 * distance + 0.5 * labels)


def test_without_labels_the_teacher_s_own_answers_cost_nothing():
    losses = game_of(gdfq()).players.losses
    shown = view()

    found = losses.of_student(View(shown.images, shown.labels, shown.teacher, shown.teacher))

    assert abs(float(found)) < 1e-4


def test_the_generator_makes_images_of_the_labels_that_fit_the_batch_norms():
    game = game_of(gdfq(norm_weight=0.3))
    players = game.players
    drawn = players.generator.draw(8, torch.Generator().manual_seed(0), superposed=0.5)
    images = players.generator(drawn.latent, drawn.labels)
    seen = players.teacher(images, norms=True)

    found = players.losses.of_generator(View(images, drawn.labels, seen, None))

    wanted = F.cross_entropy(seen.outputs[0], drawn.labels)
    assert torch.allclose(found, wanted + 0.3 * players.losses.norms(seen.before))


def test_probabilities_are_taken_for_what_they_are():
    state = quantized(classifier(end=nn.Softmax(1)))
    losses = game_of(gdfq(), state).players.losses
    scores = torch.randn(4, CLASSES)

    assert losses.are_shares
    assert torch.allclose(losses._scores(scores.softmax(1)).softmax(1), scores.softmax(1))


def test_classes_are_those_of_one_output_of_two_or_more():
    assert classes_of(cached_state("w4a4").reference) == CLASSES
    assert classes_of(quantized(TwoHeads().eval()).reference) is None
    one = nn.Sequential(*list(classifier())[:9], nn.Linear(12, 1)).eval()
    assert classes_of(quantized(one).reference) is None


def test_a_network_without_classes_goes_on_without_labels_and_says_so():
    played = gdfq(steps=3).played(quantized(TwoHeads().eval()), context())

    assert played.steps == 3
    assert "outputs are no classes" in played.events[0].what


def test_a_network_without_batch_norms_is_refused_with_what_to_take_instead():
    with pytest.raises(RequestError, match="take 'train-zaq'"):
        gdfq().played(quantized(classifier(norms=False)), context())


def test_a_generator_that_is_led_by_classes_makes_images_that_the_teacher_takes_for_them():
    game = game_of(gdfq(warmup=100, steps=1, batch=32, width=16, generator_lr=1e-2))

    for _ in range(100):
        turn_once(game)

    generator = game.players.generator
    drawn = generator.draw(64, torch.Generator().manual_seed(5))
    with torch.no_grad():
        seen = game.players.teacher(generator(drawn.latent, drawn.labels))
    assert (
        seen.outputs[0].argmax(1) == drawn.labels.argmax(1)
    ).float().mean() > 0.75  # a quarter by chance


@pytest.mark.parametrize("options", [{"inundation": 0.01}, {"superposed": 0.4}, {"ranges": "lsq"},
                                     {"norm_units": "raw", "norm_moment": "std"},
                                     {"kl_only": False, "norm_eps": 0.8}])  # fmt: skip
def test_every_option_plays(options):
    played = gdfq(**options).played(cached_state("w4a4"), context())

    assert played.steps == 6


def test_a_recipe_names_the_step():
    step = make_step({"name": "train-gdfq", "steps": 3, "inundation": 0.001})

    assert step == TrainGdfq(steps=3, inundation=0.001)
