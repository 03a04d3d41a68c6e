"""Segmenters, table by table.

    python -m benchmarks.segmentation TABLE [--data DIR] [--out DIR] [--only NAME ..] [--part K/N]
        [--threads 1] [--images N]

TABLE is `segmentation-float`, `segmentation-integers`, `segmentation-camvid`, `segmentation-crf` or
`segmentation-cost`; each says in its file what its rows hold. A row is saved as it ends, and
another run goes on behind those that are there.

`python -m benchmarks.tables` makes the page.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.places import RESULTS
from benchmarks.rows import Job, Wish, measure
from benchmarks.segmentation import camvid, cost, crf, integers, real

TABLES: dict[str, Callable[[Wish], list[Job]]] = {
    "segmentation-float": real.jobs,
    "segmentation-integers": integers.jobs,
    "segmentation-camvid": camvid.jobs,
    "segmentation-crf": crf.jobs,
    "segmentation-cost": cost.jobs,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure what was asked for and is not there yet; save each row."""
    measure(arguments, "benchmarks.segmentation", TABLES, RESULTS)


if __name__ == "__main__":
    main()
