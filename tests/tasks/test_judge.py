"""The judge: counts by hand, labels that are its own, and no figure that cannot see a failure."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from intaglio.read.module.export import capture
from intaglio.tasks import Wish
from intaglio.tasks.judge import FEWEST, Judge

X = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(3, (40,), generator=torch.Generator().manual_seed(1))


class Fixed(nn.Module):
    """A network whose logits are its pooled image, times a factor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) * 4.0


GRAPH = capture(Fixed().eval(), X[:1])
REAL = Fixed()(X)


def test_it_counts_agreement_accuracy_and_noise():
    noisy = REAL + 0.3 * torch.randn(40, 3, generator=torch.Generator().manual_seed(2))
    given = iter(torch.split(noisy, 4))

    found = Judge(GRAPH, X, REAL.argmax(1)).of(lambda images: next(given))  # type: ignore[arg-type]

    same = REAL.argmax(1) == noisy.argmax(1)
    assert found.n == 40
    assert found.agreement.by_image.tolist() == same.tolist()
    assert found.percent == found.figures["top1"] == pytest.approx(100.0 * same.double().mean())
    assert found.figures["float_top1"] == 100.0
    assert found.labelled.points == pytest.approx(100.0 - found.figures["top1"])
    power = (REAL - REAL.mean(0)).square().sum() / (noisy - REAL).square().sum()
    assert found.sqnr_db == pytest.approx(10 * math.log10(power), abs=1e-3)


def test_labels_that_the_float_network_does_not_know_decide_nothing():
    found = Judge(GRAPH, X, LABELS).of(lambda images: torch.zeros(len(images), 3))  # type: ignore[arg-type]

    assert found.labelled is None  # about a third is right either way
    assert found.misses(Wish())


def test_labels_of_other_classes_than_the_networks_are_passed_over():
    judge = Judge(GRAPH, X, LABELS + 500)

    assert judge.labels is None
    assert not judge.is_told


def test_short_of_time_it_takes_in_few_images():
    judge = Judge(GRAPH, X, LABELS, seconds=1e-9)

    assert len(judge.images) == FEWEST == len(judge.labels)
    assert judge.of(lambda images: images.mean((2, 3)) * 4.0).n == FEWEST  # type: ignore[arg-type]


def test_without_images_no_wish_is_met_or_missed():
    found = Judge(GRAPH, X[:0], None).of(lambda images: images)  # type: ignore[arg-type]

    assert (found.n, found.percent, found.figures) == (0, None, {})
    assert not found.meets(Wish(100.0, 0.0))
    assert not found.misses(Wish())


def test_a_network_that_is_no_classifier_is_judged_by_noise_alone():
    module = nn.Conv2d(3, 4, 3).eval()
    graph = capture(module, X[:1])

    found = Judge(graph, X, LABELS).of(lambda images: module(images).detach() + 0.01)  # type: ignore[arg-type]

    assert (found.loss, found.percent) == (None, None)
    assert 20.0 < found.sqnr_db < 60.0
    assert found.meets(Wish())
