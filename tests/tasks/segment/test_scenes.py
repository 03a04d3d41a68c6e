"""Pictures with maps over them: each view says the right classes, and a browser shows them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from tests.tasks.segment.scenery import NAMES, SIZE, scenery, worst_of

from intaglio.data.mask import IGNORED
from intaglio.report.text import plain_lines
from intaglio.tasks.segment.paints import BETTER, COLOURS, OTHER, UNCOUNTED, WORSE
from intaglio.tasks.segment.scenes import depths, pictures_section
from intaglio.tasks.segment.worst import WorstMaps
from report.test_report_page import NASTY


def colours(view):
    """Return what lies over a view, [h, w, 4]."""
    return np.asarray(Image.open(io.BytesIO(view.layer)))


def test_without_pictures_there_is_no_section():
    assert pictures_section(WorstMaps(), NAMES, {}) is None


def test_float_integer_and_labels_stand_side_by_side_and_then_what_changed():
    (scene,) = worst_of().body.scenes

    assert [view.title for view in scene.views] == [
        "Float",
        "Integer",
        "Labels",
        "Changed: 14.75 % of the pixels",  # 300 of the cat, 50, 4 of 2,400
    ]
    assert (scene.height, scene.width) == (213, 320)


def test_a_sentence_says_how_much_is_the_same_and_right():
    (scene,) = worst_of().body.scenes

    # 2,320 pixels count, 1,620 of the background: 50 of them float takes for another class, and
    # integer says it of 300 more; of the cat all and half; of the other class 100 of 150 and all
    background = 1570 / 1620, 1620 / 1920
    means = (background[0] + 1 + 100 / 150) / 3, (background[1] + 300 / 600 + 1) / 3
    assert scene.told == (
        "Picture 1: both networks say the same of 85.25 % of the pixels; mean IoU:"
        f" Float {100 * means[0]:.2f} %, Integer {100 * means[1]:.2f} %."
    )


def test_each_class_has_its_own_colour_the_background_none_and_ignored_is_grey():
    truth, real, found = scenery()
    (scene,) = worst_of().body.scenes

    for view, classes in zip(scene.views, (real, found, truth), strict=False):
        seen = colours(view)
        assert not seen[classes == 0][:, 3].any()
        for number, colour in ((1, COLOURS[0]), (2, COLOURS[1]), (IGNORED, UNCOUNTED.colour)):
            assert (seen[classes == number][:, :3] == colour).all()
            assert (seen[classes == number][:, 3] > 0).all()


def test_the_last_view_says_whether_a_change_was_for_the_better():
    seen = colours(worst_of().body.scenes[0].views[-1])

    truth, real, found = scenery()
    for paint, where in (
        (WORSE, (real == truth) & (found != truth)),
        (BETTER, (real != truth) & (found == truth)),
        (OTHER, (real != truth) & (found != truth) & (real != found)),
    ):
        assert where.any()
        assert (seen[where][:, :3] == paint.colour).all()
    assert not seen[real == found][:, 3].any()


def test_without_labels_no_change_is_called_better_or_worse():
    (scene,) = worst_of(labelled=False).body.scenes

    seen = colours(scene.views[-1])
    assert scene.told.endswith("; no pixel is labelled.")
    assert {tuple(one) for one in seen[seen[..., 3] > 0][:, :3].tolist()} == {OTHER.colour}


def test_an_extra_map_has_a_column_of_its_own_and_its_figure():
    truth = scenery()[0]

    (scene,) = worst_of(extra={"Integer + CRF": truth}).body.scenes

    assert [view.title for view in scene.views][1:4] == ["Integer", "Integer + CRF", "Labels"]
    assert scene.told.endswith(" %, Integer + CRF 100.00 %.")


def test_the_legend_names_all_classes_that_are_shown_and_no_others():
    names = ("background", "cat", "dog", "never")

    texts = [swatch.text for swatch in worst_of(names=names).body.legend]

    assert texts[:4] == ["cat", "dog", "background (clear)", "counts for nothing"]
    assert all(text.startswith("changed: ") for text in texts[4:])
    assert len(texts) == 7


@pytest.mark.parametrize(
    ("names", "is_clear"),
    [((), True), (("__background__", "", ""), True), (("sky", "cat", "dog"), False)],
)
def test_class_0_is_clear_only_where_it_is_the_background(names, is_clear):
    section = worst_of(names=names)

    assert any(swatch.text.endswith("(clear)") for swatch in section.body.legend) == is_clear
    seen = colours(section.body.scenes[0].views[0])
    assert (seen[scenery()[1] == 0][:, 3] == 0).all() == is_clear


def test_names_stand_in_the_largest_square_of_their_class():
    (scene,) = worst_of().body.scenes

    cat, other = scene.views[0].marks
    assert (cat.text, other.text) == ("cat", NASTY)
    scale = scene.width / SIZE[1]
    assert cat.left / scale >= 5
    assert (cat.left + cat.width) / scale <= 25
    assert cat.width / scale == pytest.approx(19)  # the largest odd side within 20 columns
    assert {mark.kind for view in scene.views for mark in view.marks} == {"region"}
    assert scene.views[-1].marks == ()
    middle = next(words for words in scene.words(scene.views[0]) if words.text == "cat")
    assert middle.left + middle.width / 2 == pytest.approx(cat.left + cat.width / 2)


@settings(deadline=None)
@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(1, 8), st.integers(1, 8)),
        elements=st.sampled_from([0, 3, IGNORED]),
    )
)
def test_a_depth_is_how_far_a_square_grows_within_its_class(classes):
    found = depths(classes)

    height, width = classes.shape
    for row, column in np.ndindex(classes.shape):
        reach = 0
        while True:
            out = reach + 1
            if row < out or column < out or row + out >= height or column + out >= width:
                break
            square = classes[row - out : row + out + 1, column - out : column + out + 1]
            if (square != classes[row, column]).any():
                break
            reach = out
        assert found[row, column] == reach


def test_a_terminal_is_told_nothing_of_pictures():
    assert plain_lines([worst_of()]) == []
