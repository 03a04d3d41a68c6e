"""The loss of a batch."""

from __future__ import annotations

import pytest
import torch

from intaglio.methods.learn.objective import Wanted, batch_loss, mixed, own_share
from intaglio.methods.learn.options import TrainOptions
from intaglio.tasks.classify import CLASSIFY

SCORES = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.5, 0.0]])
FLOAT = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
LABELS, PARTNERS = torch.tensor([0, 1]), torch.tensor([1, 0])


def test_without_distillation_the_loss_is_the_tasks():
    found = batch_loss(CLASSIFY, [SCORES], Wanted([(1.0, LABELS)]), TrainOptions(smoothing=0.1))

    assert torch.equal(found, CLASSIFY.loss([SCORES], LABELS, smoothing=0.1))


def test_distillation_is_a_share_of_the_loss():
    options = TrainOptions(distill=0.25, temperature=2.0)

    found = batch_loss(CLASSIFY, [SCORES], Wanted([(1.0, LABELS)], [FLOAT]), options)

    distance = CLASSIFY.distance([SCORES], [FLOAT], temperature=2.0)
    assert found == pytest.approx(float(0.75 * CLASSIFY.loss([SCORES], LABELS) + 0.25 * distance))


def test_distillation_alone_needs_no_labels():
    found = batch_loss(CLASSIFY, [SCORES], Wanted([(1.0, None)], [FLOAT]), TrainOptions(distill=1))

    assert torch.equal(found, CLASSIFY.distance([SCORES], [FLOAT]))


def test_labels_of_mixed_images_count_by_their_shares():
    wanted = Wanted([(0.75, LABELS), (0.25, PARTNERS)])

    found = batch_loss(CLASSIFY, [SCORES], wanted, TrainOptions(mixup=0.2))

    parts = [float(CLASSIFY.loss([SCORES], labels)) for labels in (LABELS, PARTNERS)]
    assert found == pytest.approx(0.75 * parts[0] + 0.25 * parts[1])


def test_images_are_mixed_by_their_share():
    assert torch.equal(
        mixed(torch.ones(1, 2), torch.full((1, 2), 5.0), 0.75), torch.tensor([[2.0, 2.0]])
    )


def test_the_share_is_drawn_by_seed_and_step_from_a_beta_distribution():
    options = TrainOptions(mixup=0.4, seed=3)

    shares = torch.tensor([own_share(options, step) for step in range(2000)])

    assert own_share(options, 7) == own_share(options, 7) != own_share(options, 8)
    assert own_share(options, 7) != own_share(TrainOptions(mixup=0.4, seed=4), 7)
    # Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)); 2000 draws, five standard errors
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(shares.var()) == pytest.approx(1 / (4 * 1.8), abs=0.02)


def test_nothing_is_mixed_where_mixup_is_off():
    assert own_share(TrainOptions(), 5) == 1.0
