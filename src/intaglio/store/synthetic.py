"""Images that were made of batch norms, as a file: safetensors, by the names `images` and `labels`.

    images    [N, C, H, W] float32, as the network takes them
    labels    [N] int64, the class that each was made for, -100 where it teaches none

Images that have no class have no `labels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from intaglio.errors import WeightsError, cause

NAME = "synthetic.safetensors"
IMAGES, LABELS = "images", "labels"


@dataclass(frozen=True, eq=False)
class SyntheticImages:
    """Images that a run made.

    Attributes:
        images: [N, C, H, W] float32, as the network takes them.
        labels: [N] int64, -100 where an image teaches none; None where images have no class.
    """

    images: Tensor
    labels: Tensor | None = None

    def to_bytes(self) -> bytes:
        """Return the content of their file; the same images give the same bytes."""
        tensors = {IMAGES: self.images.detach().cpu().float().contiguous()}
        if self.labels is not None:
            tensors[LABELS] = self.labels.detach().cpu().long().contiguous()
        content: bytes = save(tensors)
        return content


def load_synthetic(path: Path) -> SyntheticImages:
    """Return the images in a file.

    Raises:
        WeightsError: If it cannot be read, or holds something else.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read: {cause(error)}") from error
    images, labels = tensors.get(IMAGES), tensors.get(LABELS)
    if images is None or images.dtype != torch.float32 or images.ndim != 4:
        raise WeightsError(f"{path}: holds no '{IMAGES}' [N, C, H, W] of float32: it is damaged")
    if labels is not None and (labels.dtype != torch.int64 or labels.shape != images.shape[:1]):
        raise WeightsError(f"{path}: its '{LABELS}' are not [N] of int64: it is damaged")
    return SyntheticImages(images, labels)
