"""The detectors of the data pack, with their pictures as they take them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from intaglio.data.image_samples import ImageSamples
from intaglio.data.images import open_dataset
from intaglio.data.truth import Category, Truth
from intaglio.ir.graph import Graph
from intaglio.read.reader import Source
from intaglio.read.source import read
from intaglio.tasks.detect.detect import Detect

PICTURES = "coco128/instances.json"


@dataclass(frozen=True)
class Subject:
    """A detector.

    Attributes:
        name: In rows.
        model: Its name in the zoo.
        weights: Its file in the data pack.
    """

    name: str
    model: str
    weights: str


YOLO = Subject(
    "yolov3-nano",
    "yolov3_nano_mobilenet_v2",
    "weights/mobilenetv2_yolov3_nano_coco.safetensors",
)
SSD = Subject(
    "ssd-mobilenet-v1",
    "ssd_mobilenet_v1",
    "weights/ssd_mobilenet_v1_coco_300_dequant.safetensors",
)
SUBJECTS = (YOLO, SSD)


@dataclass(frozen=True, eq=False)
class Scene:
    """A detector and pictures.

    Attributes:
        source: The detector with its weights.
        graph: Captured.
        images: [N, C, H, W].
        truths: Of each.
        categories: Of the truths.
    """

    source: Source
    graph: Graph
    images: Tensor
    truths: Sequence[Truth]
    categories: tuple[Category, ...]

    @property
    def task(self) -> Detect:
        """How it is judged."""
        return Detect(self.source.postprocess, self.categories)  # type: ignore[arg-type]


@functools.cache
def scene(subject: Subject, data: Path, count: int | None) -> Scene:
    """Return a detector with the first `count` pictures of coco128; None: all."""
    source = read(subject.model, weights=data / subject.weights)
    dataset = open_dataset(data / PICTURES)
    samples = ImageSamples(dataset, source.preprocess, source.input_shape)
    taken = samples.take(range(len(dataset) if count is None else min(count, len(dataset))))
    return Scene(source, source.capture(), taken.images, taken.labels, dataset.categories)
