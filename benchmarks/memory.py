"""Peak memory of `intaglio compress` with 128 and with 1000 images, each in its own process.

python -m benchmarks.memory
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.networks import V2
from benchmarks.places import write_result

REPEATS = 3


def main() -> None:
    """Measure every row and write benchmarks/results/memory.json."""
    peaks = {limit: min(peak_mb(limit) for _ in range(REPEATS)) for limit in (128, 1000)}
    rows: list[dict[str, Any]] = [
        {"model": V2.model, "calibration_images": limit, "peak_mb": round(peak, 1)}
        for limit, peak in peaks.items()
    ]
    rows.append({"what": "growth", "ratio": round(peaks[1000] / peaks[128], 4)})
    write_result("memory", "python -m benchmarks.memory", rows)


def peak_mb(limit: int) -> float:
    """Return the largest resident size of one run, in 10^6 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "intaglio",
            "compress",
            V2.model,
            "--json",
            "--recipe",
            "plain",
        ]
        command += [
            "--recipe",
            "plain",
            "--weights",
            str(V2.weights),
            "--preprocess",
            V2.preprocess,
        ]
        command += ["--data", str(V2.calibration), "--limit", str(limit)]
        command += ["--out", str(Path(folder) / "out")]
        return peak_of(command)


def peak_of(command: list[str]) -> float:
    """Return the largest resident size of a command, in 10^6 bytes; nothing it says is shown."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
