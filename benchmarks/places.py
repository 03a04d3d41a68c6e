"""Where data and results lie, and how results are written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"
DATA = Path(os.environ.get("INTAGLIO_DATA", REPOSITORY.parent / "shared" / "data"))
WEIGHTS = DATA / "weights"
IMAGENET = DATA / "imagenet"


def write_result(name: str, command: str, rows: list[dict[str, Any]]) -> None:
    """Write benchmarks/results/NAME.json: the command, the machine, the rows; print the rows."""
    save_result(name, command, rows)
    for row in rows:
        print_row(row)


def save_result(name: str, command: str, rows: list[dict[str, Any]]) -> None:
    """Write benchmarks/results/NAME.json and print nothing."""
    RESULTS.mkdir(exist_ok=True)
    save_rows(RESULTS / f"{name}.json", command, rows)


def save_rows(path: Path, command: str, rows: list[dict[str, Any]]) -> None:
    """Write the command, the machine and the rows into a file, whole or not at all."""
    content = {"command": command, "machine": machine(), "rows": rows}
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1) + "\n")
    unfinished.replace(path)


def print_row(row: dict[str, Any]) -> None:
    """Print one row on one line."""
    print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)


def earlier_rows(name: str) -> list[dict[str, Any]]:
    """Return the rows in benchmarks/results/NAME.json; none where there is no such file."""
    return rows_in(RESULTS / f"{name}.json")


def rows_in(path: Path) -> list[dict[str, Any]]:
    """Return the rows that `save_rows` wrote; none where there is no such file."""
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.is_file() else []
    return rows
