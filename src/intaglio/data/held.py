"""Images that methods look at more than once, held in memory, and a fifth of them to judge on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.data.batches import Data, labels_of
from intaglio.errors import DataError

LEAST_TO_SPLIT = 10
"""With fewer images none is left out to judge on: one or two would say nothing."""


@dataclass(frozen=True, eq=False)
class HeldImages:
    """Images as the network takes them.

    Attributes:
        tuning: What methods may look at, [N, C, H, W].
        judged: What only decides between their results, [M, C, H, W]; none where M is 0.
        labels: Class indices of `judged`, [M] int64, or None.
        tuning_labels: Those of `tuning`, [N] int64, or None.
    """

    tuning: Tensor
    judged: Tensor
    labels: Tensor | None = None
    tuning_labels: Tensor | None = None


def hold_images(
    data: Data, sample_shape: tuple[int, ...], *, count: int, judged_share: float, seed: int
) -> HeldImages:
    """Return the first `count` images, a seeded share of them apart.

    Memory: 4 bytes a value of `count` images (602 kB an image of 224 x 224).

    Raises:
        DataError: If there is no image, or an item is not a batch of that shape.
    """
    kept: list[Tensor] = []
    labels: list[Tensor | None] = []
    seen = 0
    for images, classes in labels_of(data, sample_shape):
        missing = count - seen
        if missing <= 0:
            break
        kept.append(images[:missing].clone())
        labels.append(None if classes is None else classes[:missing])
        seen += len(kept[-1])
    if not seen:
        raise DataError("there are no images to calibrate with: the data is empty")
    together = torch.cat(kept)
    known = [part for part in labels if part is not None]
    classes = torch.cat(known) if len(known) == len(labels) else None
    if judged_share == 0.0 or seen < LEAST_TO_SPLIT:
        return HeldImages(together, together[:0], tuning_labels=classes)
    order = torch.randperm(seen, generator=torch.Generator().manual_seed(seed))
    apart = max(1, round(seen * judged_share))
    chosen, rest = order[:apart].sort().values, order[apart:].sort().values
    if classes is None:
        return HeldImages(together[rest], together[chosen])
    return HeldImages(together[rest], together[chosen], classes[chosen], classes[rest])
