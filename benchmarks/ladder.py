"""What each step brings: accuracy and agreement of recipes, on images that nothing was tuned on.

    python -m benchmarks.ladder [PART ...]

Parts: per-channel, per-tensor, mobilenet-v1, low-bits. Every row: calibrated and tuned on images
drawn from calib.csv by the seed, judged on judge.csv (n = 1150, val227 + dev2017) by the twin,
which file and runtime equal bit for bit (8 images of each are checked again), against the same
float network on the same images. `drop` is float minus integer top-1 in points, `agreement` the
percentage of images with the same top-1, `seconds` what quantizing took (reading images and judging
left out), on the threads stated.
"""

from __future__ import annotations

import json
import sys

from benchmarks.measured import PROJECTIONS, Place, Row, judged_at, measured
from benchmarks.networks import V1_025, V1_075, V2
from benchmarks.places import IMAGENET, write_result

JUDGED = IMAGENET / "judge.csv"
DEAD, BIAS = {"name": "fold-dead-channels"}, {"name": "correct-bias"}
EQUALIZE, ACTIVATIONS = {"name": "equalize"}, {"name": "equalize-activations"}
ROUND = {"name": "round-second-order"}
ANALYTIC = {"name": "correct-bias-analytic"}
ALL = (0, 1, 2)
PER_TENSOR = "w8a8-per-tensor"
PARTS: dict[str, list[Row]] = {
    "per-channel": [
        Row(V2, "w8a8"),
        Row(V2, "w8a8", calibrator="mse"),
        Row(V2, "w8a8", (DEAD,), "mse"),
        Row(V2, "w8a8", (DEAD, ACTIVATIONS), "mse"),
        Row(V2, "w8a8", (DEAD, BIAS), "mse"),
        Row(V2, "w8a8", (DEAD, ACTIVATIONS, BIAS), "mse", ALL),
        Row(V2, "w8a8", (DEAD, ACTIVATIONS, ROUND), "mse", ALL),
    ],
    "per-tensor": [
        Row(V2, PER_TENSOR),
        Row(V2, PER_TENSOR, (DEAD,), "mse"),
        Row(V2, PER_TENSOR, (DEAD, EQUALIZE), "mse"),
        Row(V2, PER_TENSOR, (DEAD, EQUALIZE, ANALYTIC), "mse"),
        Row(V2, PER_TENSOR, (DEAD, EQUALIZE, BIAS), "mse"),
        Row(V2, PER_TENSOR, (DEAD, EQUALIZE, ROUND), "mse", ALL),
    ],
    "mobilenet-v1": [
        Row(V1_025, PER_TENSOR),
        Row(V1_025, PER_TENSOR, (DEAD, EQUALIZE, ROUND), "mse", ALL),
        Row(V1_025, "w8a8"),
        Row(V1_025, "w8a8", (DEAD, ACTIVATIONS, ROUND), "mse", ALL),
        Row(V1_075, PER_TENSOR),
        Row(V1_075, PER_TENSOR, (DEAD, EQUALIZE, ROUND), "mse", ALL),
        Row(V1_075, "w8a8"),
        Row(V1_075, "w8a8", (DEAD, ACTIVATIONS, ROUND), "mse", ALL),
    ],
    "low-bits": [
        Row(V2, "w4a8"),
        Row(V2, "w4a8", (DEAD, BIAS)),
        Row(V2, "w4a8", (DEAD, ROUND), "minmax", ALL, 1000),
        Row(V2, "w4a8", (DEAD, ROUND), "minmax", ALL, 1000, PROJECTIONS),
    ],
}


def main() -> None:
    """Measure the parts named (all of them else), write benchmarks/results/ladder-PART.json."""
    places: dict[str, Place] = {}
    for part in sys.argv[1:] or list(PARTS):
        rows = []
        for row in PARTS[part]:
            if row.subject.model not in places:
                places = {row.subject.model: judged_at(row.subject, JUDGED)}  # one at a time
            for seed in row.seeds:
                rows.append(measured(row, seed, places[row.subject.model]))
                print(json.dumps(rows[-1]), flush=True)
        write_result(f"ladder-{part}", f"python -m benchmarks.ladder {part}", rows)


if __name__ == "__main__":
    main()
