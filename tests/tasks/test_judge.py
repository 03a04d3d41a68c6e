"""The judge: counts by hand, wishes, and no choice by luck."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from intaglio.read.module.export import capture
from intaglio.tasks import CLASSIFY
from intaglio.tasks.classify import Accuracy
from intaglio.tasks.judge import Judge, Verdict

X = torch.randn(13, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Fixed(nn.Module):
    """A network whose logits are its pooled image, times a factor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) * 4.0


def verdict_of(n, same, sqnr_db, right=None, float_right=None) -> Verdict:
    """Return the verdict on a classifier, from counts."""
    lost = None
    if right is not None:
        lost = Accuracy(n, right).lost(Accuracy(n, float_right))
    return Verdict(n, same, sqnr_db, CLASSIFY.disagreements_a_point, lost)


def test_it_counts_agreement_accuracy_and_noise():
    graph = capture(Fixed().eval(), X[:1])
    real = Fixed()(X)
    labels = torch.randint(3, (13,), generator=torch.Generator().manual_seed(1))
    noisy = real + 0.3 * torch.randn(13, 3, generator=torch.Generator().manual_seed(2))
    given = iter(torch.split(noisy, 4))

    verdict = Judge(graph, X, labels).of(lambda images: next(given))  # type: ignore[arg-type]

    assert verdict.n == 13
    assert verdict.same == int((real.argmax(1) == noisy.argmax(1)).sum())
    right = int((noisy.argmax(1) == labels).sum())
    float_right = int((real.argmax(1) == labels).sum())
    assert verdict.figures == {"top1": 100 * right / 13, "float_top1": 100 * float_right / 13}
    power = (real.square().sum() / (noisy - real).square().sum()).item()
    assert verdict.sqnr_db == pytest.approx(10 * math.log10(power), abs=1e-3)
    assert verdict.drop == pytest.approx(100 * (float_right - right) / 13)


def test_without_labels_a_third_of_the_disagreement_counts():
    assert verdict_of(n=200, same=194, sqnr_db=20.0).drop == pytest.approx(1.0)
    assert verdict_of(n=200, same=194, sqnr_db=20.0).meets(1.0)
    assert not verdict_of(n=200, same=193, sqnr_db=20.0).meets(1.0)
    assert "at least 97 %" in verdict_of(n=200, same=193, sqnr_db=20.0).against(1.0)


@pytest.mark.parametrize("labels", [{}, {"right": 22, "float_right": 22}])
def test_a_handful_of_images_that_agree_do_not_make_a_fine_wish_sure(labels):
    verdict = verdict_of(n=24, same=24, sqnr_db=20.0, **labels)

    assert verdict.meets(1.0)
    assert not verdict.surely_meets(1.0)
    assert verdict.surely_meets(2.0)


def test_with_many_labels_accuracy_counts_and_disagreement_does_not():
    verdict = verdict_of(n=20_000, same=15_000, sqnr_db=10.0, right=15_800, float_right=16_000)

    assert verdict.drop == pytest.approx(1.0)
    assert verdict.meets(1.0)
    assert verdict.surely_meets(1.0)
    assert not verdict.meets(0.9)


def test_a_difference_within_its_standard_error_is_decided_by_noise():
    worse_by_luck = verdict_of(n=100, same=95, sqnr_db=20.0, right=79, float_right=80)
    better_by_luck = verdict_of(n=100, same=90, sqnr_db=12.0, right=80, float_right=80)

    assert worse_by_luck.is_better_than(better_by_luck)
    assert not better_by_luck.is_better_than(worse_by_luck)


def test_a_clear_difference_of_accuracy_comes_before_noise():
    collapsed = verdict_of(n=100, same=10, sqnr_db=30.0, right=5, float_right=80)
    works = verdict_of(n=100, same=90, sqnr_db=5.0, right=78, float_right=80)

    assert works.is_better_than(collapsed)
    assert not collapsed.is_better_than(works)


def test_nothing_is_better_than_itself():
    verdict = verdict_of(n=100, same=95, sqnr_db=20.0)

    assert not verdict.is_better_than(verdict)


def test_without_images_no_wish_is_met():
    verdict = Judge(capture(Fixed().eval(), X[:1]), X[:0], None).of(lambda images: images)

    assert verdict.n == 0
    assert not verdict.meets(100.0)
    assert (verdict.sqnr_db, verdict.agreement, verdict.figures) == (0.0, None, {})


def test_a_network_that_is_no_classifier_is_judged_by_noise_alone():
    module = nn.Conv2d(3, 4, 3).eval()
    graph = capture(module, X[:1])

    verdict = Judge(graph, X, None).of(lambda images: module(images).detach() + 0.01)

    assert verdict.n == 0
    assert 20.0 < verdict.sqnr_db < 60.0
