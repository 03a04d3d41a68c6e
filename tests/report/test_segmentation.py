"""A segmenter in report.json, which is read as a stranger's, and on the page in a browser."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.segment.scenery import SIZE, worst_of

from intaglio.errors import RequestError
from intaglio.report.figures import Wording
from intaglio.report.html import render_html, render_sections
from intaglio.report.pictures import LETTER, Mark, Scene, View
from intaglio.report.record import DataSource, FloatSide, IntegerSide, Report
from intaglio.report.segmentation import Borders, ClassIou, Segmentation, Zone
from intaglio.tasks.segment.paints import COLOURS
from intaglio.tasks.segment.told import told_sections
from report.test_report_page import NASTY, READ, Elements, page_requests

NEAR, INSIDE = Zone(30, 61.0, 60.123, 70.0, 69.0), Zone(70, 91.0, 91.0, 95.0, 95.0)
TOLD = Segmentation(
    [ClassIou(NASTY, 12, 80.0, 70.255), ClassIou("sky", 88, 50.0, 50.5)],
    matched_percent=97.126,
    borders=Borders(1.5, NEAR, INSIDE),
)


def report_of(told: Segmentation | None) -> Report:
    return Report(
        intaglio="0",
        model="net",
        target="litert",
        runtime="x",
        scheme="w8a8 per-channel",
        data=DataSource("calib", images=3),
        preprocess={},
        float=FloatSide(4, 1, 1),
        integer=IntegerSide(1),
        segmentation=told,
    )


def test_report_json_holds_two_decimals_and_gives_back_what_it_holds():
    plain = report_of(TOLD).to_dict()

    assert plain["segmentation"] == {
        "per_class": [
            {"name": NASTY, "pixels": 12, "float_iou": 80.0, "iou": 70.25},
            {"name": "sky", "pixels": 88, "float_iou": 50.0, "iou": 50.5},
        ],
        "matched_percent": 97.13,
        "borders": {
            "reach_percent": 1.5,
            "band": {
                "pixels": 30,
                "float_miou": 61.0,
                "miou": 60.12,
                "float_accuracy": 70.0,
                "accuracy": 69.0,
            },
            "inside": {
                "pixels": 70,
                "float_miou": 91.0,
                "miou": 91.0,
                "float_accuracy": 95.0,
                "accuracy": 95.0,
            },
        },
    }
    again = Report.from_dict(plain)
    assert again.to_dict() == plain
    assert again.segmentation.borders.inside == INSIDE


def test_what_was_not_measured_has_no_key():
    assert "segmentation" not in report_of(None).to_dict()
    assert report_of(Segmentation([])).to_dict()["segmentation"] == {"per_class": []}
    near = Segmentation([], borders=Borders(1.5, NEAR))
    assert "inside" not in report_of(near).to_dict()["segmentation"]["borders"]


def test_a_report_of_before_there_were_segmenters_is_read():
    plain = report_of(TOLD).to_dict()
    del plain["segmentation"]

    assert Report.from_dict(plain) == replace(report_of(TOLD), segmentation=None)


def test_points_gained_are_above_zero_and_lost_ones_below():
    assert [row.change for row in TOLD.per_class] == [pytest.approx(-9.745), 0.5]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("per_class", 1, "iou"), 101.0),
        (("per_class", 1, "float_iou"), None),
        (("per_class", 0, "pixels"), -1),
        (("per_class", 0, "name"), 3),
        (("matched_percent",), -0.5),
        (("borders", "band", "miou"), "much"),
        (("borders", "band"), None),
        (("borders", "inside", "accuracy"), 100.5),
        (("borders", "reach_percent"), -1.0),
    ],
)
def test_a_report_json_of_a_stranger_is_refused_by_the_value_that_is_wrong(path, value):
    plain = report_of(TOLD).to_dict()
    place = plain["segmentation"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    with pytest.raises(RequestError, match=r"segmentation\." + r"\.".join(map(str, path))):
        Report.from_dict(plain)


@settings(deadline=None)
@given(st.floats(0, 300), st.floats(0, 220), st.floats(1, 300), st.floats(1, 220))
def test_words_of_a_region_stand_in_its_middle_and_always_within_the_picture(x, y, width, height):
    mark = Mark(x, y, min(width, 320 - x), min(height, 240 - y), "tree", "region")

    (words,) = Scene(b"", 320, 240, "", ()).words(View("", (mark,)))

    assert 0 <= words.left <= words.left + words.width <= 320
    assert LETTER <= words.line <= 240
    middle = mark.left + mark.width / 2
    if words.width <= middle <= 320 - words.width:
        assert words.left + words.width / 2 == pytest.approx(middle)


READ_ROWS = """
report({
  title: document.title,
  heads: [...document.querySelectorAll("#classes tbody th")].map((cell) => cell.textContent),
  zones: [...document.querySelectorAll("#borders tbody th")].map((cell) => cell.textContent),
  wide: document.documentElement.scrollWidth <= document.documentElement.clientWidth,
});
"""


@pytest.mark.slow  # a browser is started
def test_a_browser_sorts_the_classes_and_reads_no_name_as_markup(visit):
    page = render_html(replace(report_of(TOLD), wording=Wording(sections=told_sections)), {})

    result = visit(page, fragment="#classes=-pixels", script=READ + READ_ROWS)
    seen = json.loads(Elements(result.dom).probe)

    assert result.console == []
    assert page_requests(result.network_log) == []
    assert seen["title"] == "net: intaglio report"
    assert NASTY not in page
    assert seen["heads"] == ["sky", NASTY]
    assert seen["zones"] == ["near a border", "inside"]
    assert seen["wide"]


READ_LAYERS = """
const views = [...document.querySelectorAll("svg.view")].slice(0, 4);
const own = views[0].getBoundingClientRect();
const layers = views.map((view) => view.querySelector("image.layer"));
const place = layers[0].getBoundingClientRect();
const image = new Image();
image.onload = function () {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  report({
    title: document.title,
    size: [image.naturalHeight, image.naturalWidth],
    cat: [...context.getImageData(12, 12, 1, 1).data],
    clear: [...context.getImageData(30, 2, 1, 1).data],
    place: [place.left - own.left, place.top - own.top,
      place.width / own.width, place.height / own.height],
    layers: layers.length,
    legend: [...document.querySelectorAll("#pictures-legend li")].map(
      (item) => item.textContent.trim()),
    swatch: document.querySelector("#pictures-legend img").naturalWidth,
    words: [...views[0].querySelectorAll("text")].map((text) => text.textContent),
    drawn: getComputedStyle(layers[0]).imageRendering,
    boxes: getComputedStyle(views[0].querySelector("rect")).stroke,
  });
};
image.src = layers[0].getAttribute("href");
"""


@pytest.mark.slow  # a browser is started
def test_a_browser_shows_the_maps_over_the_picture_and_reads_no_name_as_markup(visit):
    page = render_sections("net", "for a test", [worst_of()])

    result = visit(page, script=READ + READ_LAYERS)
    seen = json.loads(Elements(result.dom).probe)

    assert result.console == []
    assert page_requests(result.network_log) == []
    assert seen["title"] == "net: intaglio report"
    assert NASTY not in page
    assert seen["size"] == list(SIZE)
    assert seen["clear"][3] == 0
    # a canvas keeps colours multiplied by their alpha in 8 bits: two steps at most
    assert np.abs(np.subtract(seen["cat"][:3], COLOURS[0])).max() <= 2
    # of as many pixels as the picture, whose sides are rounded to 1/64
    assert np.abs(np.subtract(seen["place"], [0, 0, 1, 1])).max() < 0.02
    assert seen["layers"] == 4
    assert seen["legend"][:2] == ["cat", NASTY]
    assert seen["swatch"] == 32
    assert "cat" in seen["words"]
    assert seen["drawn"] == "pixelated"
    assert seen["boxes"] == "none"


@pytest.mark.slow  # a browser is started
def test_with_the_scripts_of_the_page_alone_nothing_is_refused(visit):
    result = visit(render_sections("net", "", [worst_of()]))

    assert result.console == []
    assert result.dom.count('class="layer"') == 4
