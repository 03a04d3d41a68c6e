"""Maps of classes for tests: blobs, scores that say them, and masks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intaglio.data.mask import Mask
from intaglio.data.truth import Placement


def blobs(height: int, width: int, classes: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return a map [height, width] with regions of all sizes."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, classes, 5, 6, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return fine[0].argmax(0).to(torch.uint8).numpy()


def saying(*maps: NDArray[np.uint8], classes: int, sure: float = 4.0) -> Tensor:
    """Return logits [N, classes, h, w] whose highest are the classes of maps [h, w]."""
    each = [torch.nn.functional.one_hot(torch.from_numpy(m).long(), classes) for m in maps]
    return sure * torch.stack(each).permute(0, 3, 1, 2).float()


WHOLE = Placement()


def mask(classes: object, placement: Placement | None = WHOLE) -> Mask:
    """Return the mask of a picture that is the network's input."""
    return Mask(np.asarray(classes, np.uint8), placement)
