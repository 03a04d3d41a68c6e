"""What all labels of boxes share: clipping, counting, telling, and the size of a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.data.boxes_found import Box, Picture, Wording, dataset_of, picture
from intaglio.data.dataset import Dataset, FileSource
from intaglio.data.truth import Category, Truth
from intaglio.errors import DataError

SOURCE = FileSource("/nowhere")
WORDING = Wording("crowds", "look elsewhere")
CATEGORIES = (Category(1, "cat"), Category(2, "dog"))
SIZE = (6, 8)  # height, width
WHOLE = st.integers(-4, 12)


def found(*boxes: Box, name: str = "a.png") -> Picture:
    return picture(name, SOURCE, SIZE, boxes)


def truth_of(one: Picture) -> Truth:
    assert isinstance(one.item.label, Truth)
    return one.item.label


def collected(*pictures: Picture) -> Dataset:
    return dataset_of(Path("/nowhere/labels"), pictures, CATEGORIES, wording=WORDING)


@given(WHOLE, WHOLE, WHOLE, WHOLE)
def test_a_kept_box_has_as_many_pixels_as_lie_in_both_box_and_picture(
    x: int, y: int, right: int, bottom: int
) -> None:
    left, right, top, bottom = min(x, right), max(x, right), min(y, bottom), max(y, bottom)
    pixels = [
        (column, row)
        for column in range(SIZE[1])
        for row in range(SIZE[0])
        if left <= column < right and top <= row < bottom
    ]

    one = found(Box("it", (left, top, right, bottom), 0))

    truth = truth_of(one)
    assert len(truth) == (len(pixels) > 0)
    if pixels:
        columns, rows = zip(*pixels, strict=True)
        expected = [min(columns), min(rows), max(columns) + 1, max(rows) + 1]
        assert truth.boxes.tolist() == [expected]
        assert truth.areas.tolist() == [len(pixels)]
    is_clipped = len(pixels) > 0 and len(pixels) != (right - left) * (bottom - top)
    is_flat = left == right or top == bottom
    assert one.clipped == (("it",) if is_clipped else ())
    assert one.flat == (("it",) if is_flat else ())
    assert one.outside == (("it",) if not pixels and not is_flat else ())


@given(st.lists(st.floats(-1e300, 1e300), min_size=4, max_size=4))
def test_whatever_the_numbers_a_kept_box_lies_in_the_picture_and_has_two_sides(
    numbers: list[float],
) -> None:
    left, right = sorted(numbers[:2])
    top, bottom = sorted(numbers[2:])

    one = found(Box("it", (left, top, right, bottom), 0))

    boxes = truth_of(one).boxes
    assert len(boxes) + len(one.outside) + len(one.flat) == 1
    assert (boxes >= 0).all()
    assert (boxes[:, 2:] <= [SIZE[1], SIZE[0]]).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_types_and_order_are_those_of_a_truth() -> None:
    one = found(
        Box("1", (0, 0, 2, 2), 1, crowd=True, area=1.5),
        Box("2", (9, 0, 10, 2), 0),
        Box("3", (1, 1, 4, 3), 0),
    )

    truth = truth_of(one)
    assert (truth.boxes.dtype, truth.classes.dtype) == (np.float32, np.int64)
    assert (truth.crowd.dtype, truth.areas.dtype) == (np.bool_, np.float64)
    assert truth.classes.tolist() == [1, 0]
    assert truth.crowd.tolist() == [True, False]
    assert truth.areas.tolist() == [1.5, 6.0]
    assert (truth.size, truth.placement) == (SIZE, None)


def test_a_picture_without_boxes_has_arrays_of_the_same_types_and_no_rows() -> None:
    truth = truth_of(found())

    assert len(truth) == 0
    assert truth.boxes.shape == (0, 4)
    assert (truth.boxes.dtype, truth.classes.dtype) == (np.float32, np.int64)
    assert (truth.crowd.dtype, truth.areas.dtype) == (np.bool_, np.float64)


def test_a_box_beyond_the_edge_by_less_than_labels_are_rounded_is_clipped_untold() -> None:
    one = found(Box("it", (-0.004, 0, 8.009, 6), 0))

    assert truth_of(one).boxes.tolist() == [[0, 0, 8, 6]]
    assert one.clipped == ()
    assert found(Box("it", (-0.02, 0, 8, 6), 0)).clipped == ("it",)


def test_a_box_that_float32_cannot_tell_from_a_line_has_no_area() -> None:
    one = found(Box("it", (7.0, 1.0, 7.0 + 1e-9, 2.0), 0))

    assert (len(truth_of(one)), one.flat) == (0, ("it",))


def test_notes_count_what_is_unusual_and_name_the_first() -> None:
    inside, beyond = (0.0, 0.0, 2.0, 2.0), (7.0, 0.0, 11.0, 2.0)
    dataset = collected(
        found(Box("line 1", inside, 0, crowd=True), Box("line 2", beyond, 0), name="a.png"),
        found(Box("line 4", (20.0, 0.0, 22.0, 2.0), 0), name="b.png"),
        found(Box("line 1", beyond, 0), Box("line 2", (3.0, 3.0, 3.0, 5.0), 0), name="c.png"),
    )

    assert dataset.notes == (
        "2 of 5 boxes reach beyond the picture and are clipped to it; the first: line 2 of 'a.png'",
        "1 of 5 boxes lie wholly outside of the picture and are left out; the first: line 4 of"
        " 'b.png'",
        "1 of 5 boxes have no area and are left out; the first: line 2 of 'c.png'",
        "1 of 5 boxes are crowds: found or not, they count for nothing",
        "1 of 3 pictures have no box: whatever is found there is wrong; the first: 'b.png'",
    )


def test_where_nothing_is_unusual_nothing_is_told() -> None:
    dataset = collected(found(Box("line 1", (0, 0, 8, 6), 1)))

    assert dataset.notes == ()
    assert (dataset.name, dataset.labelled, dataset.categories) == ("labels", True, CATEGORIES)


def test_a_set_without_pictures_or_without_any_box_is_an_error_that_says_why() -> None:
    with pytest.raises(DataError, match=r"labels: the data set is empty: .*look elsewhere"):
        collected()
    with pytest.raises(DataError, match=r"none of the 2 pictures has a box.*look elsewhere"):
        collected(found(), found(name="b"))
    with pytest.raises(DataError, match=r"1 picture has a box; 1 of 1 box lie wholly outside"):
        collected(found(Box("line 1", (20, 20, 300, 300), 0)))
