"""The page about public networks, from the rows of one or several files.

    python -m benchmarks.public.page FILE [FILE ...]

prints it; `python -m benchmarks.tables` writes benchmarks/results/public.md from
benchmarks/results/public/*.json. A file has what `save_rows` wrote, or one row a line (.jsonl).
"""

from __future__ import annotations

import collections
import json
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.places import RESULTS, rows_in
from benchmarks.public.attempt import CRASH, INTERNAL, NOT_BUILT, OK, TIMEOUT, Row
from benchmarks.public.outputs import BELOW_CONTROL_DB, POOR_DB, unsaid
from intaglio.calibrate.float_islands import SUM, TAIL
from intaglio.calibrate.float_tails import JOINED

PUBLIC = RESULTS / "public"
UNEQUAL = "parts of very different ranges are joined at the network's end"
"""What the reason begins with of a concatenation that stays in float, at the end."""
ENDS = (TAIL, SUM, JOINED, UNEQUAL)
"""Beginnings of the reasons of the layers that stay in float without anybody's wish."""
BESIDE = ("it only moves values", "a layer in float reads it")
"""Beginnings of the reasons of what goes with a layer in float."""
REASON_LETTERS = 400

HEAD = """# Public networks

Definitions by others, with random weights and batch-norm statistics of random images: what is
taken, whether file and twin agree in every bit, how good the outputs are; no accuracy. Made by
`python -m benchmarks.public --definitions FILE.py`, once without and once with `--allow-float`;
written by `python -m benchmarks.tables`.
"""


def main(names: list[str]) -> None:
    """Print the page of the files that are named."""
    print(page(latest(rows_of_all(map(Path, names)))))


def rows_of_all(paths: Iterable[Path]) -> list[Row]:
    """Return the rows of all files, each with a recipe and whether float was allowed."""
    rows = [row for path in paths for row in _rows(path)]
    return [{"recipe": "plain", "allow_float": False, **row} for row in rows]


def _rows(path: Path) -> list[Row]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines() if line]
    return rows_in(path)


def latest(rows: list[Row]) -> list[Row]:
    """Return one row for each network, recipe and permission of float: the one made last."""
    found: dict[tuple[str, str, bool], Row] = {}
    for row in rows:
        key = (row["name"], row["recipe"], row["allow_float"])
        if key not in found or row.get("at", 0) >= found[key].get("at", 0):
            found[key] = row
    return list(found.values())


def page(rows: list[Row]) -> str:
    """Return the page, in Markdown."""
    parts = [HEAD]
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        own = [row for row in rows if row["recipe"] == recipe]
        integer = [row for row in own if not row["allow_float"]]
        allowed = {row["name"]: row for row in own if row["allow_float"]}
        parts += [
            f"## Recipe {recipe}\n\n{_machines(own)}\n",
            f"### By task\n\n{REMARK}\n",
            by_task(integer, allowed),
            f"### Outputs and bits\n\n{_bits(own)}\n",
            _low_outputs(own),
            "### Partitions of the delegate, all in integers\n",
            by_partitions(integer),
            "### Partitions of the delegate, with --allow-float\n",
            by_partitions([row for row in allowed.values() if not is_integer(row)]),
            "### What is not taken\n",
            not_taken(integer, allowed),
        ]
    return "\n".join(parts)


REMARK = """All integer: nothing in float but the ends, which are a softmax, its fixed weighted
sum, or a concatenation of unequal parts. With float: taken in integers, or with `--allow-float`.
Not built: the package's own fault, and not among those tried."""


def by_task(integer: list[Row], allowed: dict[str, Row]) -> str:
    """Return the table of how much is taken, a line a task, and one of all."""
    lines = []
    for task in [*sorted({row["task"] for row in integer}), "all"]:
        own = [row for row in integer if task in (row["task"], "all")]
        tried = [row for row in own if row["outcome"] != NOT_BUILT]
        count, taken = len(tried), sum(row["outcome"] == OK for row in tried)
        outcomes = collections.Counter(row["outcome"] for row in own)
        either = sum(is_taken(row, allowed.get(row["name"])) for row in tried)
        captures = [row["capture_s"] for row in tried if "capture_s" in row]
        lines.append(
            [
                task,
                count,
                _share(taken, count),
                _share(sum(is_integer(row) for row in tried), count),
                _share(either, count) if allowed else "not run",
                outcomes[CRASH] + outcomes[INTERNAL],
                outcomes[TIMEOUT],
                outcomes[NOT_BUILT],
                f"{statistics.median(captures):.2f}" if captures else "",
            ]
        )
    head = "task | tried | ok | all integer | with float | crashes | timeouts | not built"
    return table([*head.split(" | "), "capture, median CPU s"], lines)


