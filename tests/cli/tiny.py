"""Networks of a few hundred weights, images of 32x32 pixels, and the command in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from intaglio.cli.main import main

NETWORKS = """
import torch
from torch import nn


def classifier(classes=4):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes),
    )


def talkative():
    print("a line that the network's own module prints")
    return classifier()


class Angle(nn.Module):
    def forward(self, x):
        return torch.atan2(x, x + 1.0)


def with_angle():
    network = classifier()
    network[4] = Angle()
    return network


def with_nan():
    network = classifier()
    with torch.no_grad():
        network[3].weight[2, 0, 1, 1] = float("nan")
    return network


def overflowing():
    network = classifier()
    with torch.no_grad():
        network[3].weight.fill_(3e38)
        network[3].bias.fill_(3e38)
    return network


def image_to_image():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))


def hard_swish():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Hardswish(), nn.Conv2d(8, 4, 1))


def unequal():
    network = classifier()
    with torch.no_grad():
        network[1].running_var[:2] = 0.0
        network[3].weight[0] *= 1e4
    return network
"""

SHAPE = ("--input-shape", "1,3,32,32")
CLASSIFIER = ("tiny_networks:classifier", *SHAPE)
CALIBRATION = ("--data", "images")


def write_networks(folder: Path) -> None:
    """Write the module `tiny_networks` into a folder."""
    (folder / "tiny_networks.py").write_text(NETWORKS, encoding="utf-8")


def write_images(
    folder: Path, *, classes: int = 4, of_each: int = 3, size: int = 32, seed: int = 0
) -> None:
    """Write PNG images of noise into class folders c0, c1, ..."""
    random = np.random.default_rng(seed)
    for number in range(classes):
        (folder / f"c{number}").mkdir(parents=True)
        for index in range(of_each):
            pixels = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"c{number}" / f"{index}.png")


def intaglio(*arguments: object) -> int:
    """Run one command in this process; return its exit code."""
    return main([str(argument) for argument in arguments])


def printed_json(capsys: Any) -> Any:
    """Return what was printed on standard output as JSON; it is nothing else."""
    return json.loads(capsys.readouterr().out)
