"""Every calibrator on three networks: accuracy, seconds, peak memory.

    python -m benchmarks.calibrators

The recipe is otherwise the same in every row: dead channels folded, biases corrected. Schemes: w8a8
(deployed) and w4a4 (simulated by the twin; no file holds it). Calibrated on 128 images; judged on
400 images of val227 or 2000 of CIFAR-10's test set, against the same float network. Seconds
(of one thread) and peak MB are those of observing the ranges alone, each in a process of its own;
the first row of each network runs its images through the float graph and observes nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measured import Row, judged_at, measured
from benchmarks.networks import RESNET20, V1_025, V2, Subject
from benchmarks.places import write_result
from intaglio.calibrate import CALIBRATORS, make_plan, observe_ranges
from intaglio.numerics.scheme import parse_scheme
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from intaglio.runtimes import LITERT

IMAGES = 128
NONE = "none"
TRIED = [name for name in CALIBRATORS if name not in ("aciq-laplace", "aciq-gauss")]
"""`aciq` takes the likelier of those two for each value."""
SUBJECTS = {subject.model: subject for subject in (V1_025, V2, RESNET20)}
STEPS = ({"name": "fold-dead-channels"}, {"name": "correct-bias"})
MOST_CIFAR, MOST_IMAGENET = 2000, 400


def main() -> None:
    """Measure every row, write benchmarks/results/calibrators.json."""
    torch.set_num_threads(1)
    if len(sys.argv) == 3:
        print(json.dumps(observed_alone(SUBJECTS[sys.argv[1]], sys.argv[2])))
        return
    rows: list[dict[str, Any]] = []
    for subject in SUBJECTS.values():
        rows.append({"model": subject.model, "calibrator": NONE, **_in_child(subject, NONE)})
        place = judged_at(
            subject, subject.judged, MOST_CIFAR if subject is RESNET20 else MOST_IMAGENET
        )
        for name in TRIED:
            cost = _in_child(subject, name)
            for scheme in ("w8a8", "w4a4"):
                row = Row(subject, scheme, STEPS, name, images=IMAGES)
                found = measured(row, 0, place)
                kept = ("model", "calibrator", "scheme", "n", "float_top1", "integer_top1", "drop")
                figures = {key: found[key] for key in (*kept, "agreement", "sqnr_db")}
                rows.append({**figures, **cost})
                print(json.dumps(rows[-1]), flush=True)
        write_result("calibrators", "python -m benchmarks.calibrators", rows)


def observed_alone(subject: Subject, calibrator: str) -> dict[str, float]:
    """Observe ranges in this process; return seconds of one thread and the peak of its memory."""
    module, _, shape = subject.build()
    graph = capture(module.eval(), torch.zeros(shape))
    canonicalize(graph)
    graph = LITERT.lower(graph).graph
    images = torch.cat(list(subject.images(subject.calibration, IMAGES)))
    work = _work(graph, images, calibrator)
    began = time.process_time()
    work()
    seconds = time.process_time() - began
    return {"calibrate_cpu_seconds": round(seconds, 2), "peak_mb": round(peak_mb(), 1)}


def peak_mb() -> float:
    """Return the largest resident size of this process, in 10^6 bytes.

    From the kernel's status file: what `getrusage` says is inherited from the parent process.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def _work(graph: Any, images: Tensor, calibrator: str) -> Callable[[], object]:
    if calibrator == NONE:
        return lambda: [run_float(graph, piece) for piece in torch.split(images, 4)]
    _, plan = make_plan(graph, LITERT, parse_scheme("w8a8"))
    batches = torch.split(images, 16)
    return lambda: observe_ranges(graph, plan, batches, calibrator=CALIBRATORS[calibrator])


def _in_child(subject: Subject, calibrator: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.calibrators", subject.model, calibrator]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
