"""Which candidates pass: thresholds, the highest of a level, a class or all, and peaks."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.boxes.families import corners
from intaglio.boxes.postprocess import Grid, Level, Part, PostProcess, Selection, Unplaced
from intaglio.boxes.select import candidates, highest, peaks

RANDOM = np.random.default_rng(5)
CLASSES = 3
COUNTS = (6, 4)
SCORES = [(RANDOM.integers(0, 8, (count, CLASSES)) / 8).astype(np.float32) for count in COUNTS]
"""Of two levels; many are equal."""


def selecting(background=None, **words):
    pattern = corners((64, 64), 1, classes=CLASSES)
    levels = tuple(
        Level(
            Unplaced(count),
            pattern.levels[0].coder,
            (Part(0, "rows", 4, 0, 4),),
            Part(1, "rows", CLASSES, 0, CLASSES),
        )
        for count in COUNTS
    )
    select = Selection(**words)
    return PostProcess("test", (64, 64), levels, CLASSES, select, None, 9, background=background)


def found(post):
    one = candidates(post, SCORES)
    return list(
        zip(
            one.levels.tolist(),
            one.positions.tolist(),
            one.classes.tolist(),
            one.scores,
            strict=True,
        )
    )


def everything(above, background=None):
    return [
        (level, position, own, score)
        for level, scores in enumerate(SCORES)
        for position, row in enumerate(scores)
        for own, score in enumerate(row)
        if score > above and own != background
    ]


def the_highest(some, most):
    """In their old order."""
    chosen = sorted(some, key=lambda one: -one[3])[:most]
    return [one for one in some if one in chosen]


@pytest.mark.parametrize("background", [None, 0, 2])
@pytest.mark.parametrize("above", [0.0, 0.25, 0.5, 1.0])
def test_scores_above_the_threshold_pass_and_the_threshold_itself_does_not(above, background):
    assert found(selecting(background, above=above)) == everything(above, background)


def test_without_a_threshold_all_pass():
    assert found(selecting(above=None)) == everything(-1)


@pytest.mark.parametrize("most", [1, 4, 100])
def test_the_highest_of_all_pass(most):
    assert found(selecting(above=0.1, most=most)) == the_highest(everything(0.1), most)


@pytest.mark.parametrize("most", [1, 4, 100])
@pytest.mark.parametrize(("within", "key"), [("level", 0), ("class", 2)])
def test_the_highest_of_each_level_or_class_pass(within, key, most):
    every = everything(0.1)
    groups = sorted({one[key] for one in every})
    some = [the_highest([one for one in every if one[key] == own], most) for own in groups]

    chosen = found(selecting(above=0.1, most=most, within=within))

    assert chosen == sorted(one for group in some for one in group)


@pytest.mark.parametrize("background", [None, 1])
def test_of_a_position_only_the_best_class_passes_and_never_the_background(background):
    expected = []
    for level, scores in enumerate(SCORES):
        for position, row in enumerate(scores.tolist()):
            rest = [(-score, own) for own, score in enumerate(row) if own != background]
            score, own = min(rest)
            if -score > 0.3:
                expected.append((level, position, own, -score))

    assert found(selecting(background, above=0.3, classes="best")) == expected


def test_a_score_that_is_no_number_never_passes():
    unsure = [np.full_like(own, np.nan) for own in SCORES]

    for words in ({"above": None}, {"above": 0.0}, {"classes": "best", "above": None}):
        assert len(candidates(selecting(**words), unsure)) == 0


def test_highest_keeps_the_first_of_equals():
    scores = np.asarray([1, 2, 1, 2, 1], np.float32)

    assert highest(scores, 3).tolist() == [0, 1, 3]
    assert highest(scores, None).tolist() == [0, 1, 2, 3, 4]


def test_a_peak_has_no_higher_neighbour():
    maps = RANDOM.integers(0, 5, (5, 6, 2)).astype(np.float32)

    found = peaks(maps).reshape(maps.shape)

    for row, column, own in np.ndindex(maps.shape):
        near = maps[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2, own]
        assert found[row, column, own] == (maps[row, column, own] == near.max())


def test_peaks_need_a_grid_of_one_anchor():
    two = Grid(2, 2, 1, 1, 0, 0, ((0, 0, 1, 1), (0, 0, 2, 2)))
    pattern = corners((64, 64), 1, classes=1).levels[0]
    for places in (two, Unplaced(4)):
        level = Level(places, pattern.coder, pattern.boxes, pattern.scores)
        with pytest.raises(ValueError, match="no peaks"):
            PostProcess("test", (64, 64), (level,), 1, Selection(peaks=True), None, 9)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"above": float("nan")},
        {"most": 0},
        {"within": "picture"},
        {"classes": "worst"},
        {"peaks": 1},
    ],
)
def test_a_selection_refuses_nonsense(nonsense):
    with pytest.raises(ValueError, match="must be"):
        Selection(**nonsense)
