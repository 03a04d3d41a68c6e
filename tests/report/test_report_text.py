"""The terminal's tables."""

from __future__ import annotations

import io
import math
from dataclasses import replace

from rich.console import Console

from intaglio.report import (
    CheckResult,
    DataSource,
    IntegerSide,
    KeptFloat,
    Verdict,
    print_report,
    summary_lines,
)
from intaglio.report.parts import Attempt
from intaglio.report.sections import attempts_section


def test_the_summary_names_accuracy_with_n_size_and_check(report):
    text = str(report)

    assert "Top-1 (n = 1,150)" in text
    assert "80.31 %" in text
    assert "-0.91 points" in text
    assert "0 mismatches in 123,456 values of 64 images" in text
    assert "Kept in float: softmax: kept outside" in text
    assert "Warning: 2 unreadable images were skipped" in text
    assert "fold_batch_norm 5" in text
    assert "remove_noop" not in text


def test_lines_have_no_trailing_blanks_and_fit(report):
    lines = str(report).splitlines()

    assert all(line == line.rstrip() and len(line) <= 100 for line in lines)


def test_the_worst_layer_comes_first_and_exact_ones_do_not_come(report):
    layers = [
        replace(report.layers[1], source=name, name=name, sqnr_db=sqnr)
        for name, sqnr in (("good", 50.0), ("exact", math.inf), ("bad", -3.0), ("unknown", None))
    ]

    text = str(replace(report, layers=layers))

    assert text.index("bad") < text.index("good")
    assert "-3.0 dB" in text
    assert "exact" not in text
    assert "unknown" not in text


def test_mismatches_and_refusals_are_said(report):
    check = CheckResult(8, 1000, 3, "runtime", refused=["head (softmax): not matched"])

    lines = summary_lines(
        replace(report, check=check, verdict=replace(report.verdict, bits="different"))
    )

    assert "Bits: different: 3 mismatches in 1,000 values of 8 images (runtime)." in lines
    assert "Not compared: head (softmax): not matched" in lines


def test_a_check_that_was_not_run_is_not_a_success(report):
    for check in (None, CheckResult(0, 0, 0, "runtime")):
        text = "\n".join(summary_lines(replace(report, check=check)))
        assert "0 mismatches" not in text
        assert "compared" in text


def test_the_verdict_comes_last_in_words(report):
    bits = f"Bits: equal: 0 mismatches in 123,456 values of 64 images ({report.check.runtime}):"
    why = "0.91 points lost on 1,150 images, wished at most 1"

    lines = summary_lines(report)

    assert lines[-2:] == [
        f"{bits} file and twin agree in every bit.",
        f"Accuracy: green: {why}.",
    ]
    assert str(report).splitlines()[-1] == f"Accuracy: green: {why}."


def test_an_accuracy_that_was_not_measured_says_how_to_measure_it(report):
    for why in ("", "nothing was evaluated"):
        told = replace(report, verdict=Verdict("not promised", "not measured", why))
        assert summary_lines(told)[-2:] == [
            "Bits: not promised: The file computes in float, where no bits are promised.",
            "Accuracy: not measured: nothing was evaluated: give --eval (evaluate= in Python).",
        ]


def test_a_report_from_before_there_were_verdicts_ends_with_its_check(report):
    lines = summary_lines(replace(report, verdict=None))

    assert lines[-1].startswith("Check: 0 mismatches in 123,456 values")
    assert not any("Accuracy: " in line for line in lines)


def test_images_that_judged_or_were_left_out_are_told(report):
    data = DataSource("calib.csv", 1000, 0, judged=800, left_out=1200)
    told = replace(report, data=data, attempts=[Attempt("plain", 1.0, True, 800)])

    lines = summary_lines(told)

    assert (
        "Calibration: calib.csv, 1,000 images, seed 0, 800 of them to judge on, 1,200 more left out"
        " for memory" in lines
    )
    search = attempts_section(told)
    assert search is not None
    assert search.title == "Search, judged on 800 of 2,000 images that nothing was tuned on"


def test_of_several_outputs_the_lowest_is_told(report):
    outputs = replace(report.integer, logits_sqnr_db=28.0, sqnr_db=[31.2, 28.0])

    lines = summary_lines(replace(report, integer=outputs))

    assert "Output SQNR (lowest of 2): integer 28.0 dB" in lines


def test_no_data_is_said(report):
    lines = summary_lines(replace(report, data="none", integer=IntegerSide(900)))

    assert "Calibration: none: no image was opened" in lines


def test_names_are_shown_as_they_are_and_cannot_steer_the_terminal(report):
    nasty = "[red]x[/red] :smile: \x1b[2J\u202e[/]"
    named = replace(
        report, model=nasty, kept_float=[KeptFloat(nasty, "w")], warnings=[nasty], steps=[]
    )
    file = io.StringIO()
    print_report(named, Console(file=file, width=200, force_terminal=True, color_system=None))

    text = file.getvalue()

    shown = "[red]x[/red] :smile: ?[2J?[/]"
    assert text.count(shown) == 3
    assert "\x1b[2J" not in text
    assert all("\x1b" not in line and "\u202e" not in line for line in summary_lines(named))
