"""The segmenters of the data pack, and the pictures of coco128 that each is judged on.

Masks are drawn of the outlines that the labels have, at the picture's own pixels: the things of
Pascal VOC for DeepLab, all else being background; persons, in pictures of which they are a tenth
at least, for the selfie network. Crowds count for nothing for the one; the other's README counts
them as persons, and so they are.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from intaglio.data.coco_masks import open_coco_masks
from intaglio.data.dataset import Dataset
from intaglio.data.image_samples import ImageSamples
from intaglio.data.mask import IGNORED, Mask
from intaglio.data.truth import Category
from intaglio.ir.graph import Graph
from intaglio.maps.postprocess import MapPostProcess
from intaglio.read.reader import Source
from intaglio.read.source import read
from intaglio.tasks.segment.segment import Segment

PICTURES = "coco128/instances.json"
PERSON, LEAST_SHARE = "person", 0.1


@dataclass(frozen=True)
class Subject:
    """A segmenter.

    Attributes:
        name: In rows.
        model: Its name in the zoo, with arguments.
        weights: Its file in the data pack.
        only: Category that alone is looked for; "": those of its classes.
    """

    name: str
    model: str
    weights: str
    only: str = ""


DEEPLAB = Subject(
    "deeplabv3-dm05",
    "deeplabv3_mobilenet_v2(width=0.5, batch_norm=False)",
    "weights/deeplabv3_mnv2_dm05_257.safetensors",
)
SELFIE = Subject(
    "selfie",
    "selfie_segmentation",
    "weights/selfie_segmentation_256.safetensors",
    PERSON,
)
SUBJECTS = (DEEPLAB, SELFIE)


@dataclass(frozen=True, eq=False)
class Scene:
    """A segmenter and pictures.

    Attributes:
        source: The segmenter with its weights.
        graph: Captured.
        images: [N, C, H, W].
        masks: Of each.
        categories: Of the masks.
    """

    source: Source
    graph: Graph
    images: Tensor
    masks: Sequence[Mask]
    categories: tuple[Category, ...]

    @property
    def task(self) -> Segment:
        """How it is judged."""
        assert isinstance(self.source.postprocess, MapPostProcess)
        return Segment(self.source.postprocess, self.categories)

    def batches(self, chosen: Tensor, size: int) -> list[tuple[Tensor, list[Mask]]]:
        """Return some of the pictures with their masks, in batches of at most `size`."""
        return [
            (self.images[part], [self.masks[index] for index in part.tolist()])
            for part in chosen.split(size)
        ]


@functools.cache
def scene(subject: Subject, data: Path, count: int | None) -> Scene:
    """Return a segmenter with its pictures among the first `count` of coco128; None: all."""
    source = read(subject.model, weights=data / subject.weights)
    post = source.postprocess
    assert isinstance(post, MapPostProcess)
    dataset = open_coco_masks(data / PICTURES, post.names)
    samples = ImageSamples(dataset, source.preprocess, source.input_shape)
    taken = samples.take(range(len(dataset) if count is None else min(count, len(dataset))))
    if not subject.only:
        return Scene(source, source.capture(), taken.images, taken.labels, dataset.categories)
    masks = [_alone(mask, dataset, subject.only) for mask in taken.labels]
    shown = [place for place, mask in enumerate(masks) if (mask.classes == 1).mean() >= LEAST_SHARE]
    return Scene(
        source,
        source.capture(),
        taken.images[torch.tensor(shown)],
        [masks[place] for place in shown],
        (),
    )


def _alone(mask: Mask, dataset: Dataset, name: str) -> Mask:
    """Return a mask of one category, class 1; crowds are that of it, too."""
    index = next(k for k, category in enumerate(dataset.categories) if category.name == name)
    is_it = (mask.classes == index) | (mask.classes == IGNORED)
    return replace(mask, classes=is_it.astype(np.uint8))
