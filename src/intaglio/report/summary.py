"""The sections that open the report: what was made, how it compares, and whether it was checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from intaglio.report.byte_input import ByteInput
from intaglio.report.half_row import HalfRow
from intaglio.report.parts import (
    CheckResult,
    DataSource,
    IntegerSide,
    ReportData,
    Verdict,
)
from intaglio.report.section import (
    Cell,
    Claim,
    Claims,
    Column,
    Facts,
    Section,
    State,
    Table,
    TableRow,
)
from intaglio.report.words import (
    change_text,
    changed_text,
    count_text,
    decibel_text,
    figure_text,
    images_text,
    megabyte_text,
    percent_text,
    smaller_text,
)

TITLE = "Summary"
LABELS_SHOWN = 6
OUTPUTS_SHOWN = 12
Titles = tuple[str, str]
"""What the two networks are called."""


def identity_section(report: ReportData, labels: Sequence[str]) -> Section:
    """Return what was compressed, for what, with which images, and into which classes."""
    facts = [
        ("Model", report.model),
        ("Target", f"{report.target}: {report.runtime}"),
        ("Scheme", report.scheme),
        ("Calibration" if report.halves is None else "Images", data_text(report.data)),
    ]
    if report.preprocess:
        facts.append(("Preprocess", changed_text(report.preprocess)))
    if report.input:
        facts.append(("Input", input_text(report.input)))
    facts.append(("intaglio", report.intaglio))
    if labels:
        shown = ", ".join(labels[:LABELS_SHOWN]) + (", ..." if len(labels) > LABELS_SHOWN else "")
        facts.append(("Labels", f"{len(labels):,}: {shown}"))
    return Section("identity", TITLE, Facts(tuple(facts)))


def comparison_section(report: ReportData) -> Section:
    """Return the float / integer comparison; figures only where something was evaluated."""
    real, integer = report.float, report.integer
    sides: Titles = ("float", "integer" if report.halves is None else "float16")
    rows = _figure_rows(report, sides)
    if integer.agreement is not None:
        title = report.wording.agreement.title
        rows.append(_compared(sides, title, "", percent_text(integer.agreement)))
    if integer.logits_sqnr_db is not None:
        outputs = len(integer.sqnr_db or ())
        label = f"Output SQNR (lowest of {outputs})" if outputs > 1 else "Output SQNR"
        rows.append(_compared(sides, label, "", decibel_text(integer.logits_sqnr_db)))
        rows += _named_rows(integer, sides)
    rows += [
        _compared(
            sides,
            "Size, if a file held it" if _is_without_file(report) else "Size",
            megabyte_text(real.size_bytes),
            megabyte_text(integer.size_bytes),
            smaller_text(real.size_bytes, integer.size_bytes),
        ),
        _compared(sides, "Multiply-accumulates", count_text(real.macs)),
        _compared(sides, "Parameters", count_text(real.params)),
        *([] if report.halves is None else [_half_row(sides, report.halves)]),
    ]
    columns = (
        Column("figure", "", breaks="words"),
        *(Column(title, title, numeric=True) for title in (*sides, "change")),
    )
    return Section("comparison", TITLE, Table(columns, tuple(rows)))


def _half_row(sides: Titles, layers: Sequence[HalfRow]) -> TableRow:
    """Return how many numbers are stored as float16, and how many of these suffer by it."""
    halves = [row for row in layers if row.stored == "float16"]
    subnormal, zeros = (
        sum(getattr(row, name) for row in halves) for name in ("subnormal", "zeros")
    )
    stored = sum(row.numbers for row in halves)
    suffer = f"{subnormal:,} subnormal, {zeros:,} become 0"
    return _compared(sides, "Stored as float16", "", f"{stored:,}", suffer)


def _is_without_file(report: ReportData) -> bool:
    return report.verdict is not None and report.verdict.bits == "no file"


def _named_rows(integer: IntegerSide, sides: Titles) -> list[TableRow]:
    """Return the SQNR of each output by the network's own name; of one output nothing."""
    names, found = integer.outputs or (), integer.sqnr_db or ()
    if len(names) < 2 or len(names) != len(found):
        return []
    return [
        _compared(sides, f"SQNR of '{name}'", "", decibel_text(value))
        for name, value in zip(names, found, strict=True)
    ][:OUTPUTS_SHOWN]


def _compared(
    sides: Titles, label: str, real: str, integer: str = "", change: str = ""
) -> TableRow:
    texts = zip(sides, (real, integer), strict=True)
    told = ", ".join(f"{side} {text}" for side, text in texts if text)
    return TableRow(
        tuple(Cell(text) for text in (label, real, integer, change)),
        line=f"{label}: {told}" + (f" ({change})" if change else ""),
    )


