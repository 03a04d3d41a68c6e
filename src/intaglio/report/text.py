"""The report on a terminal, as plain text, and as plain lines; one renderer for a kind of section.

Names come from the user's network and files. They are shown as they are, never read as rich's
markup, and characters that would steer the terminal are shown as "?".
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from intaglio.report.parts import ReportData
from intaglio.report.pictures import Pictures
from intaglio.report.section import (
    Claim,
    Claims,
    Column,
    Facts,
    Picture,
    Plot,
    Remarks,
    Section,
    Table,
    TableRow,
)
from intaglio.report.sections import sections

PLAIN_WIDTH = 100
CLAIM_STYLES = {"good": "bold green", "unsure": "bold yellow", "bad": "bold red", "absent": "bold"}


def print_report(
    report: ReportData,
    console: Console,
    *,
    extra: Sequence[Section] = (),
    closing: Sequence[str] = (),
) -> None:
    """Print the report's tables on `console`.

    Args:
        extra: Sections that a task adds.
        closing: Lines between the tables and what came out, each on one line however long it is.
    """
    print_sections(sections(report, extra=extra), console, closing=closing)


def as_text(report: ReportData, *, extra: Sequence[Section] = ()) -> str:
    """Return the report's tables as plain text, PLAIN_WIDTH columns wide."""
    file = io.StringIO()
    console = Console(
        file=file, width=PLAIN_WIDTH, color_system=None, force_terminal=False, legacy_windows=False
    )
    print_report(report, console, extra=extra)
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip().splitlines())


def summary_lines(report: ReportData, *, extra: Sequence[Section] = ()) -> list[str]:
    """Return the summary as plain lines, one fact each, for logs and pipes."""
    return plain_lines(sections(report, extra=extra))


def print_sections(
    shown: Sequence[Section], console: Console, *, closing: Sequence[str] = ()
) -> None:
    """Print sections on `console`.

    The first one opens the report and has no heading; sections under one heading print it once.
    Tables of which only the worst is shown come late, and claims last, where a terminal is read;
    `closing` lines stand before them.
    """
    claims = [section for section in shown if _is_claims(section)]
    others = [section for section in shown if not _is_claims(section)]
    said = others[0].title if others else ""
    for section in sorted(others, key=_is_cut_short):
        title = "" if section.title == said else (section.told or section.title)
        said = section.title
        for renderable in _renderables(section, title):
            console.print(renderable)
    for line in closing:
        console.print(_text(line), soft_wrap=True)
    for section in claims:
        for renderable in _renderables(section, ""):
            console.print(renderable)


def plain_lines(shown: Sequence[Section]) -> list[str]:
    """Return what the summary's sections say, one fact a line; claims come last."""
    ordered = sorted(shown, key=_is_claims)
    return [_printable(line) for section in ordered if section.plain for line in _lines(section)]


def _is_claims(section: Section) -> bool:
    return isinstance(section.body, Claims)


def _is_cut_short(section: Section) -> bool:
    return isinstance(section.body, Table) and section.body.worst is not None


def _renderables(section: Section, title: str) -> list[RenderableType]:
    match section.body:
        case Facts() as body:
            return [_facts(body, title)]
        case Claims() as body:
            return [_text(_said(claim), CLAIM_STYLES[claim.state]) for claim in body.claims]
        case Remarks() as body:
            return [_text(remark.sentence, "yellow") for remark in body.remarks]
        case Table() as body:
            return _table(body, title)
        case Picture() | Pictures():
            return [_text(title)] if title else []
        case Plot():
            return []


def _lines(section: Section) -> list[str]:
    match section.body:
        case Facts() as body:
            return [f"{label}: {text}" for label, text in body.facts]
        case Claims() as body:
            return [_said(claim) for claim in body.claims]
        case Remarks() as body:
            return [remark.sentence for remark in body.remarks]
        case Table() as body:
            told = [section.told] if section.told else []
            return told + [row.line or _line(section.title, body, row) for row in body.rows]
        case Picture() | Pictures():
            return [section.told] if section.told else []
        case Plot():
            return []


def _said(claim: Claim) -> str:
    return f"{claim.head}: {claim.sentence}"


def _line(title: str, table: Table, row: TableRow) -> str:
    """Return a row as "title: name: heading text, heading text"; empty cells are left out."""
    said = [
        f"{column.title} {cell.text}"
        for place, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True))
        if cell.text and place != table.head
    ]
    return f"{title}: {row.cells[table.head].text}: {', '.join(said)}"


def _facts(body: Facts, title: str) -> Grid:
    grid = Grid(
        title=_title(title), title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0)
    )
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in body.facts:
        grid.add_row(_text(label), _text(text))
    return grid


def _table(table: Table, title: str) -> list[RenderableType]:
    rows, places = list(table.rows), list(range(len(table.columns)))
    if table.worst is not None:
        title, rows = table.worst.title, [table.rows[place] for place in table.worst.rows]
        keys = [column.key for column in table.columns]
        places = [keys.index(key) for key in table.worst.columns]
    elif not rows:
        return [_text(title)] if title else []
    return [_grid(title, [table.columns[p] for p in places], rows, places)] if rows else []


def _grid(
    title: str, columns: Sequence[Column], rows: Sequence[TableRow], places: Sequence[int]
) -> Grid:
    grid = Grid(title=_title(title), title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        grid.add_column(
            _text(column.title),
            justify="right" if column.numeric else "left",
            no_wrap=column.numeric or column.breaks == "never",
            overflow="fold" if column.breaks == "anywhere" else "ellipsis",
        )
    for row in rows:
        grid.add_row(*(_text(row.cells[place].text) for place in places))
    return grid


def _title(title: str) -> Text | None:
    return _text(title, "table.title") if title else None


def _text(value: str, style: str = "") -> Text:
    return Text(_printable(value), style=style)


def _printable(value: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in value)
