"""Pictures with boxes, made for tests of detectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Placement, Truth

Box = Sequence[float]


def detections(*rows: tuple[Box, float, int]) -> Detections:
    """Return detections of rows (box, score, class), the surest first."""
    ordered = sorted(rows, key=lambda row: -row[1])
    return Detections(
        np.array([row[0] for row in ordered], np.float32).reshape(-1, 4),
        np.array([row[1] for row in ordered], np.float32),
        np.array([row[2] for row in ordered], np.int64),
    )


def truth(
    *rows: tuple[Box, int], crowd: Sequence[int] = (), size: tuple[int, int] | None = None
) -> Truth:
    """Return the truth of rows (box, class); `crowd` are indices."""
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    flags = np.zeros(len(rows), np.bool_)
    flags[list(crowd)] = True
    return Truth(
        boxes,
        np.array([row[1] for row in rows], np.int64),
        flags,
        (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(1),
        size,
        Placement(),
    )


def scenes(
    pictures: int, classes: int, seed: int, *, noise: float = 4.0, objects: int = 6
) -> tuple[list[Detections], list[Truth]]:
    """Return what a middling detector finds in random pictures, and the truth.

    Boxes of all three sizes, some of them crowds; objects missed, found twice and made up.
    """
    generator = np.random.default_rng(seed)
    found, truths = [], []
    for _ in range(pictures):
        count = int(generator.integers(0, objects + 1))
        corner = generator.uniform(0, 300, (count, 2))
        sides = np.exp(generator.uniform(np.log(8), np.log(250), (count, 2)))
        boxes = np.hstack([corner, corner + sides]).astype(np.float32)
        named = generator.integers(0, classes, count)
        crowd = np.flatnonzero(generator.random(count) < 0.1).tolist()
        rows = list(zip(boxes, named.tolist(), strict=True))
        truths.append(truth(*rows, crowd=crowd))
        made = []
        for box, number in rows:
            for _ in range(int(generator.choice([0, 1, 1, 1, 2]))):
                moved = box + generator.normal(0, noise, 4)
                moved[2:] = np.maximum(moved[2:], moved[:2] + 1)
                wrong = generator.random() < 0.1
                made.append(
                    (
                        moved,
                        float(generator.random()),
                        int(generator.integers(classes)) if wrong else number,
                    )
                )
        for _ in range(int(generator.integers(0, 5))):
            corner = generator.uniform(0, 400, 2)
            box = np.hstack([corner, corner + generator.uniform(5, 150, 2)])
            made.append((box, float(generator.random() ** 2), int(generator.integers(classes))))
        found.append(detections(*made))
    return found, truths
