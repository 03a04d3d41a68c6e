"""Training measured, table by table.

    python -m benchmarks.training TABLE [--data DIR] [--out DIR] [--only NAME ..] [--part K/N]
        [--threads 1] [--device cpu] [--minutes M] [--images N]

TABLE is `exact`, `cifar`, `mobilenet`, `cost`, `memory`, `resume`, `trouble`, `friendly`, `surgery`
or `bytes`; each says in its file what its rows hold, and settings.py what they run with. A row is
saved as it ends, and another run goes on behind the rows of all parts; --only measures the rows
that it names again. A run that is killed goes on where it was saved, at most a minute back
(DIR/running), if nothing in its settings has changed. --images tries a table out, and asks for a
folder of its own.

`python -m benchmarks.tables` makes the page.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.places import DATA
from benchmarks.training import (
    bytes_in,
    cifar,
    cost,
    exact,
    friendly,
    memory,
    mobilenet,
    operations,
    resume,
    trouble,
)
from benchmarks.training.page import TRAINING
from benchmarks.training.rows import Job, Wish, part_of, run

TABLES: dict[str, Callable[[Wish], list[Job]]] = {
    "exact": exact.jobs,
    "cifar": cifar.jobs,
    "mobilenet": mobilenet.jobs,
    "cost": cost.jobs,
    "memory": memory.jobs,
    "resume": resume.jobs,
    "trouble": trouble.jobs,
    "friendly": friendly.jobs,
    "surgery": operations.jobs,
    "bytes": bytes_in.jobs,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure what was asked for and is not there yet; save each row."""
    wish = _wish(arguments)
    torch.set_num_threads(wish.threads)
    run(TABLES[wish.table](wish), wish, f"python -m benchmarks.training {wish.table}")


def _wish(arguments: list[str] | None) -> Wish:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("table", choices=tuple(TABLES))
    parser.add_argument("--data", type=Path, default=DATA, help="the data pack")
    parser.add_argument("--out", type=Path, default=TRAINING)
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME", help="rows to measure")
    parser.add_argument("--part", type=part_of, default=(1, 1), metavar="K/N")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, help="of a run, where the table counts in minutes")
    parser.add_argument("--images", type=int, help="the most of each data set, for trying out")
    found = parser.parse_args(arguments)
    if found.images is not None and found.out == TRAINING:
        parser.error(f"--images tries out: give an --out of its own, {tempfile.gettempdir()}/try")
    return Wish(**{**vars(found), "only": tuple(found.only)})


if __name__ == "__main__":
    main()
