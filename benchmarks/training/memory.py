"""What a training step needs of memory, each network in a process of its own.

`alive_mb` are the bytes of all tensors alive at the peak of a step (parameters, momenta, gradients,
the batch, and what layers keep for the way back), from the profiler's record of allocations;
`grown_mb` is by how much the resident size of the process grew over all steps, kernels' own buffers
and what the allocator keeps included (Linux). Ratios are to the float module.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.places import REPOSITORY
from benchmarks.rows import LETTERS, Job, Row, Wish
from benchmarks.training.learners import COMPILED, FLOAT, LEARNERS, given_for, stepping
from benchmarks.training.settings import COST_CASES, MEMORY_STEPS, CostCase

MB = 1e6
KEPT = ("alive_mb", "grown_mb")


def jobs(wish: Wish) -> list[Job]:
    """Return the table's rows, all of a case together."""
    return [Job(f"{case.network} {case.scheme}", _work(case, wish)) for case in COST_CASES]


def _work(case: CostCase, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: weighed(case, wish)


def weighed(case: CostCase, wish: Wish) -> list[Row]:
    """Return the rows of a case."""
    number = COST_CASES.index(case)
    rows = []
    for name in LEARNERS:
        if name in COMPILED:
            continue
        row: Row = {"what": name, "batch": case.batch, "pixels": case.size}
        command = [sys.executable, "-m", __name__, str(number), name, str(wish.threads)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        last = (done.stdout if not done.returncode else done.stderr).strip().splitlines()[-1:]
        said = last[0] if last else f"the process ended with {done.returncode}"
        rows.append(row | ({"skipped": said[:LETTERS]} if done.returncode else json.loads(said)))
    base = next((row for row in rows if row["what"] == FLOAT and KEPT[0] in row), None)
    for row in rows:
        if base is not None and KEPT[0] in row:
            row |= {f"{key.split('_')[0]}_ratio": round(row[key] / base[key], 3) for key in KEPT}
    return rows


def measured(case: CostCase, name: str) -> Row:
    """Return the figures of a learner in this process."""
    given = given_for(case)
    step = stepping(LEARNERS[name](given), given)
    gc.collect()
    before = resident_mb()
    for _ in range(MEMORY_STEPS - 1):
        step()
    gc.collect()
    standing = alive_bytes()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    peak = standing + highest(record)
    return {"alive_mb": round(peak / MB, 1), "grown_mb": round(resident_mb("VmHWM") - before, 1)}


def resident_mb(field: str = "VmRSS") -> float:
    """Return the resident size of this process; now, and from now on counted anew for "VmHWM"."""
    if field == "VmRSS":
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / MB for line in lines if line.startswith(field))


def alive_bytes() -> int:
    """Return the bytes of all tensors that there are, memory that several share counted once."""
    found: dict[int, int] = {}
    for thing in gc.get_objects():
        if type(thing) in (Tensor, nn.Parameter):  # capture leaves some without memory behind
            for tensor in (thing, thing.grad if thing.is_leaf else None):
                if tensor is not None and tensor.layout == torch.strided:
                    storage = tensor.untyped_storage()
                    found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


def highest(record: profile) -> int:
    """Return the most bytes allocated at a time beyond those at the beginning of a record."""
    results = record.profiler.kineto_results  # type: ignore[union-attr]
    events = [event for event in results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def main(arguments: list[str]) -> None:
    """Print the figures of one learner."""
    number, name, threads = arguments
    torch.set_num_threads(int(threads))
    print(json.dumps(measured(COST_CASES[int(number)], name)))


if __name__ == "__main__":
    main(sys.argv[1:])
