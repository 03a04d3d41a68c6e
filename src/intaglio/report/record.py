"""The report: what compressing a network did, as data, as report.json, and as text."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from intaglio.report.figures import PLAIN, Wording
from intaglio.report.parts import (
    Attempt,
    CheckResult,
    DataSource,
    FloatShare,
    FloatSide,
    IntegerSide,
    KeptFloat,
    LayerRow,
    ReportData,
    StepRow,
    Verdict,
)
from intaglio.report.plain import from_plain, gathered, to_plain
from intaglio.report.text import as_text

__all__ = [
    "CheckResult",
    "DataSource",
    "FloatShare",
    "FloatSide",
    "IntegerSide",
    "KeptFloat",
    "LayerRow",
    "Report",
    "StepRow",
    "Verdict",
]


@dataclass(frozen=True)
class Report(ReportData):
    """What the user is told; `print(report)` shows it as tables."""

    def to_dict(self) -> dict[str, Any]:
        """Return report.json: plain values, percents and decibels with 2 decimals.

        Figures that were not measured have no key. An infinite SQNR (no noise) is None.

        Raises:
            IntaglioError: If NaN, or an infinity with no meaning, is in it; says where.
        """
        plain: dict[str, Any] = to_plain(self, self.wording)
        return plain

    def to_json(self) -> str:
        """Return the text of report.json: strict JSON in ASCII, ending with a newline."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"

    @staticmethod
    def from_dict(plain: Mapping[str, Any], wording: Wording = PLAIN) -> Report:
        """Return the report that `to_dict` wrote; keys that this version does not know are ignored.

        Args:
            wording: How its task's figures are told; left out, they are told by their keys.

        Raises:
            RequestError: If a key is missing or holds something else than a report holds.
        """
        given = {key: value for key, value in plain.items() if key != "wording"}
        for key, kind in (("float", FloatSide), ("integer", IntegerSide)):
            if key in given:
                given[key] = gathered(given[key], kind, wording, f"report.json: {key}")
        if isinstance(given.get("attempts"), list):
            given["attempts"] = [
                gathered(row, Attempt, wording, f"report.json: attempts.{number}")
                for number, row in enumerate(given["attempts"])
            ]
        return replace(from_plain(_adapter(), given, "report.json"), wording=wording)

    def __str__(self) -> str:
        return as_text(self)


@functools.cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)  # takes far longer to make than to use
