"""What each step brings: accuracy and agreement of recipes, on images that nothing was tuned on.

    python -m benchmarks.ladder [PART ...]

Parts: per-channel, per-tensor, mobilenet-v1, low-bits, lineages. Every row: calibrated and tuned on
images drawn from calib.csv by the seed, judged on judge.csv (n = 1150, val227 + dev2017) by the
twin, which file and runtime equal bit for bit (8 images of each are checked again), against the
same float network on the same images; ResNet-20 on 2000 of CIFAR-10's test images. `drop` is float
minus integer top-1 in points, `agreement` the percentage of images with the same top-1, `seconds`
what quantizing took (reading images and judging left out), on the threads stated.

Rows are saved as each ends; a part that was broken off goes on where it stopped.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.measured import PROJECTIONS, Place, Row, judged_at, measured, named_steps
from benchmarks.networks import RESNET20, V1_025, V1_075, V2, V2_TV, Subject
from benchmarks.places import IMAGENET, earlier_rows, print_row, save_result

JUDGED = IMAGENET / "judge.csv"
DEAD, BIAS = {"name": "fold-dead-channels"}, {"name": "correct-bias"}
EQUALIZE, ACTIVATIONS = {"name": "equalize"}, {"name": "equalize-activations"}
ROUND = {"name": "round-second-order"}
ANALYTIC = {"name": "correct-bias-analytic"}
ACCURATE = (DEAD, ACTIVATIONS, ROUND)
ALL = (0, 1, 2)
CIFAR_IMAGES = 2000
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
    "lineages": [
        Row(subject, "w8a8", steps, "mse", ALL if steps else seeds)
        for subject, seeds in (
            (V2_TV, ALL),
            (V2, ALL),
            (V1_025, (0,)),
            (V1_075, (0,)),
            (RESNET20, (0,)),
        )
        for steps in ((), ACCURATE)
    ]
    + [Row(V2, PER_TENSOR, (DEAD, EQUALIZE, ROUND), "mse", ALL)],
}


def main() -> None:
    """Measure the parts named (all of them else), write benchmarks/results/ladder-PART.json."""
    for part in sys.argv[1:] or list(PARTS):
        measure(part)


def measure(part: str) -> None:
    """Measure what a part's file lacks, or all of it where the file is complete; save each row."""
    wanted = [(row, seed) for row in PARTS[part] for seed in row.seeds]
    earlier = {_key(row): row for row in earlier_rows(f"ladder-{part}")}
    known = earlier if any(_planned(*one) not in earlier for one in wanted) else {}
    rows: list[dict[str, Any]] = []
    places: dict[str, Place] = {}
    for row, seed in wanted:
        found = known.get(_planned(row, seed))
        if found is None:
            model = row.subject.model
            if model not in places:
                places = {model: _place(row.subject)}  # one at a time
            found = measured(row, seed, places[model])
        rows.append(found)
        print_row(found)
        save_result(f"ladder-{part}", f"python -m benchmarks.ladder {part}", rows)


def _place(subject: Subject) -> Place:
    if subject.judged.suffix == ".parquet":
        return judged_at(subject, subject.judged, CIFAR_IMAGES)
    return judged_at(subject, JUDGED)


def _planned(row: Row, seed: int) -> tuple[object, ...]:
    """Return what tells a row to be measured from the others, as `_key` of what it gives."""
    said = (row.subject.model, row.scheme, row.weight_bits, row.calibrator)
    return *said, named_steps(row.steps), row.images, seed


def _key(row: dict[str, Any]) -> tuple[object, ...]:
    names = ("model", "scheme", "bits", "calibrator", "steps", "images", "seed")
    return tuple(row[name] for name in names)


if __name__ == "__main__":
    main()
