"""Run every benchmark, then write the tables: hours.

But the peers (`python -m benchmarks.peers`), damaged files (`python -m benchmarks.fuzz`, which
forks, and so has to have a process of its own), public networks (`python -m benchmarks.public`,
which takes definitions that the repository does not hold) and training (`python -m
benchmarks.training TABLE`, which takes hours more).

python -m benchmarks
"""

from __future__ import annotations

from benchmarks import (
    accuracy,
    bits,
    calibrator_cost,
    calibrators,
    capture,
    cells,
    cost,
    doctor,
    fuzz_parsers,
    half,
    judging,
    ladder,
    memory,
    minutes,
    mixed,
    reconstruction,
    remaining,
    search,
    tables,
)

PARTS = (bits, accuracy, memory, cost, calibrator_cost, calibrators)
PARTS += (ladder, mixed, reconstruction, remaining, doctor, minutes, fuzz_parsers)

for part in PARTS:
    print(f"== {part.__name__}", flush=True)
    part.main()
for named in (judging, search, cells, capture, half):
    print(f"== {named.__name__}", flush=True)
    named.main([])
tables.main()
