"""What is told of a segmenter from report.json alone: on a terminal, in a log, on the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from intaglio.report.figures import Wording
from intaglio.report.html import render_html
from intaglio.report.record import DataSource, FloatSide, IntegerSide, Report
from intaglio.report.segmentation import Borders, ClassIou, Segmentation, Zone
from intaglio.report.text import as_text, summary_lines
from intaglio.tasks.class_table import WORST
from intaglio.tasks.segment.told import told_sections
from report.test_report_page import NASTY

WORDING = Wording(sections=told_sections)
NEAR, INSIDE = Zone(300, 61.0, 58.5, 70.0, 69.0), Zone(700, 91.0, 91.25, 95.0, 95.5)
ROWS = [
    ClassIou(NASTY, 1200, 80.0, 70.0),
    ClassIou("sky", 88, 50.0, 50.0),
    ClassIou("b", 9, 1.0, 2.0),
]


@pytest.fixture(scope="module")
def report() -> Report:
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
        segmentation=Segmentation(ROWS, 97.13, Borders(1.5, NEAR, INSIDE)),
        wording=WORDING,
    )


def table(report, key):
    """Return the texts of a section's table, row by row."""
    (body,) = [section.body for section in told_sections(report) if section.key == key]
    return [[cell.text for cell in row.cells] for row in body.rows]


def test_the_table_has_each_class_in_the_report_s_order(report):
    assert table(report, "classes") == [
        [NASTY, "1,200", "80.00 %", "70.00 %", "-10.00"],
        ["sky", "88", "50.00 %", "50.00 %", "+0.00"],
        ["b", "9", "1.00 %", "2.00 %", "+1.00"],
    ]


def test_near_a_border_and_inside_stand_beside_each_other(report):
    assert table(report, "borders") == [
        ["near a border", "30.00 %", "61.00 %", "58.50 %", "-2.50", "70.00 %", "69.00 %"],
        ["inside", "70.00 %", "91.00 %", "91.25 %", "+0.25", "95.00 %", "95.50 %"],
    ]


def test_without_an_inside_or_borders_nothing_is_told_of_them(report):
    only = replace(report, segmentation=Segmentation(ROWS, borders=Borders(1.5, NEAR)))
    none = replace(report, segmentation=Segmentation(ROWS))

    assert [row[:2] for row in table(only, "borders")] == [["near a border", "100.00 %"]]
    assert [section.key for section in told_sections(none)] == ["classes", "pixels"]


def test_a_log_says_how_much_is_the_same_and_how_many_classes_lost(report):
    lines = summary_lines(report)

    assert "Same pixels: 97.13 % are of the same class by both networks" in lines
    assert "Classes: 3 with pixels; 1 lost IoU, 1 gained" in lines
    assert not any("near a border" in line for line in lines)


def test_a_terminal_shows_the_classes_that_lost_and_no_others(report):
    text = as_text(report)

    lost = text[text.index("Classes that lost most") :]
    assert "-10.00" in lost
    assert "sky" not in lost
    assert "near a border" in text


def test_of_many_classes_a_terminal_shows_the_worst_few(report):
    rows = [ClassIou(f"kind-{n:02}", 1, 50.0, float(n)) for n in range(30)]
    text = as_text(replace(report, segmentation=Segmentation(rows)))

    assert [f"kind-{n:02}" in text for n in range(30)] == [n < WORST for n in range(30)]


def test_a_report_without_an_evaluation_tells_nothing_of_pixels(report):
    for told in (None, Segmentation([])):
        assert told_sections(replace(report, segmentation=told)) == ()
    assert "class by class" not in render_html(replace(report, segmentation=Segmentation([])), {})


def test_a_report_from_a_file_tells_the_same(report):
    again = Report.from_dict(report.to_dict(), WORDING)

    assert as_text(again) == as_text(report)
    assert render_html(again, {}) == render_html(report, {})