def _figure_rows(report: ReportData, sides: Titles) -> list[TableRow]:
    """Return the figures of the task, on how many images they were measured beside each."""
    real, integer = report.float, report.integer
    images = images_text(real.n, integer.n)
    rows = []
    for name in dict.fromkeys((*real.figures, *integer.figures)):
        figure = report.wording.of(name)
        first, second = real.figures.get(name), integer.figures.get(name)
        rows.append(
            _compared(
                sides,
                f"{figure.title}{images}",
                figure_text(figure, first),
                figure_text(figure, second),
                change_text(figure, first, second),
            )
        )
    return rows


STATES: dict[str, State] = {
    "equal": "good",
    "different": "bad",
    "not promised": "absent",
    "no file": "absent",
    "green": "good",
    "amber": "unsure",
    "red": "bad",
    "not measured": "absent",
}
"""How good the news of a verdict's words is."""
NO_BITS = {
    "not promised": "The file computes in float, where no bits are promised.",
    "no file": "This scheme is simulated: no file was written.",
}
ASK = "give --eval (evaluate= in Python)"


def verdict_section(report: ReportData) -> Section:
    """Return what came out: on bits and accuracy; where there is no verdict, of the check alone."""
    verdict = report.verdict
    if verdict is None:
        state, sentence = _check(report)
        return Section("verdict", "Check", Claims((Claim(state, "Check", sentence),)))
    bits = f"Bits: {verdict.bits}"
    if verdict.bits in NO_BITS:
        said = NO_BITS[verdict.bits]
        if report.check is not None and report.check.largest_deviation is not None:
            said = f"{said} {deviation_sentence(report.check)}"
        if verdict.bits_why:
            said = f"{verdict.bits_why[:1].upper()}{verdict.bits_why[1:]}."
        first = Claim(STATES[verdict.bits], bits, said)
    else:
        state, sentence = _check(report)
        first = Claim(state, bits, sentence)
    return Section("verdict", "Verdict", Claims((first, _accuracy(verdict))))


def _accuracy(verdict: Verdict) -> Claim:
    said = verdict.why.rstrip(".")
    if verdict.accuracy == "not measured":
        said = f"{said or 'nothing was evaluated'}: {ASK}"
    return Claim(STATES[verdict.accuracy], f"Accuracy: {verdict.accuracy}", f"{said}.")


def _check(report: ReportData) -> tuple[State, str]:
    """Return whether file and twin agreed, and the sentence that says so."""
    check = report.check
    if check is None:
        return "absent", "The file was not compared with its twin."
    if not check.values_compared:
        return "absent", f"No value was compared ({check.runtime})."
    over = f"{check.values_compared:,} values of {_images(check)} ({check.runtime})"
    if check.mismatches:
        return "bad", f"{check.mismatches:,} mismatches in {over}."
    taken, equal = check.border_values or 0, check.border_equal or 0
    given = f", given {border_text(taken, equal)}" if taken else ""
    return "good", f"0 mismatches in {over}: file and twin agree in every bit{given}."


def _images(check: CheckResult) -> str:
    return f"{check.images:,} images{' of noise' if check.made_up else ''}"


def deviation_sentence(check: CheckResult) -> str:
    """Return how far a file in float is from its twin, as a sentence."""
    return (
        f"Over {check.floats_compared or 0:,} outputs of {_images(check)} file and"
        f" twin are at most {check.largest_deviation or 0.0:.3g} apart,"
        f" {check.relative_deviation or 0.0:.2g} of the largest output ({check.runtime})."
    )


def border_text(taken: int, equal: int) -> str:
    """Return how many integers were taken from the runtime behind layers in float (> 0)."""
    share = math.floor(1e4 * equal / taken) / 1e2  # rounded down: 100.00 % is all of them
    return (
        f"the runtime's own {taken:,} values behind layers in float ({share:.2f} % of them are the"
        " twin's too)"
    )


def input_text(taken: ByteInput) -> str:
    """Return how the bytes of a uint8 input are made."""
    grid = f"scale {taken.scale:.9g}, zero point {taken.zero_point}"
    if taken.off == 0:
        return f"uint8, {grid}: takes raw RGB bytes"
    made = f"uint8, {grid}: round(x / scale) + zero point of a prepared image x"
    return made if taken.off is None else f"{made}; raw bytes would be up to {taken.off} off"


def data_text(data: Literal["none"] | DataSource) -> str:
    """Return what calibration saw."""
    if data == "none":
        return "none: no image was opened"
    parts = [data.source, f"{data.images:,} images"]
    if data.seed is not None:
        parts.append(f"seed {data.seed}")
    if data.skipped:
        parts.append(f"{data.skipped:,} unreadable images skipped")
    if data.judged:
        parts.append(f"{data.judged:,} of them to judge on")
    if data.left_out:
        parts.append(f"{data.left_out:,} more left out for memory")
    return ", ".join(parts)
