"""report.html: one page that holds everything it shows and opens without a network.

What comes from the user (names of models, layers, files, classes) is untrusted: jinja escapes it in
HTML, `_inline_json` in the page's data, and the page's own script never writes it as markup. A
Content-Security-Policy lets the browser run the page's two scripts, known by their hashes, and load
nothing from anywhere.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from plotly.offline import get_plotlyjs

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
)

LABELS_SHOWN = 6

WeightRanges = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Layer to (lowest, highest) weight of every output channel, [C_out] each."""


def render_html(
    report: ReportData, weight_ranges: WeightRanges, labels: Sequence[str] | None = None
) -> str:
    """Return the page, to be written as UTF-8; about 5 MB, nearly all of it plotly.js.

    `#layer=NAME` behind its address opens it at a layer's weights, `#sort=sqnr` (or any other
    column's key, `-sqnr` for descending) with a sorted table.

    Args:
        report: What to show.
        weight_ranges: As `intaglio.report.layers.weight_ranges` returns them.
        labels: Names of the classes, in order, where they are known.
    """
    scripts = [_inline_script(source) for source in (get_plotlyjs(), _resource("page.js"))]
    page = _template().render(
        policy=_content_policy(scripts),
        style=Markup(_resource("page.css")),
        scripts=scripts,
        data=_inline_json(_page_data(report, weight_ranges)),
        model=report.model,
        headline=f"{report.scheme} for {report.target} ({report.runtime})",
        verdict=verdict(report.check),
        identity=[*identity_rows(report), *_label_rows(labels)],
        comparison=comparison_rows(report),
        kept_float=report.kept_float,
        refused=[] if report.check is None else report.check.refused,
        warnings=report.warnings,
        doctor_title=None if report.doctor is None else doctor_title(report),
        doctor_columns=DOCTOR_COLUMNS,
        doctor=doctor_rows(report),
        attempts_title=attempts_title(report) if report.attempts else "",
        attempt_columns=attempt_columns(report),
        attempts=attempt_rows(report),
        steps=[_step_cells(report, index) for index in range(len(report.steps))],
        layers=[_layer_cells(index, row, weight_ranges) for index, row in enumerate(report.layers)],
        weighted=[row for row in report.layers if row.name in weight_ranges],
        title_of=layer_title,
    )
    # a file name that is not UTF-8 reaches Python as lone surrogates, which no page can hold
    return page.encode("utf-8", "replace").decode("utf-8")


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("intaglio", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _resource(name: str) -> str:
    return resources.files("intaglio.report").joinpath(name).read_text(encoding="utf-8")


def _inline_script(source: str) -> Markup:
    # browsers hash what they parsed: newlines as \n, and the script ends at the first "</script"
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    assert "</script" not in source.lower()
    assert "<!--" not in source
    return Markup(source)


def _content_policy(scripts: Sequence[str]) -> str:
    digests = [hashlib.sha256(script.encode("utf-8")).digest() for script in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline';"
        " img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _inline_json(data: Any) -> Markup:
    """Return JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _page_data(report: ReportData, weight_ranges: WeightRanges) -> dict[str, Any]:
    names = {row.name for row in report.layers}
    return {
        "layers": [
            {
                "name": row.name,
                "title": layer_title(row),
                "op": row.op,
                "kind": _kind(row),
                "sqnr": None if row.sqnr_db == math.inf else _rounded(row.sqnr_db),
            }
            for row in report.layers
        ],
        "weights": {
            name: [[_rounded(value) for value in ends] for ends in (low, high)]
            for name, (low, high) in weight_ranges.items()
            if name in names
        },
    }


def _kind(row: Layer) -> str:
    """Return the group in the plot; "absent" has no point."""
    if row.sqnr_db is None:
        return "absent"
    if row.activation_bits is None:
        return "float"
    if row.sqnr_db == math.inf:
        return "exact"
    return "weighted" if row.weight_bits is not None else "weightless"


def _rounded(value: float | None) -> float | None:
    """Four digits are more than a plot shows; they halve the page's data."""
    return None if value is None else float(f"{value:.4g}")


def _label_rows(labels: Sequence[str] | None) -> list[tuple[str, str]]:
    if not labels:
        return []
    shown = ", ".join(labels[:LABELS_SHOWN]) + (", ..." if len(labels) > LABELS_SHOWN else "")
    return [("Labels", f"{len(labels):,}: {shown}")]


def _step_cells(report: ReportData, index: int) -> dict[str, str]:
    step = report.steps[index]
    return {
        "name": step.name,
        "seconds": f"{step.seconds:.2f}",
        "peak": MISSING if step.peak_mb is None else f"{step.peak_mb:,.0f}",
        "changed": changed_text(step.changed),
    }


def _layer_cells(index: int, row: Layer, weight_ranges: WeightRanges) -> dict[str, Any]:
    """Return one row of the table; its numbers are (key, text, value to sort by) each."""
    shape = " x ".join(str(size) for size in row.shape[1:]) or MISSING
    scale = MISSING if row.scale is None else f"{row.scale:.4g}"
    zero_point = MISSING if row.zero_point is None else str(row.zero_point)
    return {
        "index": index,
        "name": row.name,
        "title": layer_title(row),
        "note": row.note,
        "has_weights": row.name in weight_ranges,
        "op": row.op,
        "numbers": [
            ("shape", shape, math.prod(row.shape[1:])),
            ("bits", bits_text(row), row.weight_bits or row.activation_bits),
            ("sqnr", decibel_text(row.sqnr_db), row.sqnr_db),
            ("macs", count_text(row.macs), row.macs),
            ("params", count_text(row.params), row.params),
            ("saturated", _share_text(row.saturated), row.saturated),
            ("clipped", _share_text(row.clipped), row.clipped),
            ("scale", scale, row.scale),
            ("zero", zero_point, row.zero_point),
        ],
    }


def _share_text(share: float | None) -> str:
    if share is None:
        return MISSING
    return f"{100 * share:.2f} %" if share == 0.0 or share >= 5e-5 else "< 0.01 %"
