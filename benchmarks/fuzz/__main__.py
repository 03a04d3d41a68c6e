"""Thousands of damaged files of every format that is read: what becomes of each.

    python -m benchmarks.fuzz [--mutants N] [--again] [FORMAT ...]

FORMAT: a part of a row's name ("pth", "graph.json"); all without one. A mutant is a valid file with
one to three changes (bytes flipped, words overwritten, cut, doubled, moved; of JSON and TOML also
values, keys and lists), the same for the same number on every run. `refused`: a RequestError of one
line. `equal`: read, with the same content. `other`: read with other content; `silent` are those of
them where a checksum should have noticed (of a result with its SHA256SUMS as it lies: `equal` too),
the rest are formats that have none. `child_ended`: refused because native code ended
the child process that had the file. `traceback`, `crash` and `stall` (20 s of a core for one file)
are defects, as is `silent`. Rows already in the results stay unless --again is given or
they had fewer mutants; each row is saved as it ends. About 20 minutes of one core.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.fuzz.driver import (
    CHILD_ENDED,
    CRASH,
    EQUAL,
    OTHER,
    REFUSED,
    STALL,
    TRACEBACK,
    Outcome,
    outcomes,
)
from benchmarks.fuzz.formats import MUST_REFUSE, NONE, Format
from benchmarks.fuzz.inputs import input_formats
from benchmarks.fuzz.results import result_formats
from benchmarks.places import earlier_rows, print_row, save_result

NAME, COMMAND = "fuzz", "python -m benchmarks.fuzz"
MUTANTS = 3000
SHOWN, SAME_LETTERS = 5, 50
"""Examples of defects in a row, and how far messages of different ones are alike."""


def main() -> None:
    """Run the rows that were asked for; write benchmarks/results/fuzz.json."""
    arguments = _arguments()
    torch.set_num_threads(1)  # the workers are forked, which threads would not survive
    rows = {row["format"]: row for row in earlier_rows(NAME)}
    with tempfile.TemporaryDirectory() as folder:
        formats = [*input_formats(Path(folder) / "in"), *result_formats(Path(folder) / "out")]
        for format_ in formats:
            asked = not arguments.format or any(part in format_.name for part in arguments.format)
            done = rows.get(format_.name, {}).get("mutants", 0) >= arguments.mutants
            if asked and (arguments.again or not done):
                rows[format_.name] = measured(format_, arguments.mutants)
                order = [known.name for known in formats if known.name in rows]
                print_row(rows[format_.name])
                save_result(NAME, COMMAND, [rows[name] for name in order])


def measured(format_: Format, count: int) -> dict[str, Any]:
    """Return the row of a format: how many mutants ended in which way, and some of the defects."""
    content = format_.place.read_bytes()
    format_.prepare()
    digest = format_.read()
    began, found = time.monotonic(), list(outcomes(format_, content, digest, count))
    format_.place.write_bytes(content)
    kinds = collections.Counter(outcome.kind for outcome in found)
    silent = kinds[OTHER] if format_.guard != NONE else 0
    silent += kinds[EQUAL] if format_.guard == MUST_REFUSE else 0
    row: dict[str, Any] = {"format": format_.name, "mutants": count}
    row |= {kind: kinds[kind] for kind in (REFUSED, EQUAL, OTHER)} | {"silent": silent}
    row |= {kind: kinds[kind] for kind in (CHILD_ENDED, TRACEBACK, CRASH, STALL)}
    row |= {"slowest_s": max(outcome.seconds for outcome in found)}
    row |= {"seconds": round(time.monotonic() - began, 1)}
    return row | {"examples": _examples(found, silent > 0)}


def _examples(found: list[Outcome], silent: bool) -> str:
    """Return numbers and messages of the first defects; empty where there are none."""
    bad = {TRACEBACK, CRASH, STALL} | ({OTHER} if silent else set())
    first: dict[str, Outcome] = {}
    for outcome in found:
        if outcome.kind in bad:
            first.setdefault(outcome.kind + outcome.text[:SAME_LETTERS], outcome)
    shown = list(first.values())[:SHOWN]
    return "; ".join(f"#{outcome.number} {outcome.kind} {outcome.text}" for outcome in shown)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument("format", nargs="*", help="a part of a row's name")
    parser.add_argument("--mutants", type=int, default=MUTANTS)
    parser.add_argument("--again", action="store_true", help="measure rows that are there too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
