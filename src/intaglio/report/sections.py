"""The sections of the report, in one list that the terminal and the page both walk.

A new section is a function here or in a file of its own, and a line in `sections`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from intaglio.report.figures import FLOAT
from intaglio.report.half_section import half_section
from intaglio.report.layer_sections import (
    WeightRanges,
    layers_section,
    sqnr_section,
    weights_section,
)
from intaglio.report.parts import ReportData
from intaglio.report.section import Cell, Column, Remark, Remarks, Section, Table, TableRow
from intaglio.report.sheet import synthetic_section
from intaglio.report.summary import comparison_section, identity_section, verdict_section
from intaglio.report.words import (
    MISSING,
    changed_text,
    decibel_text,
    figure_text,
    megabyte_text,
    percent_text,
)


def sections(
    report: ReportData,
    weight_ranges: WeightRanges | None = None,
    labels: Sequence[str] | None = None,
    *,
    extra: Sequence[Section] = (),
    images: Tensor | None = None,
) -> list[Section]:
    """Return all there is to show of a report, in order.

    Args:
        report: What to show.
        weight_ranges: As `intaglio.report.layers.weight_ranges` returns them; without them no
            weights are plotted.
        labels: Names of the classes, in order, where they are known.
        extra: Sections beside those of the report and its task. Like the task's they follow what
            the user should know, ahead of everything that goes into the network.
        images: Those that were made of batch norms, [N, C, H, W]; None where there are none.
    """
    ranges = weight_ranges or {}
    found = [
        identity_section(report, labels or ()),
        comparison_section(report),
        verdict_section(report),
        remarks_section(report),
        *report.wording.sections(report),
        *extra,
        synthetic_section(report, images),
        doctor_section(report),
        half_section(report),
        sqnr_section(report),
        weights_section(report, ranges),
        layers_section(report, ranges),
        attempts_section(report),
        steps_section(report),
    ]
    return [section for section in found if section is not None]


def headline(report: ReportData) -> tuple[str, str]:
    """Return the report's own title: the network, and what it was compressed for."""
    images = ", no image was opened" if report.data == "none" else ""
    return report.model, f"{report.scheme} for {report.target} ({report.runtime}){images}"


def remarks_section(report: ReportData) -> Section | None:
    """Return what stayed in float, what was not compared, and all warnings; None without any."""
    refused = [] if report.check is None else report.check.refused
    kept = "Kept in float" if report.halves is None else "Kept in float32"
    remarks = (
        *(Remark(layer.why, kept, layer.name) for layer in report.kept_float),
        *_price_of_float(report),
        *(Remark(layer, "Not compared") for layer in refused),
        *(Remark(warning) for warning in report.warnings),
    )
    return Section("remarks", "To know", Remarks(remarks)) if remarks else None


def _price_of_float(report: ReportData) -> tuple[Remark, ...]:
    """Return what layers in float cost; nothing where none is known to be."""
    share = report.in_float
    if share is None:
        return ()
    parts = "one part" if share.partitions == 1 else f"{share.partitions} parts"
    beside = f", {share.outside} ops outside its fast kernels" if share.outside else ""
    told = (
        f"{share.macs_percent:.1f} % of the multiply-accumulates; the runtime runs the network in"
        f" {parts}{beside}"
    )
    return (Remark(told, "Price of float"),)


def doctor_section(report: ReportData) -> Section | None:
    """Return what still ails the network, the worst first; None where the doctor was not asked."""
    if report.doctor is None:
        return None
    told = f"Doctor, {report.doctor_images or 0:,} of the images looked at"
    if not report.doctor:
        told += ": none of the known causes found"
    columns = tuple(Column(title, title) for title in ("cause", "layer", "remedy"))
    rows = tuple(
        TableRow(
            tuple(Cell(text) for text in (found.cause, found.layer, found.remedy)),
            line=f"Doctor: {found.cause} in {found.layer}: {found.remedy}",
        )
        for found in report.doctor
    )
    return Section("doctor", "Doctor", Table(columns, rows), told=told)


def attempts_section(report: ReportData) -> Section | None:
    """Return what a search tried, in order; None where nothing was searched."""
    if not report.attempts:
        return None
    wording, names = report.wording, _attempt_figures(report)
    told = [wording.of(name).short for name in names]
    sized = any(attempt.size_bytes is not None for attempt in report.attempts)
    size = ("size",) if sized else ()
    titles = ("added", "outcome", wording.agreement.short, *told, *size, "SQNR", "seconds")
    rows = [
        (
            attempt.name,
            "kept" if attempt.kept else (attempt.why or "rolled back"),
            percent_text(attempt.agreement),
            *(figure_text(wording.of(name), attempt.figures.get(name)) for name in names),
            *([megabyte_text(attempt.size_bytes)] if sized else []),
            decibel_text(attempt.sqnr_db),
            f"{attempt.seconds:.1f}",
        )
        for attempt in report.attempts
    ]
    return Section(
        "attempts",
        f"Search, judged on {_judged_text(report)} images that nothing was tuned on",
        Table(
            tuple(Column(title, title) for title in titles),
            tuple(TableRow(tuple(Cell(text) for text in row)) for row in rows),
        ),
        plain=False,
    )


def _judged_text(report: ReportData) -> str:
    """Return how many images a search judged on, and of how many where memory held no more."""
    images, data = report.attempts[0].n, report.data
    if data == "none" or not data.left_out:
        return f"{images:,}"
    return f"{images:,} of {images + data.left_out:,}"


def _attempt_figures(report: ReportData) -> list[str]:
    """Return the integer network's figures that attempts have."""
    named = dict.fromkeys(name for attempt in report.attempts for name in attempt.figures)
    return [name for name in named if not name.startswith(FLOAT)]


def steps_section(report: ReportData) -> Section | None:
    """Return the recipe's steps as they ran; None where none is known."""
    if not report.steps:
        return None
    columns = (
        Column("step", "step", breaks="never"),
        Column("seconds", "seconds", numeric=True),
        Column("peak", "peak MB", numeric=True),
        Column("changed", "changed"),
    )
    rows = tuple(
        TableRow(
            (
                Cell(step.name),
                Cell(f"{step.seconds:.2f}", step.seconds),
                Cell(MISSING if step.peak_mb is None else f"{step.peak_mb:,.0f}", step.peak_mb),
                Cell(changed_text(step.changed)),
            )
        )
        for step in report.steps
    )
    return Section("steps", "Steps", Table(columns, rows), plain=False)
