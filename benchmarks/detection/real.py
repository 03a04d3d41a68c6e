"""Float figures of the pack's detectors on coco128, beside those that the pack's README states.

The last row is the reference .tflite of the SSD, which gives 10 detections a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.detection.subjects import SSD, SUBJECTS, Subject, scene
from benchmarks.rows import Job, Row, Wish
from intaglio.boxes.detections import Detections
from intaglio.run.float import run_float
from intaglio.runtimes.litert.interpreter.program import open_plain, run_file
from intaglio.tasks.detect.classes import class_map
from intaglio.tasks.detect.coco import coco_figures
from intaglio.tasks.detect.placed import of_classes, placed_back
from intaglio.tasks.evaluate import evaluate

STATED = {"yolov3-nano": (16.7, 33.8), "ssd-mobilenet-v1": (23.3, 39.4)}
REFERENCE, REFERENCE_STATED = "tflite/ssd_mobilenet_v1_coco_300_qat_uint8.tflite", (21.2, 34.1)
BATCH = 16


def jobs(wish: Wish) -> list[Job]:
    """Return the rows."""
    rows = [Job(subject.name, _float(subject, wish)) for subject in SUBJECTS]
    return [*rows, Job("ssd-mobilenet-v1 reference .tflite", lambda: [_reference(wish)])]


def _float(subject: Subject, wish: Wish) -> Callable[[], list[Row]]:
    return lambda: [_measured(subject, wish)]


def _measured(subject: Subject, wish: Wish) -> Row:
    found = scene(subject, wish.data, wish.images)
    batches = [
        (found.images[start : start + BATCH], list(found.truths[start : start + BATCH]))
        for start in range(0, len(found.images), BATCH)
    ]
    figures = evaluate(lambda images: run_float(found.graph, images), batches, found.task)
    return {**_rounded(figures), **_stated(STATED[subject.name])}


def _reference(wish: Wish) -> Row:
    """Return the row of the pack's own file, run by LiteRT as it is."""
    place = scene(SSD, wish.data, wish.images)
    interpreter = open_plain((wish.data / REFERENCE).read_bytes(), is_reference=False)
    classes = class_map(place.task.post, place.categories)  # type: ignore[arg-type]
    found = []
    for image, truth in zip(place.images, place.truths, strict=True):
        pixels = ((image + 1.0) * 127.5).round().to(torch.uint8).permute(1, 2, 0)[None].numpy()
        named = of_classes(_of_file(run_file(interpreter, pixels)), classes)
        found.append(placed_back(named, truth))
    figures = coco_figures(found, list(place.truths))
    return {**_rounded({**figures, "n": len(found)}), **_stated(REFERENCE_STATED)}


def _of_file(outputs: Sequence[np.ndarray[Any, Any]]) -> Detections:
    """Return the detections of TFLite_Detection_PostProcess; its class 0 is the first real one."""
    boxes, kinds, scores, count = outputs
    n = int(count[0])
    top, left, bottom, right = (300.0 * boxes[0, :n, axis] for axis in range(4))
    corners = np.stack([left, top, right, bottom], 1).astype(np.float32)
    return Detections(corners, scores[0, :n].astype(np.float32), kinds[0, :n].astype(np.int64) + 1)


def _stated(figures: tuple[float, float]) -> Row:
    return {"stated ap": figures[0], "stated ap50": figures[1]}


def _rounded(figures: dict[str, float]) -> Row:
    return {name: round(value, 2) for name, value in figures.items()}
