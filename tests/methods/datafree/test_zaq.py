"""ZAQ's losses: what each side makes small."""

from __future__ import annotations

import pytest
import torch

from intaglio.methods.datafree.discrepancy import (
    output_discrepancy,
    relation_discrepancy,
    released_discrepancy,
)
from intaglio.methods.datafree.losses import View
from intaglio.methods.datafree.tapped import Seen
from intaglio.methods.datafree.zaq import TrainZaq
from intaglio.methods.steps.steps import make_step
from methods.datafree.small import (
    CLASSES,
    TwoHeads,
    classifier,
    context,
    game_of,
    quantized,
    zaq,
)


def view(seed=0):
    """Return a batch that two networks see differently."""
    drawn = torch.Generator().manual_seed(seed)

    def seen():
        """Return outputs and two features."""
        outputs = [torch.randn(4, CLASSES, generator=drawn)]
        features = [torch.randn(4, *s, generator=drawn) for s in ((3, 5, 5), (6, 2, 2))]
        return Seen(outputs, features)

    return View(torch.randn(4, 3, 9, 9, generator=drawn), None, seen(), seen())


def test_the_student_makes_both_discrepancies_small_and_the_layers_weights_follow():
    losses = game_of(zaq(alpha=0.3)).players.losses
    shown = view()
    each = torch.stack(
        [relation_discrepancy(a, b) for a, b in zip(shown.teacher.features, shown.student.features,
                                                    strict=True)]
    )  # fmt: skip

    found = losses.of_student(shown)

    weights = 0.9 * 0.5 + 0.1 * each.softmax(0)
    wanted = output_discrepancy(shown.teacher.outputs, shown.student.outputs)
    assert torch.allclose(losses.weights.weights, weights)
    assert torch.allclose(found, wanted + 0.3 * (weights * each).sum())


def test_the_generator_makes_them_large_and_the_teacher_s_activations_too():
    losses = game_of(zaq(alpha=0.3, beta=0.5, norm_weight=0.0)).players.losses
    shown = view()
    weights = losses.weights.weights.clone()

    found = losses.of_generator(shown)

    distance = losses.distance(shown, moves_weights=False)
    strong = shown.teacher.features[-1].abs().mean()
    assert torch.allclose(found, -distance - 0.5 * strong)
    assert torch.equal(losses.weights.weights, weights)


def test_the_released_loss_stands_in_for_relation_maps():
    losses = game_of(zaq(discrepancy="released", alpha=1.0)).players.losses
    shown = view()

    found = losses.of_student(shown)

    outputs = output_discrepancy(shown.teacher.outputs, shown.student.outputs)
    features = released_discrepancy(shown.teacher.features, shown.student.features)
    assert torch.allclose(found, outputs + features)


def test_batch_norms_hold_the_generator_only_where_there_are_some():
    assert game_of(zaq()).players.losses.wants_norms
    assert not game_of(zaq(norm_weight=0.0)).players.losses.wants_norms
    assert not game_of(zaq(), quantized(classifier(norms=False))).players.losses.wants_norms


@pytest.mark.parametrize("discrepancy", ["paper", "released"])
def test_any_network_plays_whatever_its_outputs(discrepancy):
    step = zaq(steps=3, discrepancy=discrepancy)

    played = step.played(quantized(TwoHeads().eval()), context())

    assert played.steps == 3
    assert played.end == played.end


def test_a_network_without_batch_norms_plays():
    played = zaq(steps=3).played(quantized(classifier(norms=False)), context())

    assert played.steps == 3


def test_a_recipe_names_the_step():
    step = make_step({"name": "train-zaq", "steps": 3, "discrepancy": "released"})

    assert step == TrainZaq(steps=3, discrepancy="released")
