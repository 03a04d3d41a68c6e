"""Pictures with boxes: their words never meet, and a browser shows the boxes where they are."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from intaglio.report import render_html
from intaglio.report.html import render_sections
from intaglio.report.pictures import (
    LETTER,
    SIDE,
    Mark,
    Pictures,
    Scene,
    View,
    jpeg_of,
    shown_size,
)
from intaglio.report.section import Plot, Section
from intaglio.report.text import plain_lines
from report.test_report_html import Reader
from report.test_report_page import NASTY, READ, Elements, page_requests

PIXELS = torch.zeros(3, 30, 40, dtype=torch.uint8)
PIXELS[0] = 200
FLOAT = View("Float: 2 boxes", (Mark(160, 60, 80, 120, "dog 0.50", "alone"),) * 2)
INTEGER = View(
    "Integer: 2 boxes",
    (Mark(0, 0, 320, 240, "cat 0.90", "both"), Mark(40, 40, 20, 20, NASTY, "both")),
)
LABELS = View("Labels: 1 box", (Mark(150, 60, 80, 120, "dog", "crowd"),))
SCENE = Scene(jpeg_of(PIXELS), 320, 240, "Picture 7: 0 of 2.", (FLOAT, INTEGER, LABELS))
SECTION = Section("pictures", "Pictures", Pictures((SCENE, SCENE)), hint="How to read it.")
CURVES = Section(
    "curves-plot",
    "Precision over recall",
    Plot(
        {
            "curves": [
                {"name": "all classes", "float": [100.0] * 101, "integer": [50.0] * 101},
                {"name": NASTY, "float": [90.0] * 101, "integer": [0.0] * 101},
            ]
        }
    ),
)

MARKS = st.builds(
    Mark,
    left=st.floats(0, 320),
    top=st.floats(0, 240),
    width=st.floats(0, 100),
    height=st.floats(0, 100),
    text=st.sampled_from(["cat", "a potted plant 0.33", "dog 0.91"]),
    kind=st.just("both"),
)


@given(st.lists(MARKS, min_size=1, max_size=12))
def test_words_never_meet_and_are_inside_and_the_first_box_has_its_own(marks: list[Mark]):
    view = View("", tuple(marks))

    words = Scene(b"", 320, 240, "", (view,)).words(view)

    assert words[0].text == marks[0].text
    for number, one in enumerate(words):
        assert 0 <= one.left <= one.left + one.width <= 320
        assert LETTER <= one.line <= 240
        for other in words[:number]:
            is_beside = one.left > other.left + other.width or other.left > one.left + one.width
            assert is_beside or abs(one.line - other.line) >= LETTER


def test_small_boxes_are_drawn_over_large_ones_and_all_are_drawn():
    assert [mark.text for mark in INTEGER.drawn] == ["cat 0.90", NASTY]
    assert len(FLOAT.drawn) == 2


@pytest.mark.parametrize(
    ("picture", "shown"),
    [
        ((480, 640), (240, 320)),
        ((640, 480), (320, 240)),
        ((5, 5), (320, 320)),
        ((1, 9000), (1, 320)),
        ((0, 0), (1, 1)),
    ],
)
def test_the_longer_side_of_a_scene_is_the_same_for_all(picture, shown):
    assert shown_size(*picture) == shown
    assert max(shown) <= SIDE


def test_a_jpeg_has_the_size_of_its_pixels_and_nearly_their_colour():
    seen = np.asarray(Image.open(io.BytesIO(jpeg_of(PIXELS))))

    assert seen.shape == (30, 40, 3)
    # JPEG rounds three colours of its own, and one flat one comes back within two steps
    assert np.abs(seen.astype(int) - [200, 0, 0]).max() <= 2


def test_a_page_holds_each_picture_once_and_its_words_as_text(report):
    page = render_html(report, {}, extra=[SECTION])

    tags = Reader(page).tags
    images = [attrs["href"] for tag, attrs in tags if tag == "image"]
    assert len(images) == 2
    assert base64.b64decode(images[0].removeprefix("data:image/jpeg;base64,")) == SCENE.jpeg
    assert [attrs["href"] for tag, attrs in tags if tag == "use"] == [
        *["#pictures-1"] * 2,
        *["#pictures-2"] * 2,
    ]
    assert sum(tag == "rect" for tag, _ in tags) == 10
    assert NASTY not in page
    assert "Picture 7: 0 of 2." in page


def test_a_terminal_is_told_nothing_of_pictures():
    assert plain_lines([SECTION]) == []


READ_BOXES = """
const places = [...document.querySelectorAll("svg.view")].map(function (view) {
  const own = view.getBoundingClientRect();
  return [...view.querySelectorAll("rect")].map(function (rect) {
    const box = rect.getBoundingClientRect();
    const scale = own.width / 320;
    return [box.left - own.left, box.top - own.top, box.width, box.height].map((x) => x / scale);
  });
});
const shown_image = new Image();
shown_image.src = document.querySelector("image").getAttribute("href");
const used = document.querySelector("use").getBBox();
const curves = shown("curves-plot");
setTimeout(() => report({
  title: document.title,
  places: places.slice(0, 3),
  loaded: [shown_image.naturalWidth, shown_image.naturalHeight],
  used: [used.width, used.height],
  rows: [...document.querySelectorAll(".views")].map(
    (views) => new Set([...views.children].map((view) => view.offsetTop)).size),
  lines: curves.querySelectorAll(".scatterlayer .trace").length,
  names: curves.data.map((trace) => trace.name),
  dashes: curves.data.map((trace) => trace.line.dash),
  legend: curves.querySelectorAll(".legend .traces").length,
}), 500);
"""


@pytest.mark.slow  # a browser is started
def test_a_browser_draws_the_boxes_in_place_and_the_curves_in_pairs(visit):
    page = render_sections("net", "for a test", [CURVES, SECTION])

    result = visit(page, script=READ + READ_BOXES)
    seen = json.loads(Elements(result.dom).probe)

    assert result.console == []
    assert page_requests(result.network_log) == []
    assert seen["title"] == "net: intaglio report"  # no name is read as markup
    assert seen["loaded"] == [40, 30]
    assert seen["used"] == [320, 240]
    for view, places in zip(SCENE.views, seen["places"], strict=True):
        wanted = [(mark.left, mark.top, mark.width, mark.height) for mark in view.drawn]
        assert np.abs(np.array(places) - wanted).max() < 0.1  # layout rounds to 1/64 of a pixel
    assert seen["rows"] == [seen["rows"][0]] * 2
    assert seen["lines"] == 4
    assert seen["dashes"] == ["dot", "solid"] * 2
    assert seen["legend"] == 2
    assert all("<" not in name for name in seen["names"])


@pytest.mark.slow  # a browser is started
def test_a_page_of_pictures_without_curves_opens_quietly(visit):
    result = visit(render_sections("net", "", [SECTION]))

    assert result.console == []
    assert result.dom.count("<use ") == 4
