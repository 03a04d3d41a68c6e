"""A report in words: the rows and sentences that the terminal and the page both show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from intaglio.report.figures import DECIBEL, FLOAT, PERCENT, Figure
from intaglio.report.parts import CheckResult, DataSource, Layer, ReportData

MISSING = "–"
DOCTOR_COLUMNS = ("cause", "layer", "remedy")


@dataclass(frozen=True)
class Comparison:
    """One line of the float / integer comparison; `change` is empty where it says nothing."""

    label: str
    float_side: str
    integer_side: str
    change: str = ""


@dataclass(frozen=True)
class Verdict:
    """The outcome of the bit-for-bit check in one sentence."""

    state: Literal["exact", "differs", "absent"]
    sentence: str


def identity_rows(report: ReportData) -> list[tuple[str, str]]:
    """Return (label, text) lines: what was compressed, for what, and with which images."""
    rows = [
        ("Model", report.model),
        ("Target", f"{report.target}: {report.runtime}"),
        ("Scheme", report.scheme),
        ("Calibration", data_text(report.data)),
    ]
    if report.preprocess:
        rows.append(("Preprocess", changed_text(report.preprocess)))
    rows.append(("intaglio", report.intaglio))
    return rows


def comparison_rows(report: ReportData) -> list[Comparison]:
    """Return the float / integer comparison; figures only where something was evaluated."""
    real, integer = report.float, report.integer
    rows = _figure_rows(report)
    if integer.agreement is not None:
        title = report.wording.agreement.title
        rows.append(Comparison(title, "", percent_text(integer.agreement)))
    if integer.logits_sqnr_db is not None:
        rows.append(Comparison("Output SQNR", "", decibel_text(integer.logits_sqnr_db)))
    rows.append(
        Comparison(
            "Size",
            megabyte_text(real.size_bytes),
            megabyte_text(integer.size_bytes),
            _smaller_text(real.size_bytes, integer.size_bytes),
        )
    )
    rows.append(Comparison("Multiply-accumulates", count_text(real.macs), ""))
    rows.append(Comparison("Parameters", count_text(real.params), ""))
    return rows


def _figure_rows(report: ReportData) -> list[Comparison]:
    """Return the figures of the task, on how many images they were measured beside each."""
    real, integer = report.float, report.integer
    images = _images_text(real.n, integer.n)
    rows = []
    for name in dict.fromkeys((*real.figures, *integer.figures)):
        figure = report.wording.of(name)
        first, second = real.figures.get(name), integer.figures.get(name)
        rows.append(
            Comparison(
                f"{figure.title}{images}",
                figure_text(figure, first),
                figure_text(figure, second),
                _change_text(figure, first, second),
            )
        )
    return rows


def attempt_columns(report: ReportData) -> tuple[str, ...]:
    """Return the titles of `attempt_rows`."""
    wording = report.wording
    told = [wording.of(name).short for name in _attempt_figures(report)]
    return ("added", "outcome", wording.agreement.short, *told, "SQNR", "seconds")


def attempt_rows(report: ReportData) -> list[tuple[str, ...]]:
    """Return what a search tried: name, outcome, agreement, figures, output SQNR, seconds."""
    names = _attempt_figures(report)
    return [
        (
            attempt.name,
            "kept" if attempt.kept else (attempt.why or "rolled back"),
            percent_text(attempt.agreement),
            *(figure_text(report.wording.of(name), attempt.figures.get(name)) for name in names),
            decibel_text(attempt.sqnr_db),
            f"{attempt.seconds:.1f}",
        )
        for attempt in report.attempts
    ]


def _attempt_figures(report: ReportData) -> list[str]:
    """Return the integer network's figures that attempts have."""
    named = dict.fromkeys(name for attempt in report.attempts for name in attempt.figures)
    return [name for name in named if not name.startswith(FLOAT)]


def attempts_title(report: ReportData) -> str:
    """Return the title of that table: on how many images the attempts were judged."""
    return f"Search, judged on {report.attempts[0].n:,} images that nothing was tuned on"


def doctor_title(report: ReportData) -> str:
    """Return what the doctor looked at, and that nothing was found where that is so."""
    title = f"Doctor, {report.doctor_images or 0:,} of the images looked at"
    return title if report.doctor else f"{title}: none of the known causes found"


def doctor_rows(report: ReportData) -> list[tuple[str, ...]]:
    """Return what still ails the network, the worst first: cause, layer, remedy."""
    return [(row.cause, row.layer, row.remedy) for row in report.doctor or []]


