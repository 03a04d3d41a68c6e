"""Every value of every quantized tensor: the file on its runtime against the twin.

    python -m benchmarks.bits

64 real images on LiteRT's XNNPACK delegate, 8 on its reference kernels, for each network.
"""

from __future__ import annotations

from typing import Any

import torch

import intaglio
from benchmarks.networks import ALL, Subject
from benchmarks.places import print_row, save_result
from intaglio.data.images import batches, draw, open_dataset

IMAGES = {"litert": 64, "litert-reference": 8}


def main() -> None:
    """Measure every row and write benchmarks/results/bits.json."""
    torch.set_num_threads(2)
    rows: list[dict[str, Any]] = []
    for subject in ALL:
        for target in IMAGES:
            rows.append(measure(subject, target))
            print_row(rows[-1])
            save_result("bits", "python -m benchmarks.bits", rows)


def measure(subject: Subject, target: str) -> dict[str, Any]:
    """Return one row: compress, then check on images that calibration did not see."""
    module, preprocess, shape = subject.build()
    example = torch.zeros(shape)
    calibration = subject.images(subject.calibration, 32)
    result = intaglio.compress(module, example, target=target, data=calibration, recipe="plain")
    chosen = draw(open_dataset(subject.judged), IMAGES[target], seed=0)
    stream = batches(chosen, preprocess, shape, batch_size=16)
    counts = result.target.check(result.files, result.twin, (batch.images for batch in stream))
    return {
        "model": subject.model,
        "weights": subject.weights.stem if subject.weights else "random",
        "runtime": result.target.runtime,
        "images": counts.images,
        "values_compared": counts.values_compared,
        "mismatches": counts.mismatches,
        "delegate_partitions": counts.partitions,
        "file_bytes": len(result.content),
    }


if __name__ == "__main__":
    main()
