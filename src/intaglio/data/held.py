"""Images that methods look at more than once, held in memory, and those apart that only judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.data.batches import Data, labels_of
from intaglio.errors import DataError

LEAST_TO_SPLIT = 10
"""With fewer images none is left out to judge on: one or two would say nothing."""
JUDGED_BYTES = 10**9
"""What images that judge, and the float network's outputs for them, may take together."""
NUMBER_BYTES = 4


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


@dataclass(frozen=True)
class Share:
    """How images are shared out.

    Attributes:
        tuning: Images that methods look at, at most.
        judged: Share of all images that judges, at least; 0.0: none does.
        judging: Images that judge, at most.
    """

    tuning: int
    judged: float = 0.0
    judging: int = 0

    @property
    def most(self) -> int:
        """Images that can be used; more are not read."""
        return self.tuning + (self.judging if self.judged else 0)

    def of(self, seen: int) -> int:
        """Return how many of the images that there are judge: all that are not needed to tune.

        At least their share where there are few; none below LEAST_TO_SPLIT.
        """
        if not self.judged or seen < LEAST_TO_SPLIT:
            return 0
        return min(self.judging, max(1, round(seen * self.judged), seen - self.tuning))


def judged_within(sample_shape: Sequence[int], outputs: int, judged_bytes: int) -> int:
    """Return how many images [C, H, W] can judge within bytes.

    Args:
        outputs: Numbers that the network gives for an image.
    """
    values = torch.Size(sample_shape).numel() + outputs
    return max(1, judged_bytes // (NUMBER_BYTES * values))


def hold_images(
    data: Data, sample_shape: tuple[int, ...], share: Share, *, seed: int
) -> HeldImages:
    """Return the first images of the data that can be used, a seeded part of them apart.

    Memory: 4 bytes a value of these images (602 kB an image of 224 x 224), and one batch.

    Raises:
        DataError: If there is no image, or an item is not a batch of that shape.
    """
    kept, classes = _first(data, sample_shape, share.most)
    seen = len(classes) if classes is not None else sum(map(len, kept))
    apart = share.of(seen)
    order = torch.randperm(seen, generator=torch.Generator().manual_seed(seed))
    chosen = order[:apart].sort().values
    rest = order[apart : apart + share.tuning].sort().values if apart else torch.arange(seen)
    tuning, judged = _dealt(kept, rest, chosen)
    if classes is None:
        return HeldImages(tuning, judged)
    return HeldImages(tuning, judged, classes[chosen] if apart else None, classes[rest])


def _first(
    data: Data, sample_shape: tuple[int, ...], count: int
) -> tuple[list[Tensor], Tensor | None]:
    """Return the first `count` images in pieces, and their class indices [N] where all have one."""
    kept: list[Tensor] = []
    labels: list[Tensor | None] = []
    missing = count
    for images, classes in labels_of(data, sample_shape):
        if missing <= 0:
            break
        kept.append(images[:missing].clone())
        labels.append(None if classes is None else classes[:missing])
        missing -= len(kept[-1])
    if missing == count:
        raise DataError("there are no images to calibrate with: the data is empty")
    known = [part for part in labels if part is not None]
    return kept, torch.cat(known) if len(known) == len(labels) else None


def _dealt(kept: list[Tensor], first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return the images of both sets of indices; the pieces are let go of one by one."""
    places: dict[int, tuple[int, int]] = {}
    made = []
    for number, indices in enumerate((first, second)):
        made.append(torch.empty(len(indices), *kept[0].shape[1:]))
        places |= {index: (number, place) for place, index in enumerate(indices.tolist())}
    seen = 0
    for piece in range(len(kept)):
        images, kept[piece] = kept[piece], kept[piece][:0]
        for image in images:
            if seen in places:
                number, place = places[seen]
                made[number][place] = image
            seen += 1
    return made[0], made[1]
