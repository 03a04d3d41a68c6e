"""Handwritten digits as images for a 32x32 network, split once and for all.

Source: scikit-learn's `load_digits`, the test part of the UCI "Optical Recognition of Handwritten
Digits" set: 1797 images of 8x8 pixels with 17 grey levels. They are part of scikit-learn: nothing
is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.data.preprocess import Preprocess
from intaglio.errors import RequestError
from intaglio.zoo import mobilenet_v2

MODEL = "mobilenet_v2(width=0.15, num_classes=10, small_input=True)"
PREPROCESS = Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
LABELS = tuple(str(digit) for digit in range(10))
PIXELS = 32
GREY_LEVELS = 16
CALIBRATION = 100
HELD_OUT = 500
SPLIT_SEED = 0


@dataclass(frozen=True)
class Part:
    """One part of the digits.

    Attributes:
        images: [N, 3, 32, 32] float32 in -1..1, three equal channels.
        labels: [N] int64, 0..9.
    """

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Digits:
    """The three parts; no image is in two of them.

    Attributes:
        train: 1197 images; the checkpoint was trained on these alone.
        calibration: 100 images, for ranges.
        held_out: 500 images, for accuracy.
    """

    train: Part
    calibration: Part
    held_out: Part


def load_digits() -> Digits:
    """Return the digits, split by a fixed seed.

    Raises:
        RequestError: If scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise RequestError(
            "the demo takes its digits from scikit-learn, which is not installed:"
            " pip install 'intaglio[demo]'"
        ) from error
    found = datasets.load_digits()
    images = as_images(torch.from_numpy(found.images))
    labels = torch.from_numpy(found.target).to(torch.int64)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
    counts = [len(labels) - CALIBRATION - HELD_OUT, CALIBRATION, HELD_OUT]
    parts = [Part(images[rows], labels[rows]) for rows in torch.split(order, counts)]
    return Digits(*parts)


def as_images(grey: Tensor) -> Tensor:
    """Return grey values 0..16, [N, 8, 8], as the network wants them, [N, 3, 32, 32] float32.

    They become bytes, as in an image file, and are then normalized as PREPROCESS says.
    """
    large = F.interpolate(grey[:, None].float(), (PIXELS, PIXELS), mode="bilinear")
    pixels = (large * (255 / GREY_LEVELS)).round()
    normalized = (pixels / 255 - PREPROCESS.mean[0]) / PREPROCESS.std[0]
    return normalized.repeat(1, 3, 1, 1)  # [N, 3, 32, 32]


def build_network() -> nn.Module:
    """Return the untrained network that MODEL names."""
    return mobilenet_v2(width=0.15, num_classes=len(LABELS), small_input=True)
