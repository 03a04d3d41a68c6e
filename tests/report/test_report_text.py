"""The terminal's tables."""

from __future__ import annotations

import io
import math
from dataclasses import replace

from rich.console import Console

from intaglio.report import CheckResult, IntegerSide, KeptFloat, print_report, summary_lines


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

    lines = summary_lines(replace(report, check=check))

    assert "Check: 3 mismatches in 1,000 values of 8 images (runtime)." in lines
    assert "Not compared: head (softmax): not matched" in lines


def test_a_check_that_was_not_run_is_not_a_success(report):
    for check in (None, CheckResult(0, 0, 0, "runtime")):
        text = "\n".join(summary_lines(replace(report, check=check)))
        assert "0 mismatches" not in text
        assert "compared" in text


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
