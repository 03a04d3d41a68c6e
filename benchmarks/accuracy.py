"""Float and integer accuracy of networks with real weights, through the command line.

    python -m benchmarks.accuracy

Calibrated on 128 images of calib.csv (ResNet-20: of train.parquet), judged on images that nothing
was tuned on, against the same float network on the same images. Recipe plain, scheme w8a8 per
channel.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.networks import RESNET20, V1_025, V1_075, V2, Subject
from benchmarks.places import IMAGENET, write_result

SEEDS = (0, 1, 2)


def main() -> None:
    """Measure every row and write benchmarks/results/accuracy.json."""
    rows = []
    for seed in SEEDS:
        for name in ("val227.csv", "dev2017.csv"):
            rows.append(measure(V2, IMAGENET / name, seed))
    rows += [
        measure(V1_075, IMAGENET / "val227.csv", 0),
        measure(V1_025, IMAGENET / "val227.csv", 0),
    ]
    rows += [measure(RESNET20, RESNET20.judged, 0)]
    write_result("accuracy", "python -m benchmarks.accuracy", rows)


def measure(subject: Subject, judged: Path, seed: int) -> dict[str, Any]:
    """Return one row: `intaglio compress` with --eval, and the written file's own accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "-m", "intaglio", "compress", subject.model, "--json"]
        command += ["--weights", str(subject.weights), "--preprocess", subject.preprocess]
        command += ["--recipe", "plain", "--data", str(subject.calibration), "--limit", "128"]
        command += ["--eval", str(judged), "--seed", str(seed), "--out", str(out)]
        report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        evaluate = [sys.executable, "-m", "intaglio", "evaluate", str(out), "--json"]
        evaluate += ["--eval", str(judged), "--preprocess", subject.preprocess]
        on_runtime = json.loads(subprocess.run(evaluate, check=True, capture_output=True).stdout)
    return {
        "model": subject.model,
        "images": judged.name,
        "n": report["integer"]["n"],
        "seed": seed,
        "float_top1": report["float"]["top1"],
        "integer_top1": report["integer"]["top1"],
        "file_top1": on_runtime["top1"],
        "agreement": report["integer"]["agreement"],
        "float_bytes": report["float"]["size_bytes"],
        "file_bytes": report["integer"]["size_bytes"],
        "mismatches": report["check"]["mismatches"],
    }


if __name__ == "__main__":
    main()
