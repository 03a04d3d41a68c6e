"""Pictures and masks written to disk, and what is read of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.box_files import HEIGHT, WIDTH, write_picture, write_text
from intaglio.data.dataset import Dataset
from intaglio.data.mask import UnreadMask

SIZE = (HEIGHT, WIDTH)


def some_classes(most: int = 3, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Return a mask of random classes, 0 to most - 1."""
    return np.random.default_rng(most).integers(0, most, size, dtype=np.uint8)


def write_mask(path: Path, classes: NDArray[np.uint8] | None = None, mode: str = "L") -> Path:
    """Write a mask, whose palette has nothing to do with its indices, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(some_classes() if classes is None else classes)
    if mode == "P":
        image = image.copy()
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path)
    return path


def write_pairs(images: Path, masks: Path, stems: Sequence[str] = ("a", "b")) -> None:
    """Write a picture and a mask of each name."""
    for stem in stems:
        write_picture(images / f"{stem}.jpg")
        write_mask(masks / f"{stem}.png")


def write_voc_masks(root: Path, stems: Sequence[str] = ("a", "b")) -> Path:
    """Write the folders of VOC with a list of each picture, and return the root."""
    write_pairs(root / "JPEGImages", root / "SegmentationClass", stems)
    write_text(root / "ImageSets" / "Segmentation" / "val.txt", "\n".join(stems))
    return root


def write_description(path: Path, **parts: object) -> Path:
    """Write a masks.json beside two pictures with masks, and return its path."""
    write_pairs(path.parent / "val", path.parent / "valannot")
    content = {"images": "val", "masks": "valannot"} | parts
    return write_text(path, json.dumps({name: one for name, one in content.items() if one != ""}))


def read_all(dataset: Dataset, size: tuple[int, int] = SIZE) -> dict[str, NDArray[np.uint8]]:
    """Return the classes of each picture by its name."""
    found = {}
    for item in dataset.items:
        assert isinstance(item.label, UnreadMask)
        found[item.name] = item.label.read(size, item.name)
    return found


def names(dataset: Dataset) -> list[str]:
    """Return the names of the pictures, in their order."""
    return [item.name for item in dataset.items]
