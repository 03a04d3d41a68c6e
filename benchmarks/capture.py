"""What capture costs, in CPU seconds, against torch.export alone.

    python -m benchmarks.capture [NETWORK ...]

Every network of the zoo at its own size, and MobileNetV2 as torchvision has it, with activations in
place. `first` is the first capture of that network in this process, which has captured a small one
before; the others are medians, captured and exported in turn. One thread.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import intaglio
from benchmarks.paired import interleaved, ratio
from benchmarks.places import earlier_rows, print_row, save_result
from intaglio.zoo.catalog import ZOO, names

NAME, COMMAND = "capture", "python -m benchmarks.capture"
IN_PLACE = "mobilenet_v2, ReLU6 in place"
ROUNDS = 5


def main(asked: list[str]) -> None:
    """Measure the networks that were asked for, or all; write benchmarks/results/capture.json."""
    torch.set_num_threads(1)
    intaglio.capture(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), torch.zeros(1, 3, 8, 8))
    rows = {row["network"]: row for row in earlier_rows(NAME)}
    for name in asked or (IN_PLACE, *names()):
        module, example = subject(name)
        rows[name] = {"network": name, **measured(module, example)}
        print_row(rows[name])
        save_result(NAME, COMMAND, list(rows.values()))


def subject(name: str) -> tuple[nn.Module, Tensor]:
    """Return a network with random weights, in evaluation mode, and an image of its size."""
    entry = ZOO[name.split(",")[0]]
    module = entry.build().eval()
    if name == IN_PLACE:
        for layer in module.modules():
            if isinstance(layer, nn.ReLU6):
                layer.inplace = True
    return module, torch.zeros(entry.input_shape)


def measured(module: nn.Module, example: Tensor) -> dict[str, Any]:
    """Return CPU seconds of capture and of torch.export on the same module."""

    def exported() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.export(module, (example,))

    def captured() -> None:
        intaglio.capture(module, example)

    began = time.process_time()
    captured()
    first = time.process_time() - began
    work: dict[str, Callable[[], object]] = {"capture": captured, "export": exported}
    seconds = interleaved(work, ROUNDS, clock=time.process_time)
    middle, low, high = ratio(seconds, "capture", "export")
    return {
        "nodes": len(list(intaglio.capture(module, example))),
        "first": round(first, 3),
        "capture": round(statistics.median(seconds["capture"]), 3),
        "export": round(statistics.median(seconds["export"]), 3),
        "ratio": round(middle, 3),
        "quartiles": [round(low, 3), round(high, 3)],
        "rounds": ROUNDS,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