def is_integer(row: Row) -> bool:
    """Whether a network was taken with nothing in float but its ends and what goes with them."""
    reasons = [why for _, why in row.get("kept_float", ())]
    return row["outcome"] == OK and all(why.startswith(ENDS + BESIDE) for why in reasons)


def is_taken(integer: Row, allowed: Row | None) -> bool:
    """Whether a network was taken in integers, or where float was allowed."""
    return OK in (integer["outcome"], allowed["outcome"] if allowed else None)


def by_partitions(rows: list[Row]) -> str:
    """Return how many networks have how many partitions, and which ops leave the delegate where."""
    known = [row for row in rows if row["outcome"] == OK and "partitions" in row]
    if not known:
        return "None measured.\n"
    counts = collections.Counter(row["partitions"] for row in known)
    kinds = collections.Counter(kind for row in known for kind in row["outside"])
    told = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
    lines = [
        [row["name"], row["partitions"], _counted(row["outside"]), row.get("float_share", 0.0)]
        for row in sorted(known, key=lambda row: (-row["partitions"], row["name"]))
        if row["partitions"] != 1
    ]
    heads = ["partitions", "networks"]
    parts = [table(heads, [[number, counts[number]] for number in sorted(counts)])]
    parts += [f"Outside of it, in how many networks: {told or 'nothing'}.\n"]
    if lines:
        parts += [table(["network", "partitions", "ops outside", "MACs in float, %"], lines)]
    return "\n".join(parts)


def not_taken(integer: list[Row], allowed: dict[str, Row]) -> str:
    """Return the table of all that is no file, with the reasons."""
    lines = []
    for row in sorted(integer, key=lambda row: (row["outcome"], row["task"], row["name"])):
        if row["outcome"] != OK:
            other = allowed.get(row["name"], {"outcome": "not run"})
            reason = _reason(row)
            if other["outcome"] not in (OK, "not run") and _reason(other) != reason:
                reason += f" **With float:** {_reason(other)}"
            lines.append([row["name"], row["task"], row["outcome"], other["outcome"], reason])
    return table(["network", "task", "outcome", "with --allow-float", "reason"], lines)


def _bits(rows: list[Row]) -> str:
    different = sum(row.get("mismatches", 0) for row in rows)
    compared = sum(row.get("compared", 0) for row in rows)
    low = sum(len(unsaid(row)) for row in rows)
    return (
        f"{different:,} of {compared:,} values differ. {low} outputs have an SQNR below {POOR_DB:g}"
        f" dB, and {BELOW_CONTROL_DB:g} dB below what noise in the images, 40 dB below them, leaves"
        " of the float network's own, and no warning is about them."
    )


def _low_outputs(rows: list[Row]) -> str:
    lines = [
        [row["name"], "yes" if row["allow_float"] else "no", number, sqnr, control]
        for row in rows
        for number, sqnr, control in unsaid(row)
    ]
    heads = ["network", "float allowed", "output", "SQNR, dB", "under noise, dB"]
    return table(heads, lines) if lines else ""


def _machines(rows: list[Row]) -> str:
    names = sorted({row["cpu"] for row in rows if "cpu" in row})
    return f"Run on {'; '.join(names) or 'an unnamed processor'}."


def _reason(row: Row) -> str:
    said = str(row.get("message", ""))
    return said if len(said) <= REASON_LETTERS else said[:REASON_LETTERS] + " ..."


def _share(part: int, whole: int) -> str:
    return f"{part} ({100.0 * part / whole:.0f} %)" if whole else "0"


def _counted(kinds: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())


def table(heads: list[str], lines: list[list[object]]) -> str:
    """Return a Markdown table; text that would end a cell is told without the sign that does."""
    rows = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for line in lines:
        cells = [" ".join(str(cell).split()).replace("|", "\\|") for cell in line]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
