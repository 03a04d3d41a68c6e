"""Learned rounding against its rivals: ResNet-20 at 4-bit weights and 4-bit activations.

    python -m benchmarks.reconstruction

Every layer has 4 bits, the first and the last as well, weights per channel, ranges by MSE; a
simulated scheme: the twin runs it, no file holds it. Tuned on images drawn from train.parquet
without their labels, judged on all 10,000 of test.parquet. These are lossy JPEGs: compare with the
float row, never with published figures. `seconds` and `cpu_seconds` are what calibration and the
steps took on the threads stated; on a busy machine the first is longer.
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.measured import Row, judged_at, measured
from benchmarks.networks import RESNET20
from benchmarks.places import write_result

SEED = 0
ROUND, BRECQ = {"name": "round-second-order"}, {"name": "brecq"}
RECIPES: list[tuple[dict[str, Any], ...]] = [
    (),
    ({"name": "correct-bias"},),
    (ROUND,),
    ({"name": "adaround"},),
    (BRECQ,),
    (ROUND, BRECQ),
    (ROUND, {**BRECQ, "fisher": True}),
    (ROUND, {**BRECQ, "learn_steps": True}),
    (ROUND, {"name": "qdrop"}),
]


def main() -> None:
    """Measure every row, write benchmarks/results/reconstruction.json."""
    place = judged_at(RESNET20, RESNET20.judged)
    rows = []
    for steps in RECIPES:
        row = Row(RESNET20, "w4a4", steps, "mse", images=1024)
        rows.append(measured(row, SEED, place))
        print(json.dumps(rows[-1]), flush=True)
        write_result("reconstruction", "python -m benchmarks.reconstruction", rows)


if __name__ == "__main__":
    main()
