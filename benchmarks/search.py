"""What a search says of each rung, what the rung costs, and what it truly brings.

    python -m benchmarks.search [SCHEME ...]

MobileNetV2 (tf lineage), recipe `auto` with all 1000 labelled images of calib.csv; the seed draws
which of them tune. The network that a search ended with, and for seed 0 every network that it made,
is judged once more, behind the search, on judge.csv (n = 1150), which it never sees: `said_...` is
what the images apart told the search, `drop` and `agreement` are true. The last row of a search,
`rung` "result", has the network that it ended with: `seconds` is all of `compress` on the threads
stated. What `accurate` and `accurate-per-tensor` reach alone stands in the table
`ladder-lineages`.

Rows are saved search by search; another run goes on behind them. Delete
benchmarks/results/search.json to begin anew.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch
from torch import Tensor

from benchmarks.measured import Place, judged, judged_at
from benchmarks.networks import V2
from benchmarks.places import IMAGENET, earlier_rows, print_row, save_result
from intaglio.data.images import batches, open_dataset
from intaglio.job import ladder
from intaglio.job.of_graph import compress_graph
from intaglio.job.result import Result
from intaglio.recipe.options import Options
from intaglio.run.twin import Twin
from intaglio.tasks import Judge, Judgement

NAME, COMMAND = "search", "python -m benchmarks.search"
MINUTES = 15.0
"""Of a search on one thread, two searches side by side: 10 on the two cores of one."""
SCHEMES = ("w8a8", "w8a8-per-tensor", "w4a8")
SEEDS = (0, 1, 2)

Row = dict[str, Any]


def main(schemes: list[str]) -> None:
    """Measure what is not there yet, and write benchmarks/results/search.json."""
    rows = earlier_rows(NAME)
    done = {(row["scheme"], row["seed"]) for row in rows}
    place = judged_at(V2, IMAGENET / "judge.csv")
    data = calibration()
    for scheme in schemes or list(SCHEMES):
        for seed in SEEDS:
            if (scheme, seed) not in done:
                rows += searched(scheme, seed, place, data)
                save_result(NAME, COMMAND, rows)


def calibration() -> list[tuple[Tensor, Tensor]]:
    """Return all of calib.csv, with labels."""
    _, preprocess, shape = V2.build()
    dataset = open_dataset(IMAGENET / "calib.csv", need_labels=True)
    with batches(dataset, preprocess, shape, batch_size=16) as stream:
        return [(batch.images, batch.labels) for batch in stream if batch.labels is not None]


def searched(scheme: str, seed: int, place: Place, data: list[tuple[Tensor, Tensor]]) -> list[Row]:
    """Return the rows of one search."""
    tried: list[Twin] = []
    told = _remembering(tried)
    began, began_cpu = time.perf_counter(), time.process_time()
    try:
        result = compress_graph(
            place.captured,
            data=data,
            recipe="auto",
            options=Options(scheme=scheme, seed=seed, minutes=MINUTES),
        )
    finally:
        ladder.judge_of = told
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    rows = _rungs(scheme, seed, result, tried, place)
    rows.append(
        {
            **_named(scheme, seed, "result"),
            "seconds": round(seconds, 1),
            "cpu_seconds": round(cpu_seconds, 1),
            "threads": torch.get_num_threads(),
            **judged(result.twin, place),
            "file_bytes": len(result.content),
            "in_float": len(result.report.kept_float),
            "mismatches": result.report.check.mismatches if result.report.check else None,
            "found": " + ".join(result.recipe.step_names) or "none",
            "calibrator": result.recipe.calibrator,
        }
    )
    for row in rows:
        print_row(row)
    return rows


def _remembering(tried: list[Twin]) -> Any:
    """Let searches remember every twin that they judge; return what judged before."""
    before = ladder.judge_of

    def judge_of(*given: Any, **named: Any) -> Judge:
        """Return the judge, which remembers."""
        judge = before(*given, **named)
        asked = judge.of

        def of(twin: Twin) -> Judgement:
            """Return the judgement of a twin, and remember the twin."""
            tried.append(twin)
            return asked(twin)

        judge.of = of  # type: ignore[method-assign]
        return judge

    ladder.judge_of = judge_of
    return before


def _rungs(scheme: str, seed: int, result: Result, tried: list[Twin], place: Place) -> list[Row]:
    rows, twins = [], iter(tried)
    for attempt in result.report.attempts:
        row = _named(scheme, seed, attempt.name)
        row |= {"seconds": round(attempt.seconds, 1), "kept": attempt.kept}
        if attempt.sqnr_db is None:
            rows.append({**row, "why": attempt.why})
            continue
        said = attempt.figures
        rows.append(
            {
                **row,
                "said_n": attempt.n,
                "said_drop": round(said["float_top1"] - said["top1"], 2),
                "said_agreement": round(attempt.agreement or 0.0, 2),
                "said_sqnr_db": round(attempt.sqnr_db, 2),
                **(judged(next(twins), place) if seed == 0 else {}),
                "file_bytes": attempt.size_bytes,
            }
        )
    return rows


def _named(scheme: str, seed: int, rung: str) -> Row:
    return {"scheme": scheme, "seed": seed, "rung": rung}


if __name__ == "__main__":
    main(sys.argv[1:])
