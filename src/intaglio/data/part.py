"""A part of a data set, to learn from or to measure on alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from intaglio.data.samples import Samples, Taken


@dataclass(frozen=True, eq=False)
class _Of:
    """Samples that are made of others.

    Attributes:
        samples: The others.
    """

    samples: Samples

    @property
    def name(self) -> str:
        """What the others are called."""
        return self.samples.name

    @property
    def skipped(self) -> Sequence[str]:
        """What was passed over of the others."""
        return self.samples.skipped


@dataclass(frozen=True, eq=False)
class SamplesPart(_Of):
    """Some images of a data set, numbered anew.

    Attributes:
        indices: Which are in the part.
    """

    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Sequence[int]) -> Taken:
        """Return images by their numbers in the part."""
        taken = self.samples.take([self.indices[index] for index in indices])
        if len(taken.indices) == len(indices):
            return replace(taken, indices=tuple(indices))
        number_of = {self.indices[index]: index for index in indices}
        return replace(taken, indices=tuple(number_of[index] for index in taken.indices))


@dataclass(frozen=True, eq=False)
class Unlabelled(_Of):
    """Images of a data set without its labels: those are none of the task's."""

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, indices: Sequence[int]) -> Taken:
        """Return images by index, without labels."""
        return replace(self.samples.take(indices), labels=None)


def apart(samples: Samples, count: int, seed: int) -> tuple[SamplesPart, SamplesPart]:
    """Return what is left of a data set, and `count` images of it, drawn by seed."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(samples), generator=generator).tolist()
    drawn, left = sorted(order[:count]), sorted(order[count:])
    return SamplesPart(samples, tuple(left)), SamplesPart(samples, tuple(drawn))
