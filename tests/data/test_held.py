"""Held images: a seeded fifth apart, labels with their images, no more than asked for."""

from __future__ import annotations

import pytest
import torch

from intaglio.data.held import LEAST_TO_SPLIT, Share, hold_images, judged_within
from intaglio.errors import DataError

X = torch.arange(40.0).reshape(40, 1, 1, 1).expand(40, 3, 4, 4).contiguous()
Y = torch.arange(40)


def held(data, count=40, share=0.2, seed=0, judging=1000):
    return hold_images(data, (3, 4, 4), Share(count, share, judging), seed=seed)


def numbers(images):
    return images[:, 0, 0, 0].int().tolist()


def test_a_fifth_is_set_apart_and_nothing_is_lost_or_twice():
    found = held(X)

    assert len(found.judged) == 8
    assert sorted(numbers(found.tuning) + numbers(found.judged)) == list(range(40))
    assert numbers(found.tuning) == sorted(numbers(found.tuning))


def test_the_seed_decides_which():
    assert numbers(held(X).judged) == numbers(held(X).judged)
    assert numbers(held(X).judged) != numbers(held(X, seed=1).judged)


def test_labels_stay_with_their_images():
    found = held([(X[:25], Y[:25]), (X[25:], Y[25:])])

    assert found.labels.tolist() == numbers(found.judged)
    assert found.tuning_labels.tolist() == numbers(found.tuning)


@pytest.mark.parametrize(
    "data",
    [
        X,
        [X[:20], X[20:]],
        [(X, X)],  # a second tensor that is no class index
        [(X, Y[:3])],  # not one for each image
        [(X[:20], Y[:20]), (X[20:], None)],  # labels for some
    ],
)
def test_what_is_no_label_for_every_image_is_none(data):
    assert held(data).labels is None
    assert held(data).tuning_labels is None


def test_no_more_are_read_than_asked_for():
    def endless():
        while True:
            yield X[:16]

    found = held(endless(), count=24, share=0.0)

    assert len(found.tuning) == 24
    assert found.tuning_labels is None
    assert len(found.judged) == 0


def test_too_few_images_are_all_used_for_tuning():
    few = LEAST_TO_SPLIT - 1

    found = held([(X[:few], Y[:few])])

    assert len(found.tuning) == few
    assert found.tuning_labels.tolist() == list(range(few))
    assert len(found.judged) == 0


def test_no_images_are_refused():
    with pytest.raises(DataError, match="empty"):
        held([])


def test_what_is_held_is_a_copy():
    data = X.clone()

    found = held(data, share=0.0)
    data.zero_()

    assert torch.equal(found.tuning, X)


@pytest.mark.parametrize(
    ("count", "judging", "tuning", "judged"),
    [
        (40, 1000, 32, 8),  # at least a fifth judges
        (10, 1000, 10, 30),  # and whatever is not needed to tune
        (10, 12, 10, 12),  # within the memory for it
        (25, 1000, 25, 15),
    ],
)
def test_every_image_that_is_not_tuned_on_judges_within_its_memory(count, judging, tuning, judged):
    found = held([(X, Y)], count=count, judging=judging)

    assert (len(found.tuning), len(found.judged)) == (tuning, judged)
    assert not set(numbers(found.tuning)) & set(numbers(found.judged))
    assert found.labels.tolist() == numbers(found.judged)
    assert found.tuning_labels.tolist() == numbers(found.tuning)


def test_images_that_judge_and_their_outputs_share_the_memory():
    assert judged_within((3, 10, 10), outputs=100, judged_bytes=16_000) == 10
    assert judged_within((3, 10, 10), outputs=10**9, judged_bytes=16_000) == 1
