"""Run every benchmark, then write the tables.

python -m benchmarks
"""

from __future__ import annotations

from benchmarks import accuracy, bits, cost, memory, tables

for part in (bits, accuracy, memory, cost):
    print(f"== {part.__name__}", flush=True)
    part.main()
tables.main()
