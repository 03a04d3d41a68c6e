"""What moves parameters."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from intaglio.methods.learn.learner import NORMS, SCALES, WEIGHTS
from intaglio.methods.learn.optimizer import Optimizer
from intaglio.methods.learn.options import TrainOptions


def three(value=1.0):
    names = (WEIGHTS, NORMS, SCALES)
    return {name: [nn.Parameter(torch.full((2,), value))] for name in names}


def first_of(groups):
    return {name: float(members[0].detach()[0]) for name, members in groups.items()}


def stepped(optimizer, groups, gradient=1.0):
    optimizer.set_rate(1.0)
    loss = sum(gradient * members[0].sum() for members in groups.values())
    optimizer.backward(loss)
    return optimizer.step()


def test_sgd_decays_weights_and_neither_norms_nor_scales():
    groups = three()
    optimizer = Optimizer(groups, TrainOptions(lr=0.1, weight_decay=0.5, scale_lr=0.01), "cpu")

    assert stepped(optimizer, groups)

    # the first step of Nesterov is (1 + 0.9) times the gradient; Adam's first is the rate itself
    assert first_of(groups) == pytest.approx(
        {WEIGHTS: 1 - 0.1 * 1.9 * 1.5, NORMS: 1 - 0.1 * 1.9, SCALES: 1 - 0.01}
    )


def test_adamw_decays_weights_alone_too():
    groups = three()
    options = TrainOptions(optimizer="adamw", lr=0.1, weight_decay=0.5, scale_lr=0.01)

    stepped(Optimizer(groups, options, "cpu"), groups)

    assert first_of(groups) == pytest.approx(
        {WEIGHTS: 1 - 0.1 * 0.5 - 0.1, NORMS: 0.9, SCALES: 0.99}
    )


@pytest.mark.parametrize("gradient", [1e-3, 1e3])
def test_a_step_of_a_scale_does_not_depend_on_how_large_its_gradient_is(gradient):
    groups = {SCALES: [nn.Parameter(torch.zeros(2))]}

    stepped(Optimizer(groups, TrainOptions(scale_lr=0.01), "cpu"), groups, gradient)

    assert first_of(groups)[SCALES] == pytest.approx(-0.01, rel=1e-4)


def test_rates_are_shares_of_the_highest_and_have_a_default():
    optimizer = Optimizer(three(), TrainOptions(), "cpu")

    assert optimizer.set_rate(0.5) == 0.005


def test_gradients_are_clipped_by_the_norm_of_all_weights_and_norms_together():
    groups = three(0.0)
    optimizer = Optimizer(groups, TrainOptions(lr=1.0, clip=1.0, weight_decay=0.0), "cpu")

    stepped(optimizer, groups, gradient=100.0)

    # four gradients of 100, of norm 200, become 0.5 each
    assert first_of(groups)[WEIGHTS] == pytest.approx(-1.9 * 0.5, rel=1e-4)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_nothing_moves_by_gradients_that_are_not_finite(wrong, precision):
    groups = three()
    optimizer = Optimizer(groups, TrainOptions(precision=precision), "cpu")

    is_finite = stepped(optimizer, groups, gradient=wrong)

    assert not is_finite
    assert first_of(groups) == {WEIGHTS: 1.0, NORMS: 1.0, SCALES: 1.0}


def test_an_overflow_of_fp16_lowers_the_scale_of_losses():
    groups = three()
    optimizer = Optimizer(groups, TrainOptions(precision="fp16"), "cpu")
    before = optimizer.loss_scale

    stepped(optimizer, groups, gradient=math.inf)

    assert optimizer.loss_scale == before / 2


def test_a_step_in_fp16_is_one_of_the_gradients_before_the_scale():
    groups, same = three(), three()
    for members, precision in ((groups, "fp16"), (same, "fp32")):
        stepped(Optimizer(members, TrainOptions(precision=precision), "cpu"), members)

    assert first_of(groups) == pytest.approx(first_of(same))


def test_scales_that_nothing_depends_on_stay():
    groups = three()
    optimizer = Optimizer(groups, TrainOptions(precision="fp16", lr=0.1), "cpu")
    optimizer.set_rate(1.0)

    optimizer.backward(groups[WEIGHTS][0].sum())

    assert optimizer.step()
    assert first_of(groups)[SCALES] == 1.0
    assert first_of(groups)[WEIGHTS] < 1.0


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_an_optimizer_goes_on_from_its_tensors_as_if_it_were_the_same(name):
    options = TrainOptions(optimizer=name, lr=0.1)
    groups, other = three(), three()
    optimizer, fresh = (Optimizer(found, options, "cpu") for found in (groups, other))
    stepped(optimizer, groups, gradient=2.0)

    fresh.restore(optimizer.tensors())
    for members, same in zip(groups.values(), other.values(), strict=True):
        same[0].data.copy_(members[0])
    kept = {key: value.clone() for key, value in optimizer.tensors().items()}
    stepped(optimizer, groups)
    stepped(fresh, other)

    assert first_of(groups) == first_of(other)
    fresh.restore(kept)  # and back: a step must not have changed what was kept
    stepped(fresh, other)
    assert set(kept) == set(optimizer.tensors())


def test_an_optimizer_forgets_what_is_not_in_the_tensors():
    groups = three()
    optimizer = Optimizer(groups, TrainOptions(), "cpu")
    stepped(optimizer, groups)

    optimizer.restore({})

    assert optimizer.tensors() == {}
