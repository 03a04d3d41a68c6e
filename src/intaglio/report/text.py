"""The report on a terminal: a summary, the steps, and the layers that quantization hurt most.

Names come from the user's network and files. They are shown as they are, never read as rich's
markup, and characters that would steer the terminal are shown as "?".
"""

from __future__ import annotations

import io

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from intaglio.report.parts import Layer, ReportData
from intaglio.report.summary import (
    DOCTOR_COLUMNS,
    MISSING,
    attempt_columns,
    attempt_rows,
    attempts_title,
    bits_text,
    changed_text,
    comparison_rows,
    count_text,
    decibel_text,
    doctor_rows,
    doctor_title,
    identity_rows,
    layer_title,
    verdict,
    worst_layers,
)

WORST = 8
PLAIN_WIDTH = 100
VERDICT_STYLES = {"exact": "bold green", "differs": "bold red", "absent": "yellow"}


def print_report(report: ReportData, console: Console) -> None:
    """Print the report's tables on `console`."""
    console.print(_identity_table(report))
    console.print(_comparison_table(report))
    outcome = verdict(report.check)
    console.print(_text(f"Check: {outcome.sentence}", VERDICT_STYLES[outcome.state]))
    for sentence in _remarks(report):
        console.print(_text(sentence, "yellow"))
    if report.doctor:
        console.print(_doctor_table(report))
    elif report.doctor is not None:
        console.print(_text(doctor_title(report)))
    if report.attempts:
        console.print(_attempts_table(report))
    if report.steps:
        console.print(_steps_table(report))
    worst = worst_layers(report.layers, WORST)
    if worst:
        console.print(_layers_table(worst))


def as_text(report: ReportData) -> str:
    """Return the report's tables as plain text, PLAIN_WIDTH columns wide."""
    file = io.StringIO()
    console = Console(
        file=file, width=PLAIN_WIDTH, color_system=None, force_terminal=False, legacy_windows=False
    )
    print_report(report, console)
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip().splitlines())


def summary_lines(report: ReportData) -> list[str]:
    """Return the summary as plain lines, one fact each, for logs and pipes."""
    lines = [f"{label}: {text}" for label, text in identity_rows(report)]
    for row in comparison_rows(report):
        sides = [
            f"{side} {text}"
            for side, text in (("float", row.float_side), ("integer", row.integer_side))
            if text
        ]
        change = f" ({row.change})" if row.change else ""
        lines.append(f"{row.label}: {', '.join(sides)}{change}")
    lines.append(f"Check: {verdict(report.check).sentence}")
    lines.extend(_remarks(report))
    if report.doctor is not None:
        lines.append(doctor_title(report))
        lines += [
            f"Doctor: {cause} in {layer}: {remedy}" for cause, layer, remedy in doctor_rows(report)
        ]
    return [_printable(line) for line in lines]


def _remarks(report: ReportData) -> list[str]:
    kept = [f"Kept in float: {row.name}: {row.why}" for row in report.kept_float]
    refused = [] if report.check is None else report.check.refused
    return [
        *kept,
        *(f"Not compared: {layer}" for layer in refused),
        *(f"Warning: {warning}" for warning in report.warnings),
    ]


def _identity_table(report: ReportData) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in identity_rows(report):
        table.add_row(_text(label), _text(text))
    return table


def _comparison_table(report: ReportData) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for title in ("float", "integer", "change"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in comparison_rows(report):
        cells = (row.label, row.float_side, row.integer_side, row.change)
        table.add_row(*(_text(cell) for cell in cells))
    return table


def _doctor_table(report: ReportData) -> Table:
    table = Table(title=doctor_title(report), title_justify="left", box=box.SIMPLE_HEAD)
    for column in DOCTOR_COLUMNS:
        table.add_column(column, overflow="fold")
    for row in doctor_rows(report):
        table.add_row(*(_text(cell) for cell in row))
    return table


def _attempts_table(report: ReportData) -> Table:
    table = Table(title=attempts_title(report), title_justify="left", box=box.SIMPLE_HEAD)
    for column in attempt_columns(report):
        table.add_column(column, overflow="fold", justify="left")
    for row in attempt_rows(report):
        table.add_row(*(_text(cell) for cell in row))
    return table


def _steps_table(report: ReportData) -> Table:
    table = Table(title="Steps", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("step", no_wrap=True)
    table.add_column("seconds", justify="right")
    table.add_column("peak MB", justify="right")
    table.add_column("changed", overflow="fold")
    for step in report.steps:
        peak = MISSING if step.peak_mb is None else f"{step.peak_mb:,.0f}"
        cells = (step.name, f"{step.seconds:.2f}", peak, changed_text(step.changed))
        table.add_row(*(_text(cell) for cell in cells))
    return table


def _layers_table(layers: list[Layer]) -> Table:
    table = Table(
        title="Lowest SQNR (errors of the layers before included)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("layer", overflow="fold")
    table.add_column("op", no_wrap=True)
    for title in ("bits", "SQNR", "MACs"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in layers:
        cells = (
            layer_title(row),
            row.op,
            bits_text(row),
            decibel_text(row.sqnr_db),
            count_text(row.macs),
        )
        table.add_row(*(_text(cell) for cell in cells))
    return table


def _text(value: str, style: str = "") -> Text:
    return Text(_printable(value), style=style)


def _printable(value: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in value)
