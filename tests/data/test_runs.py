"""Runs: what pycocotools writes is read back, and what it would read out of bounds is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco

from intaglio.data.runs import checked_runs, filled
from intaglio.errors import DataError


def slowly(counts: list[int], height: int, width: int) -> NDArray[np.bool_]:
    """A plain loop: down each column, by turns outside and inside."""
    found = np.zeros((height, width), np.bool_)
    place, inside = 0, False
    for count in counts:
        for pixel in range(place, place + count):
            found[pixel % height, pixel // height] = inside
        place, inside = place + count, not inside
    return found


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.integers(1, 9))
def test_texts_of_pycocotools_are_read_back(height: int, width: int, seed: int, patch: int) -> None:
    small = np.random.default_rng(seed).random((height, width)) < seed / 99
    drawn = np.kron(small, np.ones((patch, patch), bool)).astype(np.uint8)
    text = coco.encode(np.asfortranarray(drawn))["counts"].decode()

    runs = checked_runs({"size": list(drawn.shape), "counts": text}, drawn.shape, "here")

    assert np.array_equal(filled(runs, drawn.shape), drawn.astype(bool))


def test_a_list_of_counts_runs_down_the_columns() -> None:
    counts = [2, 3, 0, 4, 3]

    runs = checked_runs({"size": [3, 4], "counts": counts}, (3, 4), "here")

    assert np.array_equal(filled(runs, (3, 4)), slowly(counts, 3, 4))
    assert filled(runs, (3, 4)).astype(int).tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [1, 1, 1, 0]]


def test_a_text_by_hand_has_differences_from_the_fourth_number_on() -> None:
    # 6, 1, 40, 4 of 51 pixels: 40 = 8 + 1 * 32, 4 - 1 = 3
    text = "".join(chr(48 + group) for group in (6, 1, 8 + 32, 1, 3))

    assert checked_runs({"size": [17, 3], "counts": text}, (17, 3), "").tolist() == [6, 1, 40, 4]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"size": [4, 3], "counts": [12]}, r"the size \[4, 3\], but its picture has \[3, 4\]"),
        ({"counts": [12]}, "the size None"),
        ({"size": [3, 4]}, "neither a text nor a list"),
        ({"size": [3, 4], "counts": [12.0]}, "neither a text nor a list"),
        ({"size": [3, 4], "counts": [True]}, "neither a text nor a list"),
        ({"size": [3, 4], "counts": []}, "do not fill the 12 pixels .* sum up to 0"),
        ({"size": [3, 4], "counts": [5, 6]}, "sum up to 11; the file may be cut off"),
        ({"size": [3, 4], "counts": [5, 8]}, "sum up to 13"),
        ({"size": [3, 4], "counts": [-1, 13]}, "one is below 0 or beyond"),
        ({"size": [3, 4], "counts": [10**30]}, "one is below 0 or beyond"),
        ({"size": [3, 4], "counts": [12] * 10**5}, "sum up to 1200000"),
        ({"size": [3, 4], "counts": ""}, "sum up to 0"),
        ({"size": [3, 4], "counts": "o"}, "end within a number: the file may be cut off"),
        ({"size": [3, 4], "counts": "ooo"}, "end within a number"),
        ({"size": [3, 4], "counts": "<\x00"}, "a character that no runs have"),
        ({"size": [3, 4], "counts": "<~"}, "a character that no runs have"),
        ({"size": [3, 4], "counts": "é"}, "a character that no runs have"),
        ({"size": [3, 4], "counts": "\ud800"}, "a character that no runs have"),
        ({"size": [3, 4], "counts": "o" * 12 + "0"}, "a number of 13 characters"),
        ({"size": [3, 4], "counts": "P" * 7 + "0"}, "sum up to 0"),
        ({"size": [3, 4], "counts": "O"}, "one is below 0 or beyond"),
    ],
)
def test_runs_that_do_not_fill_the_picture_exactly_are_refused(
    form: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=rf"^x\.json: annotation 3 has .*{message}"):
        checked_runs(form, (3, 4), "x.json: annotation 3")


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12))
def test_whatever_a_text_holds_it_is_runs_of_the_picture_or_refused(text: str) -> None:
    try:
        runs = checked_runs({"size": [5, 6], "counts": text}, (5, 6), "here")
    except DataError:
        return
    assert runs.sum() == 30
    assert runs.min() >= 0
    assert filled(runs, (5, 6)).shape == (5, 6)


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_text_that_is_cut_off_never_passes_for_a_whole_one(cut: int) -> None:
    drawn = (np.random.default_rng(0).random((20, 20)) < 0.5).astype(np.uint8)
    text = coco.encode(np.asfortranarray(drawn))["counts"].decode()

    with pytest.raises(DataError):
        checked_runs({"size": [20, 20], "counts": text[:-cut]}, (20, 20), "here")
