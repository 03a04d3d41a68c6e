"""Mirrored and moved images, against a loop that does the same to one image at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from intaglio.data.augment import Augment, augmented, drawn
from intaglio.errors import RequestError

BOTH = Augment(flip=True, crop=3)


def images(count: int, height: int = 7, width: int = 9) -> Tensor:
    """Images in which each number is there once, and none is 0."""
    size = count * 2 * height * width
    return torch.arange(1.0, size + 1).reshape(count, 2, height, width)


def moved(image: Tensor, *, mirrored: bool, down: int, right: int) -> Tensor:
    """Do to one image [C, H, W] by its definition, a pixel at a time, what was drawn."""
    height, width = image.shape[1:]
    result = torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            y, x = row - down, column - right
            if 0 <= y < height and 0 <= x < width:
                result[:, row, column] = image[:, y, width - 1 - x if mirrored else x]
    return result


@pytest.mark.parametrize("augment", [BOTH, Augment(flip=True), Augment(crop=3), Augment(crop=6)])
def test_each_image_is_mirrored_and_moved_as_drawn(augment: Augment) -> None:
    given = images(12)
    before = given.clone()

    found = augmented(augment, given, range(12), batch=12, seed=5, step=2)

    done = drawn(augment, 12, seed=5, step=2)
    numbers = zip(
        given, done.mirrored.tolist(), done.down.tolist(), done.right.tolist(), strict=True
    )
    expected = [moved(i, mirrored=m, down=down, right=right) for i, m, down, right in numbers]
    assert torch.equal(found, torch.stack(expected))
    assert torch.equal(given, before)


def test_any_part_of_a_batch_gets_what_it_has_in_the_whole() -> None:
    given = images(10)
    whole = augmented(BOTH, given, range(10), batch=10, seed=1, step=4)

    for places in ([0, 1, 2], [3, 4, 5, 6], [9, 7], torch.tensor([8]), []):
        index = torch.as_tensor(places, dtype=torch.int64)
        part = augmented(BOTH, given[index], places, batch=10, seed=1, step=4)
        assert torch.equal(part, whole[index])


def test_the_same_seed_and_step_do_the_same_and_others_do_not() -> None:
    given = images(16)
    results = [
        augmented(BOTH, given, range(16), batch=16, seed=seed, step=step)
        for seed, step in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]

    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert not torch.equal(results[0], results[3])


def test_half_are_mirrored_and_all_moves_are_as_likely() -> None:
    done = drawn(BOTH, 70_000, seed=0, step=0)

    # Standard deviations: 132 of 35,000, and 93 of 10,000; the seed is fixed.
    assert abs(int(done.mirrored.sum()) - 35_000) < 5 * 132
    for moves in (done.down, done.right):
        counts = torch.bincount(moves + 3, minlength=7)
        assert len(counts) == 7
        assert bool(((counts - 10_000).abs() < 5 * 93).all())
    assert bool((done.down != done.right).any())


def test_where_nothing_is_to_be_done_the_images_are_those_given() -> None:
    lines = torch.ones(2, 20)

    assert augmented(Augment(), lines, range(2), batch=2, seed=0, step=0) is lines
    assert not bool(drawn(Augment(crop=2), 100, seed=0, step=0).mirrored.any())


def test_what_is_no_image_or_too_small_is_refused() -> None:
    with pytest.raises(RequestError, match=r"for images \[N, C, H, W\], but these are \[2, 20\]"):
        augmented(BOTH, torch.ones(2, 20), range(2), batch=2, seed=0, step=0)
    with pytest.raises(RequestError, match=r"crop = 7 may move an image of 9x7 pixels out"):
        augmented(Augment(crop=7), images(2), range(2), batch=2, seed=0, step=0)
