"""How often the integers of weights turn back: change, and against their last change.

Source: Nagel et al. 2022, arXiv:2203.11086, section 4.1. With o(t) = 1 where an integer n turns
back at step t, its frequency and the mean of its integers are exponential averages,

    f(t) = m o(t) + (1 - m) f(t - 1)        mean(t) = m n(t) + (1 - m) mean(t - 1)

Few integers change in a step. Between two changes of a weight both averages have a closed form, so
they are brought up to date when it changes, and all that is done for every weight is to round it
and to compare one byte.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.run.fake.on_grid import OnGrid

MOMENTUM = 0.005
WORD = 8
"""Bytes that are compared with zero at once."""


@dataclass(eq=False)
class Turns:
    """What was seen of all weights of a network, one behind the other, [P]: P a multiple of 8.

    Attributes:
        integers: At the last reading, in the smallest type that holds them all.
        direction: Of their last change: -1 or 1; 0 before the first. int8.
        frequency: How often they turn back, a step, 0..1, at their last change. float32.
        mean: Of the integers, at their last change. float32.
        changed_at: Steps that were done at their last change. int32.
        read_at: Steps that were done at the last reading, [] int64.
    """

    integers: Tensor
    direction: Tensor
    frequency: Tensor
    mean: Tensor
    changed_at: Tensor
    read_at: Tensor

    def read(
        self, integers: Tensor, step: int, *, is_held: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Take all integers, [P], of a step, and say which have turned back.

        Steps may be left out: a turn then stands for one in as many steps.

        Args:
            integers: Of the weights; kept.
            step: Steps that are done.
            is_held: bool [P]: weights whose integers are not taken over.

        Returns:
            Indices of those that turned back, sorted, [K] int64, and what they were before, [K].
        """
        gap = step - int(self.read_at)
        changed = nonzero(self.integers ^ integers)
        if is_held is not None:
            held = is_held[changed]
            _put(integers, changed[held], self.integers[changed[held]])
            changed = changed[~held]
        old, new = self.integers[changed], integers[changed]
        self.integers = integers
        self.read_at.fill_(step)
        direction = (new > old).to(torch.int8) * 2 - 1
        turned = direction * self.direction[changed] < 0
        keep = self._keep(step, changed)
        share = (1.0 - (1.0 - MOMENTUM) ** gap) / gap
        _put(self.frequency, changed, self.frequency[changed] * keep + turned * share)
        mean = old + (self.mean[changed] - old) * keep / (1.0 - MOMENTUM)
        _put(self.mean, changed, mean * (1.0 - MOMENTUM) + new * MOMENTUM)
        _put(self.direction, changed, direction)
        _put(self.changed_at, changed, torch.full_like(changed, step, dtype=torch.int32))
        return changed[turned], old[turned]

    def frequencies(self, step: int) -> Tensor:
        """Return how often integers turn back as of a step, [P]."""
        return self.frequency * self._keep(step, slice(None))

    def _keep(self, step: int, which: Tensor | slice) -> Tensor:
        """Return the share of an average that is left since the last change of some weights."""
        return torch.pow(1.0 - MOMENTUM, (step - self.changed_at[which]).float())


def new_turns(integers: Tensor, step: int) -> Turns:
    """Return what is known of weights with these integers, [P], at a step: nothing turned yet."""
    return Turns(
        integers=integers,
        direction=torch.zeros_like(integers, dtype=torch.int8),
        frequency=torch.zeros_like(integers, dtype=torch.float32),
        mean=integers.float(),
        changed_at=torch.full_like(integers, step, dtype=torch.int32),
        read_at=torch.tensor(step),
    )


@dataclass(frozen=True)
class Places:
    """Where the weights of layers lie in one row.

    Attributes:
        parts: What of the row is a layer's, in order.
        count: Of weights.
        kind: Type of all integers.
    """

    parts: Mapping[str, slice]
    count: int
    kind: torch.dtype

    def integers(self, grids: Mapping[str, OnGrid]) -> Tensor:
        """Return the integers of all weights, [P]; zeros behind the last."""
        device = next(iter(grids.values())).latent.device
        row = torch.empty(-(-self.count // WORD) * WORD, dtype=self.kind, device=device)
        row[self.count :] = 0
        for layer, part in self.parts.items():
            steps = grids[layer].steps().round_().clamp_(*grids[layer].ends)
            row[part].view(steps.shape).copy_(steps)
        return row

    def by_layer(self, indices: Tensor) -> dict[str, Tensor]:
        """Return sorted indices of the row as those of each layer's weight, where it has any."""
        ends = torch.tensor([part.stop for part in self.parts.values()], device=indices.device)
        pieces = indices.tensor_split(torch.searchsorted(indices, ends).cpu())
        return {
            layer: piece - part.start
            for (layer, part), piece in zip(self.parts.items(), pieces[:-1], strict=True)
            if len(piece)
        }


def places_of(grids: Mapping[str, OnGrid]) -> Places:
    """Return a row for the weights of layers."""
    counts = [grid.latent.numel() for grid in grids.values()]
    ends = itertools.accumulate(counts)
    parts = {
        layer: slice(end - count, end)
        for layer, count, end in zip(grids, counts, ends, strict=True)
    }
    lowest = min(int(grid.ends[0].min()) for grid in grids.values())
    highest = max(int(grid.ends[1].max()) for grid in grids.values())
    kinds = (torch.int8, torch.int16, torch.int32)
    limits = ((torch.iinfo(kind), kind) for kind in kinds)
    kind = next(kind for info, kind in limits if info.min <= lowest and highest <= info.max)
    return Places(parts, sum(counts), kind)


def nonzero(row: Tensor) -> Tensor:
    """Return where a row, [P], is not zero, sorted, [K] int64: word by word, as few are."""
    words = row.view(torch.int64).nonzero()  # [W, 1]
    each = WORD // row.element_size()
    indices = (words * each + torch.arange(each, device=row.device)).flatten()  # [W * each]
    return indices[row[indices] != 0]


def _put(row: Tensor, indices: Tensor, values: Tensor) -> None:
    """Write [K] values into a row, [P]."""
    row.index_copy_(0, indices, values)
