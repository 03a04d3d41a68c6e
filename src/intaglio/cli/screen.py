"""Standard output: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from intaglio.errors import one_line

PLAIN_WIDTH = 100


def screen() -> Console:
    """Return standard output: as wide as the terminal, PLAIN_WIDTH columns elsewhere."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def print_json(content: Any) -> None:
    """Write strict JSON on standard output."""
    sys.stdout.write(json.dumps(content, indent=1, allow_nan=False) + "\n")


def print_line(text: str) -> None:
    """Write one line on standard output, as it is, whatever names are in it."""
    sys.stdout.write(one_line(text) + "\n")


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    """Write a table on standard output.

    Args:
        titles: Of the columns.
        rows: Cells; shown as they are, never read as rich's markup.
        right: Titles of the columns whose cells stand on the right.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for title in titles:
        justify = "right" if title in right else "left"
        table.add_column(title, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    screen().print(table)