def verdict(check: CheckResult | None) -> Verdict:
    """Return whether file and twin agreed."""
    if check is None:
        return Verdict("absent", "The file was not compared with its twin.")
    if not check.values_compared:
        return Verdict("absent", f"No value was compared ({check.runtime}).")
    over = f"{check.values_compared:,} values of {check.images:,} images ({check.runtime})"
    if check.mismatches:
        return Verdict("differs", f"{check.mismatches:,} mismatches in {over}.")
    taken, equal = check.border_values or 0, check.border_equal or 0
    given = f", given {border_text(taken, equal)}" if taken else ""
    return Verdict("exact", f"0 mismatches in {over}: file and twin agree in every bit{given}.")


def border_text(taken: int, equal: int) -> str:
    """Return how many integers were taken from the runtime behind layers in float (> 0)."""
    share = math.floor(1e4 * equal / taken) / 1e2  # rounded down: 100.00 % is all of them
    return (
        f"the runtime's own {taken:,} values behind layers in float ({share:.2f} % of them are the"
        " twin's too)"
    )


def worst_layers(layers: list[Layer], count: int) -> list[Layer]:
    """Return the `count` layers of lowest SQNR, worst first; layers without noise are left out."""
    noisy = [row for row in layers if row.sqnr_db is not None and row.sqnr_db != math.inf]
    return sorted(noisy, key=lambda row: row.sqnr_db or 0.0)[:count]


def data_text(data: Literal["none"] | DataSource) -> str:
    """Return what calibration saw."""
    if data == "none":
        return "none: no image was opened"
    parts = [data.source, f"{data.images:,} images"]
    if data.seed is not None:
        parts.append(f"seed {data.seed}")
    if data.skipped:
        parts.append(f"{data.skipped:,} unreadable images skipped")
    return ", ".join(parts)


def changed_text(changed: JsonValue | Mapping[str, JsonValue]) -> str:
    """Return what a step changed; counts that are 0 and parts that are off are left out."""
    if changed is None:
        return MISSING
    if isinstance(changed, Mapping):
        kept = {key: value for key, value in changed.items() if value not in (0, None)}
        return ", ".join(f"{key} {changed_text(value)}" for key, value in kept.items()) or "nothing"
    if isinstance(changed, list | tuple):
        return "/".join(str(item) for item in changed) or "nothing"
    return str(changed)


def figure_text(figure: Figure, value: float | None) -> str:
    """Return a figure with its unit."""
    if figure.unit == PERCENT or value is None:
        return percent_text(value)
    return decibel_text(value) if figure.unit == DECIBEL else f"{value:.4g}"


def percent_text(value: float | None) -> str:
    """Return "80.31 %"."""
    return MISSING if value is None else f"{value:.2f} %"


def decibel_text(value: float | None) -> str:
    """Return "23.4 dB", or "exact" where there is no noise."""
    if value is None:
        return MISSING
    return "exact" if value == math.inf else f"{value:.1f} dB"


def megabyte_text(size_bytes: int | None) -> str:
    """Return "3.94 MB" (10^6 bytes); kilobytes (10^3) below a tenth of a megabyte."""
    if size_bytes is None:
        return MISSING
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def count_text(count: int) -> str:
    """Return "300.77 M" for large counts, all digits for those below a million."""
    return f"{count / 1e6:,.2f} M" if count >= 1_000_000 else f"{count:,}"


def layer_title(layer: Layer) -> str:
    """Return the name by which the user knows a layer."""
    return layer.source or layer.name


def bits_text(layer: Layer) -> str:
    """Return "w8a8", "a8" for a layer without weights, or "float"."""
    if layer.activation_bits is None:
        return "float"
    weight = "" if layer.weight_bits is None else f"w{layer.weight_bits}"
    return f"{weight}a{layer.activation_bits}"


def _images_text(first: int | None, second: int | None) -> str:
    counts = list(dict.fromkeys(f"{n:,}" for n in (first, second) if n is not None))
    return f" (n = {' / '.join(counts)})" if counts else ""


def _change_text(figure: Figure, real: float | None, integer: float | None) -> str:
    if real is None or integer is None or not math.isfinite(integer - real):
        return ""
    change = integer - real
    if figure.unit == PERCENT:
        return f"{change:+.2f} points"
    return f"{change:+.4g} {figure.unit}".strip()


def _smaller_text(real: int, integer: int | None) -> str:
    if not integer or not real:
        return ""
    return f"{real / integer:.2f}x smaller" if real > integer else f"{integer / real:.2f}x larger"
