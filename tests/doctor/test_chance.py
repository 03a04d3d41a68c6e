"""How far chance goes, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from doctor import patients
from doctor.clinic import SEEDS, captured, sound_images
from intaglio.doctor.chance import GROUPS, SURE, Estimate, estimate, student
from intaglio.doctor.first_layer import FirstLayer, FirstLayerSeen, Moments
from intaglio.doctor.preprocessing import mistake_of


def seen_of(images: torch.Tensor, seed: int = 0) -> FirstLayerSeen:
    layer = FirstLayer.of(captured(patients.healthy, seed))
    assert layer is not None
    seen = layer.seen()
    for batch in images.split(7):  # no divisor of the groups: batches must not matter
        seen.add(batch)
    return seen


def red(moments: Moments) -> torch.Tensor:
    return moments.image_mean[0]


@pytest.mark.parametrize("count", [2, 8, GROUPS])
def test_the_error_of_a_mean_is_that_of_the_textbook(count: int) -> None:
    images = sound_images(count=count)
    means = images[:, 0].mean((1, 2)).double()

    found = seen_of(images).estimate(red)

    expected = means.std() / count**0.5 * student(SURE, count - 1)
    torch.testing.assert_close(found.value, means.mean(), rtol=1e-5, atol=0.0)
    torch.testing.assert_close(found.error, expected, rtol=1e-4, atol=0.0)  # float32 means


def test_many_images_are_judged_by_groups_in_the_same_memory() -> None:
    images = sound_images(count=4 * GROUPS)
    groups = images[:, 0].mean((1, 2)).double().reshape(4, GROUPS).mean(0)

    seen = seen_of(images)

    assert seen.sums.shape == seen_of(images[:1]).sums.shape
    expected = groups.std() / GROUPS**0.5 * student(SURE, GROUPS - 1)
    torch.testing.assert_close(seen.estimate(red).error, expected, rtol=1e-4, atol=0.0)


def test_one_image_says_nothing_for_certain() -> None:
    alone = estimate(torch.tensor(1e9), [])

    assert not alone.surely_above(0.0)
    assert not Estimate(-alone.value, alone.error).surely_below(0.0)
    assert not seen_of(sound_images(count=1)).estimate(red).surely_above(-1e9)


def test_students_t_is_as_wide_as_tables_say() -> None:
    # quantiles of 0.998650 (3 standard deviations), from tables
    for freedom, wanted in ((7, 4.53), (15, 3.59), (31, 3.26)):
        assert student(SURE, freedom) == pytest.approx(wanted, rel=0.01)
    assert student(SURE, 10**9) == pytest.approx(SURE)
    assert math.isfinite(student(SURE, 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_not_one_of_many_draws_of_right_images_is_called_wrong(seed: int) -> None:
    pool = sound_images(seed, 512)
    generator = torch.Generator().manual_seed(seed)

    for count in (8, 12, 32, 64):
        for _ in range(10):
            drawn = pool[torch.randperm(len(pool), generator=generator)[:count]]
            assert not mistake_of(seen_of(drawn, seed)).any


@pytest.mark.parametrize("seed", SEEDS)
def test_the_more_images_the_smaller_the_mistake_that_is_found(seed: int) -> None:
    darker = sound_images(seed, 256) - 0.23  # 0.65 standard deviations

    assert not mistake_of(seen_of(darker[:8], seed)).any
    assert mistake_of(seen_of(darker, seed)).shifted


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_channels_takes_more_images_than_a_scale(seed: int) -> None:
    swapped = sound_images(seed, 64).flip(1)

    assert not mistake_of(seen_of(swapped[:16], seed)).swapped
    assert mistake_of(seen_of(swapped, seed)).swapped
    assert mistake_of(seen_of((swapped[:16] + 1) * 127.5, seed)).scaled


def test_channels_that_are_no_colours_of_one_picture_have_no_order() -> None:
    shuffled = sound_images(count=64).flip(1).clone()
    shuffled[:, 0] = shuffled[torch.arange(64) - 1, 0]  # the means stay, likeness goes

    assert seen_of(shuffled).moments().likeness < 0.5
    assert not mistake_of(seen_of(shuffled)).swapped
