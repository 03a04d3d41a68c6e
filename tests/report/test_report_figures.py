"""Figures of a task: flat in report.json, told by the task's wording, else by their keys."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from intaglio.errors import IntaglioError, RequestError
from intaglio.report import FloatSide, IntegerSide, Report, summary_lines
from intaglio.report.figures import DECIBEL, PLAIN, Figure, Wording, percentage
from intaglio.report.parts import Attempt
from intaglio.report.section import Table
from intaglio.report.sections import attempts_section

WORDING = Wording(
    {"hits": percentage("Hits"), "error": Figure("Error"), "noise": Figure("Noise", DECIBEL, 1)},
    agreement=percentage("Same boxes as float", column="same boxes"),
)


def told(report: Report, **figures: float) -> Report:
    """Return a report of other figures, of the integer network on 7 images."""
    integer = IntegerSide(900, figures=figures, n=7, agreement=50.0)
    return replace(report, integer=integer, float=FloatSide(10, 20, 30), wording=WORDING, task="x")


def test_figures_stand_where_the_stable_keys_are(report):
    plain = report.to_dict()

    assert list(plain["float"]) == ["size_bytes", "macs", "params", "top1", "top5", "n"]
    keys = ["size_bytes", "top1", "top5", "n", "agreement", "logits_sqnr_db"]
    assert list(plain["integer"]) == keys
    assert "task" not in plain
    assert "wording" not in plain


def test_figures_of_an_attempt_stand_before_its_noise(report):
    attempt = Attempt("plain", 1.0, True, 24, 50.0, {"top1": 1.234, "float_top1": 50.0}, 20.0)

    plain = replace(report, attempts=[attempt]).to_dict()["attempts"][0]

    keys = ["name", "seconds", "kept", "n", "agreement", "top1", "float_top1", "sqnr_db"]
    assert list(plain) == keys
    assert plain["top1"] == 1.23


def test_figures_are_rounded_as_their_wording_says(report):
    plain = told(report, hits=12.3456, error=0.00012345, other=1.23456).to_dict()

    assert plain["task"] == "x"
    assert plain["integer"]["hits"] == 12.35
    assert plain["integer"]["error"] == 0.00012345
    assert plain["integer"]["other"] == 1.23456


def test_figures_come_back_with_and_without_their_wording(report):
    made = told(report, hits=12.25, error=0.5, other=3.0)

    for wording in (WORDING, PLAIN):
        again = Report.from_dict(made.to_dict(), wording)
        assert again.integer == made.integer
        assert again.to_dict() == made.to_dict()


def test_no_noise_is_null_and_comes_back(report):
    made = told(report, **{"noise.boxes": math.inf})

    assert made.to_dict()["integer"]["noise.boxes"] is None
    assert Report.from_dict(made.to_dict(), WORDING).integer == made.integer
    assert Report.from_dict(made.to_dict()).integer.figures == {}


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_what_json_lacks_is_refused_with_its_place(report, value):
    with pytest.raises(IntaglioError, match=r"report\.integer\.noise is"):
        told(report, noise=value).to_dict()


def test_a_figure_cannot_take_the_key_of_a_field(report):
    with pytest.raises(IntaglioError, match=r"report\.integer\.size_bytes is no name"):
        told(report, size_bytes=3.0).to_dict()


def test_a_figure_that_is_known_is_checked_when_read(report):
    plain = told(report, hits=12.0).to_dict()
    plain["integer"]["hits"] = 120

    assert Report.from_dict(plain).integer.figures == {"hits": 120.0}
    with pytest.raises(RequestError, match=r"integer\.hits: .*less than or equal to 100, got 120"):
        Report.from_dict(plain, WORDING)


@pytest.mark.parametrize("value", ["many", True, [1], 10**400])
def test_other_keys_of_later_versions_are_ignored(report, value):
    plain = report.to_dict()
    plain["integer"]["energy"] = value
    plain["wording"] = "nothing of ours"

    assert Report.from_dict(plain, report.wording).to_dict() == report.to_dict()


def test_a_number_of_a_later_version_is_no_figure_where_nothing_was_evaluated(report):
    plain = replace(report, integer=IntegerSide(900)).to_dict()
    plain["integer"]["energy"] = 3.0

    assert Report.from_dict(plain, report.wording).integer == IntegerSide(900)


def test_tables_tell_figures_by_title_and_unit(report):
    figures = {"hits": 12.0, "error": 0.0125, "noise.boxes": math.inf, "other": 3.0}
    lines = summary_lines(told(report, **figures))

    assert "Hits (n = 7): float –, integer 12.00 %" in lines
    assert "Error (n = 7): float –, integer 0.0125" in lines
    assert "Noise of boxes (n = 7): float –, integer exact" in lines
    assert "other (n = 7): float –, integer 3" in lines
    assert "Same boxes as float: integer 50.00 %" in lines


def test_the_change_of_a_percentage_is_in_points_and_of_others_in_their_unit(report):
    figures = {"hits": 12.0, "error": 0.5, "noise": 3.0}
    made = told(report, hits=10.5, error=0.75, noise=5.0)
    lines = summary_lines(replace(made, float=FloatSide(10, 20, 30, figures, 7)))

    assert "Hits (n = 7): float 12.00 %, integer 10.50 % (-1.50 points)" in lines
    assert "Error (n = 7): float 0.5, integer 0.75 (+0.25)" in lines
    assert "Noise (n = 7): float 3.0 dB, integer 5.0 dB (+2 dB)" in lines


def test_attempts_have_a_column_for_each_figure_that_one_of_them_has(report):
    attempts = [
        Attempt("plain", 1.0, True, 24, 90.0, {"top1": 80.0, "float_top1": 81.0}, 20.0),
        Attempt("mse", 0.0, False, 24, why="no time"),
    ]
    made = replace(report, attempts=attempts)

    columns = ("added", "outcome", "same class", "top-1", "SQNR", "seconds")
    assert titles_and_cells(made) == (
        columns,
        [
            ("plain", "kept", "90.00 %", "80.00 %", "20.0 dB", "1.0"),
            ("mse", "no time", "–", "–", "–", "0.0"),
        ],
    )
    assert titles_and_cells(replace(made, attempts=attempts[1:]))[0][3] == "SQNR"


def test_attempts_have_their_size_beside_their_figures_where_it_is_known(report):
    plain = Attempt("plain", 1.0, True, 24, 90.0, {"top1": 80.0}, 20.0, size_bytes=1_250_000)
    made = replace(report, attempts=[plain, Attempt("mse", 0.0, False, 24, why="no time")])

    titles, rows = titles_and_cells(made)

    assert titles[3:6] == ("top-1", "size", "SQNR")
    assert [row[4] for row in rows] == ["1.25 MB", "–"]


def titles_and_cells(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    section = attempts_section(report)
    assert section is not None
    assert isinstance(section.body, Table)
    rows = [tuple(cell.text for cell in row.cells) for row in section.body.rows]
    return tuple(column.title for column in section.body.columns), rows
