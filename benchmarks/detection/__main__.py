"""Detectors, table by table.

    python -m benchmarks.detection TABLE [--data DIR] [--out DIR] [--only NAME ..] [--part K/N]
        [--threads 1] [--images N]

TABLE is `detection-float`, `detection-integers`, `detection-bccd`, `detection-w4a4` or
`detection-cost`; each says in its file what its rows hold. A row is saved as it ends, and
another run goes on behind those that are there.

`python -m benchmarks.tables` makes the page.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.detection import bccd, cost, four_bits, integers, real
from benchmarks.places import RESULTS
from benchmarks.rows import Job, Wish, measure

TABLES: dict[str, Callable[[Wish], list[Job]]] = {
    "detection-float": real.jobs,
    "detection-integers": integers.jobs,
    "detection-bccd": bccd.jobs,
    "detection-w4a4": four_bits.jobs,
    "detection-cost": cost.jobs,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure what was asked for and is not there yet; save each row."""
    measure(arguments, "benchmarks.detection", TABLES, RESULTS)


if __name__ == "__main__":
    main()
