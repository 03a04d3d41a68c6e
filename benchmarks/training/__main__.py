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

from collections.abc import Callable

from benchmarks.rows import Job, Wish, measure
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
    measure(arguments, "benchmarks.training", TABLES, TRAINING)


if __name__ == "__main__":
    main()
