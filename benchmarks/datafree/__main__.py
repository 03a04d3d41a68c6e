"""Quantization without images, table by table.

    python -m benchmarks.datafree TABLE [--data DIR] [--out DIR] [--only NAME ..] [--part K/N]
        [--threads 1] [--device cpu] [--images N]

TABLE is `datafree-mobilenets`, `datafree-cifar`, `datafree-generators`, `datafree-games` or
`datafree-cost`; each says in its file what its rows hold. A row is saved as it ends, and another
run goes on behind the rows that are there; --only measures the rows that it names again.

`python -m benchmarks.tables` makes the page.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.datafree import cifar, cost, games, generators, mobilenets
from benchmarks.places import RESULTS
from benchmarks.rows import Job, Wish, measure

TABLES: dict[str, Callable[[Wish], list[Job]]] = {
    "datafree-mobilenets": mobilenets.jobs,
    "datafree-cifar": cifar.jobs,
    "datafree-generators": generators.jobs,
    "datafree-games": games.jobs,
    "datafree-cost": cost.jobs,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure what was asked for and is not there yet; save each row."""
    measure(arguments, "benchmarks.datafree", TABLES, RESULTS)


if __name__ == "__main__":
    main()
