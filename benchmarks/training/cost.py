"""What a training step costs: ours, and those of other tools, against the float module's.

    python -m venv PEERS
    PEERS/bin/pip install torch==2.13.0 -r benchmarks/training/requirements.txt .
    PEERS/bin/python -m benchmarks.training cost

All networks of a case take their steps in turn, in one process, on a fixed number of threads:
`seconds` are medians, `ratio` the median of the ratios to the float step of the same round, between
its `quartiles`. What is compiled is held against the compiled float module. `breaks` are places
where torch.compile went back to Python. A network that cannot be built or stepped here has a row
that says why; without the other tools installed theirs say so.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata

import torch
from torch._dynamo.utils import counters

from benchmarks.paired import interleaved, ratio
from benchmarks.rows import LETTERS, Job, Row, Wish
from benchmarks.training.learners import (
    COMPILED,
    FLOAT,
    FLOAT_COMPILED,
    LEARNERS,
    Given,
    given_for,
    stepping,
)
from benchmarks.training.settings import COST_CASES, COST_ROUNDS, CostCase

WARM = 2
PEERS = ("torchao", "nncf", "brevitas")


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows, all of a case together."""
    return [Job(f"{case.network} {case.scheme}", _work(case, wish)) for case in COST_CASES]


def _work(case: CostCase, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: timed(case, wish)


def timed(case: CostCase, wish: Wish) -> list[Row]:
    """Return the rows of a case."""
    case = replace(case, batch=wish.at_most(case.batch))
    given = given_for(case)
    work: dict[str, Callable[[], object]] = {}
    rows: dict[str, Row] = {}
    for name in LEARNERS:
        row = {"what": name, "batch": case.batch, "pixels": case.size}
        try:
            step, said = _warm(name, given)
            work[name], rows[name] = step, row | said
        except Exception as error:  # a tool by others, or a compiler
            rows[name] = row | {"skipped": f"{type(error).__name__}: {error}"[:LETTERS]}
    rounds = COST_ROUNDS if wish.images is None else 2
    seconds = interleaved(work, rounds)
    for name in work:
        base = FLOAT_COMPILED if name in COMPILED else FLOAT
        rows[name] |= _figures(seconds, name, base if base in work else FLOAT)
    return [row | {"seed": 0, "versions": _versions(name)} for name, row in rows.items()]


def _warm(name: str, given: Given) -> tuple[Callable[[], None], Row]:
    """Return the step of a learner after the first ones, and what there is to say of it."""
    counters.clear()
    learner = LEARNERS[name](given)
    step = stepping(learner, given)
    for _ in range(WARM):
        step()
    said: Row = {"note": learner.note}
    if name in COMPILED:
        said["breaks"] = sum(counters["graph_break"].values())
    return step, said


def _figures(seconds: dict[str, list[float]], name: str, base: str) -> Row:
    middle, low, high = ratio(seconds, name, base)
    return {
        "seconds": round(statistics.median(seconds[name]), 4),
        "against": base,
        "ratio": round(middle, 3),
        "quartiles": f"{low:.3f} to {high:.3f}",
        "rounds": len(seconds[name]),
    }


def _versions(name: str) -> str:
    tool = name.split()[0]
    found = f"torch {torch.__version__}"
    if tool not in PEERS:
        return found
    try:
        return f"{found}, {tool} {metadata.version(tool)}"
    except metadata.PackageNotFoundError:
        return found
