"""What every tool's script finds in its environment, and how it answers.

    python -m benchmarks.peers.with_TOOL EXCHANGE SETTING ANSWER

EXCHANGE is the folder of `exchange.py`, SETTING one of the names of the script's own SETTINGS,
ANSWER the JSON file to write: the predicted class of every judged image, the seconds of quantizing,
by the clock and of processor time (all threads; on a shared machine the steadier of the two).
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peers.network import mobilenet_v2

Predict = Callable[[Tensor], Any]  # images [N, 3, 224, 224] to logits [N, 1000]
JUDGED_AT_ONCE = 10
LOGIT_TOLERANCE = 1e-3  # two float evaluations of one network; a wrong padding gives whole units


@dataclass(frozen=True)
class Bench:
    """The material on the bench.

    Attributes:
        network: Float, in eval mode; a setting may change it.
        calibration: [calibration images, 3, 224, 224] float32, preprocessed, in random order, so
            that the first n are a random draw of n.
        folder: A place for files of the run's own.
    """

    network: nn.Module
    calibration: Tensor
    folder: Path

    def batches(self, count: int, size: int) -> list[Tensor]:
        """Return the first `count` calibration images in batches of `size`."""
        if count > len(self.calibration):
            raise ValueError(f"{count} calibration images asked of {len(self.calibration)}")
        return list(self.calibration[:count].split(size))


Setting = Callable[[Bench], Predict]


def answer(settings: Mapping[str, Setting], packages: tuple[str, ...]) -> None:
    """Do what the command line asks and write the answer.

    Args:
        settings: What can be asked for by name: quantizes, and returns what is to be judged.
        packages: Whose versions the answer states.

    Raises:
        ValueError: If the network is not the one that was exported, or a logit is not a number.
    """
    exchange, setting, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    torch.set_num_threads(1)
    seed_everything(0)
    network = mobilenet_v2(exchange / "weights.safetensors")
    judged = np.load(exchange / "judged.npy", mmap_mode="r")
    _check_network(network, judged, np.load(exchange / "float_logits.npy", mmap_mode="r"))
    calibration = torch.from_numpy(np.load(exchange / "calibration.npy"))
    bench = Bench(network, calibration, out.parent)
    began, cpu_began = time.perf_counter(), time.process_time()
    predict = settings[setting](bench)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    content = {
        "predictions": list(_predictions(predict, judged)),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "versions": {name: metadata.version(name) for name in ("torch", *packages)},
    }
    out.write_text(json.dumps(content) + "\n")


def seed_everything(seed: int) -> None:
    """Seed all the generators that tools draw from."""
    random.seed(seed)
    np.random.seed(seed)  # what the tools draw from
    torch.manual_seed(seed)


def _check_network(network: nn.Module, judged: np.ndarray, expected: np.ndarray) -> None:
    with torch.inference_mode():
        logits = network(torch.from_numpy(judged[:JUDGED_AT_ONCE].copy()))
    difference = float(np.abs(logits.numpy() - expected[:JUDGED_AT_ONCE]).max())
    if not difference <= LOGIT_TOLERANCE:
        raise ValueError(f"the float network here is not the exported one: logits {difference} off")


def _predictions(predict: Predict, judged: np.ndarray) -> Iterator[int]:
    for start in range(0, len(judged), JUDGED_AT_ONCE):
        with torch.inference_mode():
            images = torch.from_numpy(judged[start : start + JUDGED_AT_ONCE].copy())
            logits = np.asarray(predict(images))  # [N, 1000]
        if not np.isfinite(logits).all():
            raise ValueError(f"logits that are not finite in the batch from image {start}")
        yield from logits.argmax(1).tolist()
