"""Float16 files beside float32 ones of the same network: size, answers, and speed.

    python -m benchmarks.half [--images N]

MobileNetV2 with ImageNet weights, `compress` with scheme fp16 and no images to calibrate with, for
both networks judged on judge.csv. The float32 file has the same operators, its weights as they are.
Speed is that of `invoke` alone, batch 1, one thread, both files in turn in one process.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

import intaglio
from benchmarks.cost import latencies
from benchmarks.networks import V2, V2_TV, Subject
from benchmarks.paired import ratio
from benchmarks.places import IMAGENET, write_result
from intaglio.data.images import batches, draw, open_dataset
from intaglio.job.result import Result
from intaglio.numerics.encodings import Encodings
from intaglio.passes.canonicalize import canonicalize
from intaglio.recipe.options import Options
from intaglio.runtimes import LITERT
from intaglio.targets.runtime import About
from intaglio.tasks.evaluate import evaluate
from intaglio.tasks.task import output_shapes, task_for

JUDGED = IMAGENET / "judge.csv"
ROUNDS = 200
FIRST_BLOCK = ("features.1.conv.0.0", "features.1.conv.1")
"""The first depthwise convolution, whose filters take differences of large numbers, and the
projection behind it: 848 of 3.5 million numbers."""
SUBJECTS = ((V2, ()), (V2, FIRST_BLOCK), (V2_TV, ()))
"""Each with the layers that stay in float32."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every row and write benchmarks/results/half.json; with --images only print them."""
    parser = argparse.ArgumentParser(description="float16 files beside float32 ones")
    parser.add_argument("--images", type=int, help="judge on so many alone, and write nothing")
    wish = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = [measure(subject, kept, wish.images) for subject, kept in SUBJECTS]
    if wish.images is None:
        write_result("half", "python -m benchmarks.half", rows)
    else:
        print(rows)


def measure(subject: Subject, kept: tuple[str, ...], images: int | None) -> dict[str, Any]:
    """Return one row: the networks' figures on the judged images, sizes and latencies."""
    module, _, shape = subject.build()
    example = torch.zeros(shape)
    result = intaglio.compress(
        module,
        example,
        evaluate=labelled(subject, images),
        options=Options(scheme="fp16", task="classify", keep_float=kept),
    )
    real = float32_file(intaglio.capture(module, example))
    seconds = latencies({"bare": real, "half": result.content}, ROUNDS)
    middle, low, high = ratio(seconds, "half", "bare")
    report = result.report
    assert report.check is not None
    assert report.integer.sqnr_db is not None
    return {
        "model": subject.model,
        "in_float32": " ".join(kept) or "none",
        "n": report.integer.n,
        "float_top1": round(report.float.top1, 2),
        "half_top1": round(report.integer.top1, 2),
        "file_top1": round(file_top1(result, subject, images), 2),
        "agreement": round(report.integer.agreement or 0.0, 2),
        "sqnr_db": round(report.integer.sqnr_db[0] or 0.0, 2),
        "deviation": float(f"{report.check.relative_deviation:.2g}"),
        "float32_bytes": len(real),
        "half_bytes": len(result.content),
        "size_percent": round(100.0 * len(result.content) / len(real), 2),
        "latency_ratio": round(middle, 3),
        "quartiles": [round(low, 3), round(high, 3)],
        "seconds": round(statistics.median(seconds["half"]), 4),
        "float32_seconds": round(statistics.median(seconds["bare"]), 4),
    }


def labelled(subject: Subject, images: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (images, labels) of the judged data set as the network takes them."""
    _, preprocess, shape = subject.build()
    dataset = draw(open_dataset(JUDGED, need_labels=True), images, seed=0)
    with batches(dataset, preprocess, shape, batch_size=16) as stream:
        for batch in stream:
            assert batch.labels is not None
            yield batch.images, batch.labels


def float32_file(captured: intaglio.Graph) -> bytes:
    """Return the network as a file of the same operators with float32 weights."""
    graph = captured.copy()
    canonicalize(graph)
    lowered = LITERT.lower(graph).graph
    return LITERT.write(lowered, Encodings({}, {}), "float", About())[LITERT.file_name]


def file_top1(result: Result, subject: Subject, images: int | None) -> float:
    """Return the accuracy of the file itself in its runtime, in percent."""
    task = task_for(output_shapes(result.graph), name="classify")
    with LITERT.open(result.files) as network:
        return evaluate(network, labelled(subject, images), task)["top1"]


if __name__ == "__main__":
    main()
