"""The order of images: all of them in an epoch, the same again from seed and step alone."""

from __future__ import annotations

import itertools

import pytest

from intaglio.data.order import epoch_order, step_indices, steps_from, steps_in_epoch
from intaglio.errors import DataError, RequestError


def test_an_epoch_has_each_image_once_and_another_order_for_each_seed_and_epoch() -> None:
    orders = [epoch_order(50, seed, epoch).tolist() for seed in range(3) for epoch in range(3)]

    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len(set(map(tuple, orders))) == 9
    assert epoch_order(50, 1, 2).tolist() == orders[5]


def test_the_steps_of_an_epoch_are_its_order_cut_into_batches_without_the_rest() -> None:
    steps = [step_indices(23, 5, seed=7, step=step) for step in range(8)]

    assert steps_in_epoch(23, 5) == 4
    assert list(itertools.chain(*steps[:4])) == epoch_order(23, 7, 0)[:20].tolist()
    assert list(itertools.chain(*steps[4:])) == epoch_order(23, 7, 1)[:20].tolist()


@pytest.mark.parametrize("first", [0, 1, 3, 4, 9])
def test_going_on_at_a_step_gives_what_an_unbroken_run_gives(first: int) -> None:
    unbroken = [step_indices(23, 5, seed=0, step=step) for step in range(14)]

    resumed = itertools.islice(steps_from(23, 5, seed=0, step=first), 14 - first)

    assert list(resumed) == unbroken[first:]


@pytest.mark.parametrize("batch", [7, 8, 10**9])
def test_a_batch_larger_than_the_data_is_all_of_it(batch: int) -> None:
    steps = [step_indices(7, batch, seed=0, step=step) for step in range(3)]

    assert steps_in_epoch(7, batch) == 1
    assert all(sorted(step) == list(range(7)) for step in steps)
    assert steps[0] != steps[1]


def test_seeds_that_share_their_low_bits_give_other_orders() -> None:
    assert epoch_order(50, 2**62, 0).tolist() != epoch_order(50, 0, 0).tolist()


def test_no_images_and_batches_of_none_are_refused_before_the_first_step() -> None:
    with pytest.raises(DataError, match="no images to train on"):
        steps_from(0, 4, seed=0)
    with pytest.raises(RequestError, match="a batch of 0 images"):
        steps_from(4, 0, seed=0)
