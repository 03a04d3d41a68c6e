"""Pictures of blobs of plain colours, and which class each pixel is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

SIDE, CLASSES = 32, 4
NAMES = ("ground", "red", "green", "blue")
COLOURS = np.array([[90, 90, 90], [210, 40, 50], [40, 190, 60], [50, 60, 220]], np.float32)


def classes(seed: int, *, most: int = CLASSES, side: int = SIDE) -> NDArray[np.uint8]:
    """Return the class of each pixel, [side, side]: regions of all sizes."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, most, 5, 5, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")
    return fine[0].argmax(0).to(torch.uint8).numpy()


def painted(found: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Return the picture of these classes, [H, W, 3], a little noisy."""
    noise = np.random.default_rng(seed).normal(0.0, 8.0, (*found.shape, 3))
    return (COLOURS[found] + noise).clip(0, 255).astype(np.uint8)


def scenes(count: int, *, seed: int = 0, most: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Return pictures [N, 3, SIDE, SIDE] in 0..1, and their classes [N, SIDE, SIDE]."""
    maps = [classes(seed + number, most=most) for number in range(count)]
    images = [painted(one, seed + number) for number, one in enumerate(maps)]
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return stacked.contiguous(), torch.from_numpy(np.stack(maps))


def pictures(count: int, *, seed: int = 0) -> Tensor:
    """Return pictures [N, 3, SIDE, SIDE] in 0..1."""
    return scenes(count, seed=seed)[0]


def write_scenes(
    folder: Path, count: int = 6, *, seed: int = 0, most: int = CLASSES, names: bool = True
) -> Path:
    """Write pictures and masks as PNG files in two folders, and return the one around them."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        found = classes(seed + number, most=most)
        Image.fromarray(painted(found, seed + number)).save(folder / "images" / f"{number}.png")
        Image.fromarray(found).save(folder / "masks" / f"{number}.png")
    if names:
        (folder / "classes.txt").write_text("\n".join(NAMES[:most]) + "\n")
    return folder


def write_description(folder: Path, **parts: object) -> Path:
    """Write a masks.json beside the folders of `write_scenes`, and return its path."""
    path = folder / "masks.json"
    path.write_text(json.dumps({"images": "images", "masks": "masks"} | parts))
    return path
