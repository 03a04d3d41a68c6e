"""Rows as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def plain_cell(value: Any) -> str:
    """Return a value as the pages write it: thousands set apart."""
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)


def table(rows: Sequence[Mapping[str, Any]], cell: Callable[[Any], str] = plain_cell) -> str:
    """Return rows as a table; columns in the order in which they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for row in rows:
        lines.append("| " + " | ".join(cell(row.get(column, "")) for column in columns) + " |")
    return "\n".join(lines) + "\n"
