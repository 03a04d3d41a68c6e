"""What quantizing costs, as ratios measured interleaved in one process.

    python -m benchmarks.cost

* calibrating 128 images of 224 and writing the file, against 128 bare batch-1 forwards in PyTorch;
* the twin's forward against the float module's, batch 16;
* LiteRT int8 against LiteRT float32, one thread, batch 1.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import intaglio
from benchmarks.float_file import float_file
from benchmarks.networks import V2
from benchmarks.paired import interleaved, ratio
from benchmarks.places import DATA, write_result
from intaglio.calibrate import choose_encodings, make_plan, observe_ranges
from intaglio.calibrate.minmax import MinMax
from intaglio.ir.graph import Graph
from intaglio.numerics.scheme import parse_scheme
from intaglio.passes.canonicalize import canonicalize
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter

IMAGES = 128
ROUNDS = 7


def main() -> None:
    """Measure every row and write benchmarks/results/cost.json."""
    rows = []
    module, _, _ = V2.build()
    images = torch.cat(list(V2.images(V2.calibration, IMAGES)))
    for threads in (1, 2):
        torch.set_num_threads(threads)
        rows += calibration_rows(module, images, threads)
        rows.append(twinrow_of(module, images, threads))
    torch.set_num_threads(1)
    rows += latency_rows(module, images)
    write_result("cost", "python -m benchmarks.cost", rows)


def bare_forwards(module: nn.Module, images: Tensor) -> Callable[[], None]:
    """Return what everything is measured against: the module on one image after the other."""

    def forwards() -> None:
        with torch.inference_mode():
            for image in torch.split(images, 1):
                module(image)

    return forwards


def calibration_rows(module: nn.Module, images: Tensor, threads: int) -> list[dict[str, Any]]:
    """Calibrating and writing, without and with capturing the module, against bare forwards."""
    captured = intaglio.capture(module, images[:1])

    def quantize(graph: Graph) -> bytes:
        canonicalize(graph)
        graph, plan = make_plan(LITERT.lower(graph).graph, LITERT, parse_scheme("w8a8"))
        ranges = observe_ranges(graph, plan, torch.split(images, 16), calibrator=MinMax)
        return write_tflite(graph, choose_encodings(graph, plan, ranges, LITERT), LITERT)

    work: dict[str, Callable[[], object]] = {
        "bare": bare_forwards(module, images),
        "quantize": lambda: quantize(captured.copy()),
        "capture": lambda: quantize(intaglio.capture(module, images[:1])),
    }
    seconds = interleaved(work, ROUNDS)
    labels = {
        "quantize": f"fold, calibrate {IMAGES} images, encode, write / {IMAGES} bare forwards",
        "capture": "the same with torch.export before it / bare forwards",
    }
    return [row_of(label, seconds, name, threads=threads) for name, label in labels.items()]


def twinrow_of(module: nn.Module, images: Tensor, threads: int) -> dict[str, Any]:
    """The twin's forward against the float module's, batch 16."""
    result = intaglio.compress(module, images[:1], data=images[:32], recipe="plain")
    batch = images[:16]

    def eager() -> None:
        with torch.inference_mode():
            module(batch)

    seconds = interleaved({"bare": eager, "twin": lambda: result.twin(batch)}, 25)
    label = "twin forward / float eager forward, batch 16"
    return row_of(label, seconds, "twin", threads=threads)


def latency_rows(module: nn.Module, images: Tensor) -> list[dict[str, Any]]:
    """LiteRT int8 against LiteRT float32 on the same network, batch 1, `invoke` alone.

    The data pack's int8 file of the same checkpoint, made by another converter, runs beside.
    """
    result = intaglio.compress(module, images[:1], data=images[:32], recipe="plain")
    reference = DATA / "tflite" / "mobilenet_v2_1.0_224_ptq_per_channel_int8.tflite"
    files = {"bare": float_file(result), "int8": result.content, "other": reference.read_bytes()}
    seconds = latencies(files, 150)
    labels = {
        "int8": "LiteRT int8 / LiteRT float32, batch 1",
        "other": "the reference converter's int8 file / LiteRT float32, batch 1",
    }
    return [row_of(label, seconds, name, threads=1) for name, label in labels.items()]


def latencies(files: dict[str, bytes], rounds: int) -> dict[str, list[float]]:
    """Return seconds of `invoke` of each file, round by round, interleaved; one thread, batch 1."""
    interpreters = {name: open_interpreter(content, LITERT) for name, content in files.items()}
    for interpreter in interpreters.values():
        given = interpreter.get_input_details()[0]
        interpreter.set_tensor(given["index"], np.zeros(given["shape"], given["dtype"]))
    return interleaved({name: one.invoke for name, one in interpreters.items()}, rounds)


def row_of(
    label: str, seconds: dict[str, list[float]], name: str, *, threads: int
) -> dict[str, Any]:
    middle, low, high = ratio(seconds, name, "bare")
    return {
        "what": label,
        "threads": threads,
        "ratio": round(middle, 3),
        "quartiles": [round(low, 3), round(high, 3)],
        "seconds": round(statistics.median(seconds[name]), 4),
        "bare_seconds": round(statistics.median(seconds["bare"]), 4),
        "rounds": len(seconds[name]),
    }


if __name__ == "__main__":
    main()
