"""What detectors cost: calibration against bare forwards, and memory against pictures.

`calibrate` is folding, calibrating 64 pictures and encoding against 64 bare forwards of the module,
one picture after the other, interleaved, medians. `memory` is the peak of `intaglio compress` with
as many pictures to calibrate with as to evaluate on, in a process of its own.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.detection.subjects import PICTURES, SUBJECTS, YOLO, Subject, scene
from benchmarks.memory import peak_of
from benchmarks.paired import interleaved, ratio
from benchmarks.rows import Job, Row, Wish
from intaglio.calibrate import choose_encodings, make_plan, observe_ranges
from intaglio.calibrate.minmax import MinMax
from intaglio.ir.graph import Graph
from intaglio.numerics.scheme import parse_scheme
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.named.build import build_model
from intaglio.read.named.request import parse_model
from intaglio.runtimes import LITERT

CALIBRATED, ROUNDS = 64, 5
COUNTS = (32, 128)


def jobs(wish: Wish) -> list[Job]:
    """Return the rows."""
    calibration = [Job(f"calibrate {one.name}", _calibrate(one, wish)) for one in SUBJECTS]
    return [*calibration, Job("memory", lambda: _memory(wish))]


def _calibrate(subject: Subject, wish: Wish) -> Callable[[], list[Row]]:
    def work() -> list[Row]:
        """Return the row."""
        found = scene(subject, wish.data, CALIBRATED)
        module = build_model(parse_model(subject.model)).module
        return [against_bare(module, found.graph, found.images)]

    return work


def against_bare(module: nn.Module, captured: Graph, images: Tensor) -> Row:
    """Return what calibrating costs, in forwards of the module.

    Args:
        module: The network as its author wrote it.
        captured: Its graph.
        images: [N, C, H, W].
    """

    def bare() -> None:
        with torch.inference_mode():
            for image in torch.split(images, 1):
                module(image)

    def quantized() -> None:
        graph = captured.copy()
        canonicalize(graph)
        graph, plan = make_plan(LITERT.lower(graph).graph, LITERT, parse_scheme("w8a8"))
        batches = torch.split(images, 16)
        ranges = observe_ranges(graph, plan, batches, calibrator=MinMax)
        choose_encodings(graph, plan, ranges, LITERT)

    seconds = interleaved({"bare": bare, "quantized": quantized}, ROUNDS)
    middle, low, high = ratio(seconds, "quantized", "bare")
    return {
        "what": f"calibrate {len(images)} pictures / bare forwards",
        "ratio": round(middle, 3),
        "quartiles": [round(low, 3), round(high, 3)],
        "bare_ms": round(1e3 * statistics.median(seconds["bare"]), 1),
        "rounds": ROUNDS,
    }


def _memory(wish: Wish) -> list[Row]:
    return growing(lambda count: _peak_mb(wish.data, count))


def growing(peak_mb: Callable[[int], float]) -> list[Row]:
    """Return the peaks of a run with few and with many pictures, and the growth.

    Args:
        peak_mb: The largest resident size with so many, in 10^6 bytes.
    """
    peaks = {count: peak_mb(count) for count in COUNTS}
    rows: list[Row] = [
        {"what": f"peak with {count} pictures", "peak_mb": round(peak, 1)}
        for count, peak in peaks.items()
    ]
    growth = peaks[COUNTS[1]] / peaks[COUNTS[0]]
    return [*rows, {"what": f"growth from {COUNTS[0]} to {COUNTS[1]}", "ratio": round(growth, 4)}]


def _peak_mb(data: Path, count: int) -> float:
    """Return the largest resident size of one run, in 10^6 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = repeated(data / PICTURES, Path(folder), count)
        command = [sys.executable, "-m", "intaglio", "compress", YOLO.model, "--json"]
        command += ["--weights", str(data / YOLO.weights), "--recipe", "plain"]
        command += ["--data", str(pictures), "--eval", str(pictures), "--out", f"{folder}/out"]
        return peak_of(command)


def repeated(labels: Path, folder: Path, count: int) -> Path:
    """Write the labels of `count` pictures, those that there are again and again; return where."""
    known = json.loads(labels.read_text())
    pictures, boxes = [], []
    for number in range(count):
        one = known["images"][number % len(known["images"])]
        name = f"{number}.jpg"
        (folder / name).symlink_to(labels.parent / "images" / Path(one["file_name"]).name)
        pictures.append({**one, "id": number + 1, "file_name": name})
        own = [box for box in known["annotations"] if box["image_id"] == one["id"]]
        boxes += [
            {**box, "image_id": number + 1, "id": len(boxes) + k} for k, box in enumerate(own)
        ]
    path = folder / "repeated.json"
    path.write_text(json.dumps({**known, "images": pictures, "annotations": boxes}))
    return path
