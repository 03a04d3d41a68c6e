"""Our own rows: what the command line writes, run by the runtime that it is written for.

Calibrated on all the exported calibration images, drawn by the command line itself under the same
seed; judged by the written file, in LiteRT, not by the twin.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers.environment import PeerError
from benchmarks.peers.exchange import CALIBRATION_IMAGES, NETWORK, SEED
from benchmarks.places import REPOSITORY
from intaglio.runtimes import TARGETS
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter, run_file

TOOL = "intaglio"
TARGET = "litert"


@dataclass(frozen=True)
class Answer:
    """What a row is made of.

    Attributes:
        predictions: [judged] int64, the classes.
        seconds: Of quantizing: all steps of the report, writing and checking the file included.
        cpu_seconds: Of the whole process, which also starts, reads the images and writes.
        versions: Of what matters, as text.
    """

    predictions: np.ndarray
    seconds: float
    cpu_seconds: float
    versions: str


def compress(scheme: str, recipe: str, exchange: Path, folder: Path) -> Answer:
    """Return the answer of `intaglio compress` with one of its schemes and recipes.

    Raises:
        PeerError: If the command fails, with its message.
    """
    out = folder / "out"
    command = [sys.executable, "-m", "intaglio", "compress", NETWORK.model, "--json"]
    command += ["--weights", str(NETWORK.weights), "--preprocess", NETWORK.preprocess]
    command += ["--data", str(NETWORK.calibration), "--limit", str(CALIBRATION_IMAGES)]
    command += ["--seed", str(SEED), "--target", TARGET, "--scheme", scheme, "--recipe", recipe]
    command += ["--out", str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env=variables)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise PeerError(f"exit {done.returncode}: {' '.join(done.stderr.split())[-400:]}")
    report = json.loads(done.stdout)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Answer(
        predictions=_predictions((out / "model.tflite").read_bytes(), exchange),
        seconds=round(sum(step["seconds"] for step in report["steps"]), 1),
        cpu_seconds=round(cpu_seconds, 1),
        versions=f"torch {torch.__version__}, {report['runtime']}",
    )


def _predictions(content: bytes, exchange: Path) -> np.ndarray:
    interpreter: Any = open_interpreter(content, TARGETS[TARGET])
    judged = np.load(exchange / "judged.npy", mmap_mode="r")  # [judged, 3, 224, 224]
    classes = []
    for image in judged:
        as_file = np.ascontiguousarray(image.transpose(1, 2, 0)[None])  # [1, 224, 224, 3]
        classes.append(int(run_file(interpreter, as_file)[0].argmax()))
    return np.asarray(classes, np.int64)
