"""Which outputs of a public network are wrecked without a word about them."""

from __future__ import annotations

import re
from typing import Any

POOR_DB = 20.0
BELOW_CONTROL_DB = 8.0
"""An output is low where it is below POOR_DB, and this much below what noise in the images leaves
of it in the float network."""
NAMED = re.compile(r"output '(.+)' has an SQNR of ")
UNNAMED = re.compile(r"and (\d+) more outputs$")

Low = tuple[int, float, float]


def low_outputs(row: dict[str, Any]) -> list[Low]:
    """Return (number, SQNR in dB, control in dB) of each low output; NaN counts as low."""
    pairs = zip(row.get("sqnr", ()), row.get("control", ()), strict=True)
    return [
        (number, sqnr, control)
        for number, (sqnr, control) in enumerate(pairs)
        if not sqnr >= min(POOR_DB, control - BELOW_CONTROL_DB)
    ]


def unsaid(row: dict[str, Any]) -> list[Low]:
    """Return the low outputs of a row that no warning is about.

    A warning names its output; so many that are not named may be meant by "and N more outputs".
    Where the row does not say what its outputs are called, they are only counted.
    """
    low, warnings = low_outputs(row), row.get("warnings", ())
    named = [found[1] for found in map(NAMED.match, warnings) if found]
    more = sum(int(found[1]) for found in map(UNNAMED.match, warnings) if found)
    outputs = row.get("outputs", ())
    if len(outputs) != len(row.get("sqnr", ())):
        return low[len(named) + more :]
    return [one for one in low if outputs[one[0]] not in named][more:]
