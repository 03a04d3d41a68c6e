"""How long a search takes that has only so many minutes.

    python -m benchmarks.minutes

MobileNetV2 (tf lineage) at w4a8, whose rungs take longest, through the command line with all of
calib.csv and an aim that is not met: `seconds` is the whole command, reading images, writing and
checking included; `over` is by how much that exceeds the minutes, in percent. Below one minute the
first rung and its judging are done all the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks import V2
from benchmarks.places import write_result

MINUTES = (0.4, 1.0, 2.0)


def main() -> None:
    """Measure every row and write benchmarks/results/minutes.json."""
    write_result("minutes", "python -m benchmarks.minutes", [measured(given) for given in MINUTES])


def measured(minutes: float) -> dict[str, Any]:
    """Return one row."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "intaglio", "compress", V2.model, "--json"]
        command += ["--weights", str(V2.weights), "--preprocess", V2.preprocess]
        command += ["--data", str(V2.calibration), "--scheme", "w4a8", "--max-drop", "0"]
        command += ["--minutes", str(minutes), "--out", str(Path(folder) / "out")]
        began = time.perf_counter()
        said = subprocess.run(command, check=True, capture_output=True).stdout
        seconds = time.perf_counter() - began
    report = json.loads(said)
    tried = [attempt["name"] for attempt in report["attempts"] if "sqnr_db" in attempt]
    return {
        "minutes": minutes,
        "seconds": round(seconds, 1),
        "over": round(100.0 * (seconds / 60.0 / minutes - 1.0), 1),
        "threads": torch.get_num_threads(),
        "judged": report["attempts"][0]["n"],
        "rungs": ", ".join(tried),
        "warnings": len(report["warnings"]),
    }


if __name__ == "__main__":
    main()
