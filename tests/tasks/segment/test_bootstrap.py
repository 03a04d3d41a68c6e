"""How sure a difference of mean IoU is."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.errors import DataError, RequestError
from intaglio.tasks.detect.bootstrap import drawn
from intaglio.tasks.segment.bootstrap import iou_error, largest_part


def one_class(right: np.ndarray, pixels: int = 100) -> np.ndarray:
    """Counts [pictures, 1, 3] of pictures of one class, of which some pixels are found."""
    whole = np.full_like(right, pixels)
    return np.stack([right, whole, right], axis=1)[:, None]


def test_of_one_class_it_is_the_standard_error_of_a_mean():
    generator = np.random.default_rng(0)
    real, found = (one_class(generator.integers(40, 90, 60)) for _ in range(2))

    error = iou_error(real, found, rounds=4000)

    # all pictures have 100 pixels, so that the IoU is the mean of each picture's percent
    apart = (real - found)[:, 0, 0]
    wanted = apart.std() / np.sqrt(len(apart))
    assert error == pytest.approx(wanted, rel=0.04)  # 1 / sqrt(2 * 4000) is 1.1 %, of its spread


def test_it_is_what_drawing_the_pictures_one_by_one_gives():
    generator = np.random.default_rng(1)
    pair = [generator.integers(0, 50, (6, 3, 3)) for _ in range(2)]
    for each in pair:
        each[:, :, 1:] += each[:, :, :1]  # no more is right than there is
    pair[1][:, :, 1] = pair[0][:, :, 1]
    apart = []
    for weights in drawn(6, 30, 7):
        figures = []
        for each in pair:
            pooled = sum(int(w) * picture for w, picture in zip(weights, each, strict=True))
            figures.append(np.mean([b / (t + f - b) for b, t, f in pooled if t]))
        apart.append(100 * (figures[0] - figures[1]))

    assert iou_error(*pair, rounds=30, seed=7) == pytest.approx(np.std(apart, ddof=1))


def test_networks_that_find_the_same_have_no_error():
    counts = one_class(np.random.default_rng(0).integers(0, 99, 20))

    assert iou_error(counts, counts) == 0.0


def test_a_class_of_one_picture_alone_does_not_make_rounds_void():
    real = np.zeros((2, 2, 3), np.int64)
    real[0, 0], real[1, 1] = (5, 5, 5), (3, 4, 3)
    found = real.copy()
    found[1, 1, 0] = 1

    assert iou_error(real, found) > 0.0


def test_no_pictures_have_no_error():
    assert iou_error(np.zeros((0, 1, 3), np.int64), np.zeros((0, 1, 3), np.int64)) == 0.0
    assert iou_error(np.zeros((3, 2, 3), np.int64), np.zeros((3, 2, 3), np.int64)) == 0.0


def test_too_few_rounds_and_unlike_counts_are_refused():
    counts = one_class(np.array([1, 2]))

    with pytest.raises(RequestError, match="at least 2 rounds, got rounds = 1"):
        iou_error(counts, counts, rounds=1)
    with pytest.raises(DataError, match=r"over \[2, 1, 3\] .* the other one over \[1, 1, 3\]"):
        iou_error(counts, counts[:1])


def test_the_largest_part_is_that_of_pictures_left_out_one_by_one():
    generator = np.random.default_rng(3)
    pair = [generator.integers(0, 50, (7, 4, 3)) for _ in range(2)]
    for each in pair:
        each[:, :, 1:] += each[:, :, :1]  # no more is right than there is
        each[:6, 3] = 0  # a class of the last picture alone
    pair[1][:, :, 1] = pair[0][:, :, 1]

    def drop(left: list[int]) -> float:
        figures = []
        for each in pair:
            pooled = sum(each[picture] for picture in left)
            figures.append(np.mean([b / (t + f - b) for b, t, f in pooled if t]))
        return 100 * (figures[0] - figures[1])

    whole = drop(list(range(7)))
    changes = [abs(drop([k for k in range(7) if k != out]) - whole) for out in range(7)]

    assert largest_part(*pair) == pytest.approx(max(changes)) != 0.0


def test_of_pictures_that_lose_alike_no_part_is_large():
    real = one_class(np.full(20, 90))

    assert largest_part(real, one_class(np.full(20, 80))) == 0.0
    one_loses = one_class(np.array([80, *[90] * 19]))
    assert largest_part(real, one_loses) == pytest.approx(10 / 20)  # the whole loss


def test_a_picture_that_is_all_that_counts_has_no_part():
    counts = one_class(np.array([90]))

    assert largest_part(counts, one_class(np.array([50]))) == 0.0
    assert largest_part(np.zeros((3, 2, 3), np.int64), np.zeros((3, 2, 3), np.int64)) == 0.0
    with pytest.raises(DataError, match=r"the other one over \[2, 1, 3\]"):
        largest_part(counts, one_class(np.array([1, 2])))
