"""The page about training, from the rows in benchmarks/results/training.

    python -m benchmarks.training.page [FOLDER]

prints it; `python -m benchmarks.tables` writes benchmarks/results/training.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.markdown import table
from benchmarks.places import RESULTS
from benchmarks.rows import Row, all_rows, files_of

TRAINING = RESULTS / "training"
ABOUT = {
    "exact": "Integers in which the network in training (method `exact`, measuring) differs from"
    " its twin, value by value, and its twin from the file run by LiteRT.",
    "cifar": "ResNet-20 on CIFAR-10 (JPEG): `start` is post-training quantization, `final` the last"
    " state, `drop` the distance to the float network fine-tuned with the same budget.",
    "mobilenet": "MobileNetV2, 4-bit weights as files hold them, taught by the float network on"
    " images without labels.",
    "cost": "A training step, all of a network in turn in one process: medians, and the median of"
    " the ratios to the float module round by round.",
    "memory": "A training step in a process of its own: bytes of tensors alive at the peak, and"
    " what the process grew by at its largest.",
    "resume": "Runs killed with SIGKILL and resumed, and two processes, against one that runs.",
    "trouble": "What is planted, when it is noticed, and what is left at the end.",
    "friendly": "MobileNets for 32x32 images and their quantization-friendly twins, trained from"
    " scratch on CIFAR-10 (JPEG), then plain integers with one scale a weight.",
    "surgery": "MobileNetV2 with ImageNet weights: each change before and after fine-tuning, as"
    " float network and as plain integers with one scale a weight.",
    "bytes": "MobileNetV2 for 32x32 images, trained with ranges that follow their values; its file"
    " takes and gives uint8.",
}
"""Tables in their order, and what their rows are."""
HEAD = """# Training

Written by `python -m benchmarks.tables`. What the rows run with stands in
`benchmarks/training/settings.py`, and in each row.
"""
LEFT_OUT = ("at",)
OF_NORMS = ("the running statistics of", "so were those of")
"""Events that the rows have and the page only counts."""
FLOAT_ROW = "float"


def page(folder: Path) -> str:
    """Return the page; "" where there are no rows."""
    parts = []
    for name, about in ABOUT.items():
        rows = shown(name, all_rows(folder, name))
        if rows:
            command = f"`python -m benchmarks.training {name}`"
            parts.append(f"## {name}\n\n{about}\n\n{command}\n\n{_machine(folder, name)}")
            parts.append(table(rows, _cell))
    return "\n".join([HEAD, *parts]) if parts else ""


def shown(name: str, rows: list[Row]) -> list[Row]:
    """Return rows as the page shows them, with what only all rows together say."""
    kept = [
        {key: _few(cell) if key == "events" else cell for key, cell in row.items()}
        for row in ({key: row[key] for key in row if key not in LEFT_OUT} for row in rows)
    ]
    return with_drops(kept) if name == "cifar" else kept


def _few(events: list[str]) -> list[str]:
    """Return events without those on statistics of batch norms, which are counted."""
    rest = [event for event in events if not event.partition(": ")[2].startswith(OF_NORMS)]
    count = len(events) - len(rest)
    return [*rest, f"{count} on statistics of batch norms"] if count else rest


def with_drops(rows: list[Row]) -> list[Row]:
    """Return rows with their distance to the float row's final figure, in points."""
    floats = [row["final"] for row in rows if row["row"] == FLOAT_ROW and "final" in row]
    if not floats:
        return rows
    found = []
    for row in rows:
        made: Row = {}
        for key, cell in row.items():
            made[key] = cell
            if key == "final":
                made["drop"] = round(floats[0] - cell, 2)
        found.append(made)
    return found


def _machine(folder: Path, name: str) -> str:
    """Return the machine of the last part of a table, as the other pages state it."""
    machine = json.loads(files_of(folder, name)[-1].read_text())["machine"]
    return "; ".join(f"{key}: {value}" for key, value in machine.items()) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value)).replace("|", "\\|") or "none"
    text = f"{value:,}" if isinstance(value, int) and abs(value) > 9999 else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    print(page(Path(sys.argv[1]) if len(sys.argv) > 1 else TRAINING))
