"""Sets of boxes written to disk, and what is read of them as plain lists."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data.generated_images import noise
from intaglio.data.dataset import Dataset
from intaglio.data.truth import Truth

WIDTH, HEIGHT = 40, 30
Edges = tuple[float, float, float, float]


def write_picture(path: Path, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """Write an image of random pixels, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise(1, width, height).save(path)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a text file, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def coco(boxes: Sequence[Sequence[float]] = ((1, 2, 3, 4),), **parts: Any) -> dict[str, Any]:
    """Return the content of a COCO file: one picture a.png, two categories, boxes of the second."""
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "annotations": [
            {"id": 100 + n, "image_id": 7, "category_id": 90, "bbox": list(box), "iscrowd": 0}
            for n, box in enumerate(boxes)
        ],
        "categories": [{"id": 90, "name": "cup"}, {"id": 18, "name": "dog"}],
    } | parts


def write_coco(folder: Path, content: Mapping[str, Any], name: str = "labels.json") -> Path:
    """Write a COCO file beside a picture a.png, and return its path."""
    write_picture(folder / "a.png")
    return write_text(folder / name, json.dumps(content))


def voc_object(name: str, edges: Sequence[object], extra: str = "") -> str:
    """Return an <object> of an annotation."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
    inside = "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners)
    return f"<object><name>{name}</name>{extra}<bndbox>{inside}</bndbox></object>\n"


def write_voc(root: Path, objects: Mapping[str, str], size: str = "") -> Path:
    """Write an annotation and a picture for each name without ending, and return the root."""
    size = size or f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    for stem, text in objects.items():
        write_picture(root / "JPEGImages" / f"{stem}.png")
        annotation = f"<annotation>\n{size}\n{text}</annotation>\n"
        write_text(root / "Annotations" / f"{stem}.xml", annotation)
    return root


def write_yolo(root: Path, labels: Mapping[str, str | None]) -> Path:
    """Write a picture and, but for None, a file of labels for each name, and return the root."""
    for name, text in labels.items():
        write_picture(root / "images" / f"{name}.png")
        if text is not None:
            write_text(root / "labels" / f"{name}.txt", text)
    return root


def truths(dataset: Dataset) -> dict[str, Truth]:
    """Return the boxes of each picture by its name."""
    found = {}
    for item in dataset.items:
        assert isinstance(item.label, Truth)
        found[item.name] = item.label
    return found


def edges(dataset: Dataset) -> dict[str, list[list[float]]]:
    """Return left, top, right, bottom of the boxes of each picture by its name."""
    return {name: truth.boxes.tolist() for name, truth in truths(dataset).items()}


def only_truth(dataset: Dataset) -> Truth:
    """Return the boxes of a data set of one picture."""
    (truth,) = truths(dataset).values()
    return truth


Change = Callable[[dict[str, Any]], object]
