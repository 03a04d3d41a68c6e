"""Judgements in closed form: what is lost, how sure that is, and what a wish makes of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from intaglio.tasks import CLASSIFY, Judgement, Loss, Wish
from intaglio.tasks.judgement import paired_loss
from intaglio.tasks.task import Agreement

WISH = Wish(max_drop=1.0, min_sqnr_db=25.0)


def flags(n: int, true: int) -> Tensor:
    return torch.arange(n) < true


def judged(
    n: int = 1000,
    same: int | None = None,
    db: float | dict[str, float] = 30.0,
    right: tuple[int, int] | None = None,
    *,
    is_sure: bool = True,
) -> Judgement:
    """Return the judgement of a network; `right` counts the float network's and its own."""
    noise = db if isinstance(db, dict) else {"out": db}
    by_image = None if same is None else flags(n, same)
    labelled = hits = None
    if right is not None:
        hits = 100.0 * flags(n, right[1]).double()
        labelled = paired_loss(100.0 * flags(n, right[0]).double(), hits)
    return Judgement(
        n,
        Agreement(n, same, noise, by_image, is_sure),
        CLASSIFY.disagreements_a_point,
        is_told=right is not None,
        labelled=labelled,
        by_image=hits,
    )


def test_a_paired_loss_is_the_mean_difference_and_its_standard_error():
    real, found = torch.tensor([100.0, 100, 0, 0]), torch.tensor([0.0, 100, 100, 0])

    loss = paired_loss(real, found)

    assert loss.points == 0.0
    assert loss.error == pytest.approx(100.0 * math.sqrt(3) / 4)  # two differ, and one more


def test_labels_and_disagreement_are_weighed_by_how_sure_they_are():
    found = judged(same=955, right=(800, 793))

    alone = judged(same=955).loss
    assert alone.points == pytest.approx(4.5 / 4.5)
    weights = [1 / alone.error**2, 1 / found.labelled.error**2]
    mean = (weights[0] * alone.points + weights[1] * 0.7) / sum(weights)
    assert found.loss.points == pytest.approx(mean)
    assert found.loss.error == pytest.approx(sum(weights) ** -0.5)
    assert found.loss.error < min(alone.error, found.labelled.error)


@pytest.mark.parametrize(
    ("judgement", "says"),
    [
        (judged(same=990), "proves"),
        (judged(same=965), "meets"),  # about 0.8 +- 0.3 points
        (judged(same=950), "neither"),  # about 1.1 +- 0.4
        (judged(same=900), "misses"),
        (judged(n=24, same=24), "meets"),  # that 24 agree does not prove one point
        (judged(db=26.0), "proves"),
        (judged(db=24.0), "misses"),
        (judged(db={"boxes": 40.0, "scores": 3.0}), "misses"),
        (judged(same=1000, db=-8.0, is_sure=False), "misses"),  # nobody said that these are classes
        (judged(same=1000, db=-8.0), "proves"),
        (judged(same=1000, db=-8.0, is_sure=False, right=(800, 800)), "proves"),  # labels say so
        (judged(n=0, same=None, db={}), "neither"),
    ],
)
def test_not_proven_is_not_not_met(judgement, says):
    found = (judgement.proves(WISH), judgement.meets(WISH), judgement.misses(WISH))

    wanted = {"proves": (1, 1, 0), "meets": (0, 1, 0), "neither": (0, 0, 0), "misses": (0, 0, 1)}
    assert found == tuple(map(bool, wanted[says]))


@pytest.mark.parametrize(
    ("judgement", "colour"),
    [
        (judged(same=995, right=(800, 799)), "green"),
        (judged(n=100, same=100, right=(80, 80)), "amber"),  # 0 +- 1 points
        (judged(same=950, right=(800, 793)), "green"),  # 0.7 +- 0.27
        (judged(same=950, right=(800, 785)), "amber"),
        (judged(same=950, right=(800, 779)), "red"),
        (judged(same=0, right=(622, 0)), "red"),
        (judged(db=26.0), "green"),
        (judged(db=15.0), "amber"),
        (judged(db={"boxes": 40.0, "scores": 9.9}), "red"),
        (judged(same=1000, db=9.0, is_sure=False), "red"),
    ],
)
def test_the_colour_is_that_of_the_contract(judgement, colour):
    assert judgement.colour(WISH)[0] == colour


def test_of_several_outputs_the_lowest_is_named():
    said = judged(db={"boxes": 40.0, "scores": 3.0}).against(WISH)

    assert said == "an SQNR of 3.0 dB in 'scores', wished at least 25 dB on 1,000 images"


def test_a_difference_within_its_standard_error_is_decided_by_noise():
    worse_by_luck = judged(n=100, same=95, db=20.0, right=(80, 79))
    better_by_luck = judged(n=100, same=94, db=12.0, right=(80, 80))

    assert worse_by_luck.is_better_than(better_by_luck)
    assert not better_by_luck.is_better_than(worse_by_luck)


def test_a_clear_difference_of_accuracy_comes_before_noise():
    collapsed = judged(n=100, same=10, db=30.0, right=(80, 5))
    works = judged(n=100, same=90, db=5.0, right=(80, 78))

    assert works.is_better_than(collapsed)
    assert not collapsed.is_better_than(works)


def test_images_are_compared_in_pairs_so_that_few_of_many_count():
    first, second = judged(n=1000, same=960, db=10.0), judged(n=1000, same=950, db=20.0)

    assert first.is_better_than(second)  # 10 of 1000 and all the same way, however noisy


def test_nothing_is_better_than_itself():
    assert not judged(same=950).is_better_than(judged(same=950))


def test_agreement_with_a_network_that_always_says_the_same_proves_nothing():
    stubborn = Agreement(1000, 1000, {"out": -8.0}, flags(1000, 1000), is_varied=False)

    assert Judgement(1000, stubborn, 3.0, is_told=True).colour(WISH)[0] == "red"


def test_without_labels_or_answers_there_is_no_loss():
    assert judged().loss is None
    assert judged(right=(800, 800)).loss == Loss(0.0, pytest.approx(0.1))
