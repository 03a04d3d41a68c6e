"""What the user is told: report.json first; the terminal's tables and the page are views of it."""

from intaglio.report.html import render_html
from intaglio.report.layers import measure_layers, output_sqnr_db, weight_ranges
from intaglio.report.record import (
    CheckResult,
    DataSource,
    FloatSide,
    IntegerSide,
    KeptFloat,
    LayerRow,
    Report,
    StepRow,
    Verdict,
)
from intaglio.report.text import print_report, summary_lines

__all__ = [
    "CheckResult",
    "DataSource",
    "FloatSide",
    "IntegerSide",
    "KeptFloat",
    "LayerRow",
    "Report",
    "StepRow",
    "Verdict",
    "measure_layers",
    "output_sqnr_db",
    "print_report",
    "render_html",
    "summary_lines",
    "weight_ranges",
]
