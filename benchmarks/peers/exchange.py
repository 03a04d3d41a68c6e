"""The folder through which this process and the tools' environments exchange material.

weights.safetensors  the network's weights, as in the data pack
calibration.npy      [n, 3, 224, 224] float32, preprocessed, in random order under a seed
judged.npy           the same of the judged images, in their order
float_logits.npy     [judged, 1000] float32, of our float network
labels.npy           [judged] int64
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.networks import Subject
from benchmarks.places import IMAGENET
from intaglio.data.images import batches, draw, open_dataset

NETWORK = Subject(
    model="mobilenet_v2_tf",
    weights=IMAGENET.parent / "weights" / "mobilenet_v2_1.0_224_tf.safetensors",
    calibration=IMAGENET / "calib.csv",
    judged=IMAGENET / "judge.csv",
    preprocess="resize=none",
)
CALIBRATION_IMAGES = 300  # the most that a setting asks for; others take the first n
SEED = 0
BATCH = 25


@dataclass(frozen=True)
class Exchange:
    """An exported folder and what is judged against.

    Attributes:
        folder: Holds the files above.
        labels: [judged] int64, class indices.
        float_predictions: [judged] int64, the float network's classes.
    """

    folder: Path
    labels: np.ndarray
    float_predictions: np.ndarray


def export(folder: Path, judged: int | None) -> Exchange:
    """Fill `folder`; judge on `judged` images drawn under the seed, or on all of them."""
    module, preprocess, shape = NETWORK.build()
    assert NETWORK.weights is not None
    shutil.copyfile(NETWORK.weights, folder / "weights.safetensors")
    drawn = draw(open_dataset(NETWORK.calibration), CALIBRATION_IMAGES, SEED)
    images = torch.cat([b.images for b in batches(drawn, preprocess, shape, batch_size=BATCH)])
    shuffled = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))
    np.save(folder / "calibration.npy", images[shuffled].numpy())
    chosen = draw(open_dataset(NETWORK.judged, need_labels=True), judged, SEED)
    parts, logits, labels = [], [], []
    for batch in batches(chosen, preprocess, shape, batch_size=BATCH):
        assert batch.labels is not None
        with torch.inference_mode():
            logits.append(module(batch.images))  # [N, 1000]
        parts.append(batch.images)
        labels.append(batch.labels)
    np.save(folder / "judged.npy", torch.cat(parts).numpy())
    np.save(folder / "float_logits.npy", torch.cat(logits).numpy())
    np.save(folder / "labels.npy", torch.cat(labels).numpy())
    predictions = torch.cat(logits).argmax(1).numpy()
    return Exchange(folder, torch.cat(labels).numpy(), predictions)
