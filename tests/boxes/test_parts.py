"""Where numbers stand: the same numbers in every layout."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.boxes.parts import numbers
from intaglio.boxes.postprocess import Grid, Part, Proposed, Unplaced

CELL = ((-1, -1, 1, 1), (-2, -2, 2, 2))
GRID = Grid(3, 4, 8, 8, 4, 4, CELL)
PICTURES, WIDTH = 2, 5
ROWS = np.arange(PICTURES * GRID.count * WIDTH, dtype=np.float32).reshape(PICTURES, -1, WIDTH)
SPLIT = ROWS.reshape(PICTURES, 3, 4, 2, WIDTH)
LAYOUTS = {
    "rows": ROWS,
    "columns": ROWS.transpose(0, 2, 1),
    "map": SPLIT.transpose(0, 3, 4, 1, 2).reshape(PICTURES, 2 * WIDTH, 3, 4),
    "map-last": SPLIT.reshape(PICTURES, 3, 4, 2 * WIDTH),
    "anchor-maps": SPLIT.transpose(0, 3, 1, 2, 4),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("picture", [0, 1])
def test_every_layout_gives_the_same_numbers(layout, picture):
    outputs = [np.empty((PICTURES, 0), np.float32), LAYOUTS[layout]]

    found = numbers(Part(1, layout, WIDTH, 1, 3), GRID, outputs, picture)

    assert np.array_equal(found, ROWS[picture, :, 1:4])


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_a_level_begins_where_its_part_says(layout):
    found = numbers(Part(0, layout, WIDTH, 0, WIDTH, 7), Unplaced(4), [LAYOUTS[layout]], 1)

    assert np.array_equal(found, ROWS[1, 7:11])


def test_proposed_positions_are_all_rows():
    assert len(numbers(Part(0, "rows", WIDTH, 0, 2), Proposed(), [ROWS])) == GRID.count


def test_rows_of_one_number_may_lack_their_last_axis():
    found = numbers(Part(0, "rows", 1, 0, 1), Unplaced(6), [np.arange(6, dtype=np.float32)[None]])

    assert found.tolist() == [[0], [1], [2], [3], [4], [5]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_shape_is_refused_and_named(layout):
    part = Part(0, layout, WIDTH + 1, 0, 1)

    with pytest.raises(ValueError, match=r"output 0 of a picture is \[.*\]: as"):
        numbers(part, GRID, [LAYOUTS[layout]])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_output_without_an_axis_is_refused(layout):
    with pytest.raises(ValueError, match="output 0 of a picture is"):
        numbers(Part(0, layout, WIDTH, 0, 1), GRID, [ROWS.reshape(PICTURES, -1)])


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="at least 30 positions"):
        numbers(Part(0, "rows", WIDTH, 0, 1, 6), GRID, [ROWS])


def test_a_missing_output_is_refused():
    with pytest.raises(ValueError, match="output 3 is read, but the network gave 1"):
        numbers(Part(3, "rows", WIDTH, 0, 1), GRID, [ROWS])


def test_integers_are_refused():
    with pytest.raises(ValueError, match="int8: give its real values"):
        numbers(Part(0, "rows", WIDTH, 0, 1), GRID, [ROWS.astype(np.int8)])


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda: Part(-1, "rows", 5, 0, 1),
        lambda: Part(0, "heap", 5, 0, 1),
        lambda: Part(0, "rows", 5, 5, 1),
        lambda: Part(0, "rows", 5, 2, 4),
        lambda: Part(0, "rows", 5, 0, 0),
        lambda: Part(0, "rows", 5, 0, 1, -1),
    ],
)
def test_a_part_refuses_nonsense(nonsense):
    with pytest.raises(ValueError, match="must be"):
        nonsense()
