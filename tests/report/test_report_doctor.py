"""The doctor's section of every report: in JSON, as text and on the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

import intaglio
from doctor import patients
from intaglio.report import Report, render_html, summary_lines
from intaglio.report.parts import Ailment

FOUND = Ailment("dead-channels", "stem<0>", {"dead_channels": 2, "range_ratio": 8.5}, "fold them")


@pytest.fixture
def ill(report: Report) -> Report:
    return replace(report, doctor=[FOUND], doctor_images=8)


def test_findings_come_back_from_json(ill: Report) -> None:
    plain = ill.to_dict()

    assert plain["doctor"] == [
        {
            "cause": "dead-channels",
            "layer": "stem<0>",
            "evidence": {"dead_channels": 2, "range_ratio": 8.5},
            "remedy": "fold them",
        }
    ]
    assert Report.from_dict(plain).doctor == ill.doctor


def test_a_report_from_before_the_doctor_says_nothing_of_it(report: Report) -> None:
    assert "doctor" not in report.to_dict()
    assert "Doctor" not in str(report)
    assert "Doctor" not in render_html(report, {})


def test_findings_are_told_as_text_and_on_the_page(ill: Report) -> None:
    assert "Doctor, 8 of the images looked at" in str(ill)
    assert "dead-channels" in str(ill)
    assert "Doctor: dead-channels in stem<0>: fold them" in summary_lines(ill)
    page = render_html(ill, {})
    assert "<h2>Doctor</h2>" in page
    assert "stem&lt;0&gt;" in page


def test_that_nothing_was_found_is_told_too(report: Report) -> None:
    healthy = replace(report, doctor=[], doctor_images=8)

    assert healthy.to_dict()["doctor"] == []
    for told in (str(healthy), "\n".join(summary_lines(healthy)), render_html(healthy, {})):
        assert "none of the known causes found" in told


@pytest.mark.parametrize(
    ("patient", "expected"),
    [(patients.healthy, []), (patients.with_outliers, [("outlier-activations", "project.0")])],
)
def test_compressing_reports_what_ails_the_network(patient, expected) -> None:
    images = patients.photographs(32, seed=70)

    report = intaglio.compress(patient(), images[:1], data=images, recipe="plain").report

    assert [(row.cause, row.layer) for row in report.doctor] == expected
    assert report.doctor_images == 32
    assert [step.name for step in report.steps].count("diagnose") == 1


def test_all_held_images_are_looked_at_and_the_first_few_go_through_the_network() -> None:
    images = patients.photographs(64, seed=70)
    wrong = images.flip(1)

    told = intaglio.compress(patients.healthy(), wrong[:1], data=wrong, recipe="corrected").report
    sick = intaglio.compress(
        patients.with_outliers(), images[:1], data=images, recipe="corrected"
    ).report

    (order,) = told.doctor
    assert (order.cause, order.evidence["images"]) == ("wrong-preprocessing", 64)
    assert told.doctor_images == 64
    assert (sick.doctor[0].evidence["images"], sick.doctor_images) == (8, 64)


def test_too_few_images_are_told() -> None:
    images = patients.photographs(4, seed=70)

    report = intaglio.compress(patients.healthy(), images[:1], data=images, recipe="plain").report

    assert [row.cause for row in report.doctor] == ["unrepresentative-data"]
    assert report.doctor[0].evidence["images"] == 4
