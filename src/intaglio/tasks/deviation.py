"""How far two networks are apart in one output, beside how far the float one is from its mean.

The mean is that of each channel over all images and positions: what every image gets alike, such as
a bias, is no signal, however large it is. Channels that differ by orders of magnitude (boxes in
pixels beside scores in 0..1) are judged in groups: pooled, the large ones would hide that nothing
is left of the small ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from intaglio.numerics.metrics import sqnr_db

APART = 10.0
"""Channels are of two groups where, in order of their standard deviation, the next is that many
times larger. Within a group they go on without such a gap, as the classes of a detector do, of
which many are rarely seen."""
CONSTANT = 1e-6
"""A group that moves less, relative to the largest, is below what float32 resolves there."""
AT_ONCE = 1 << 16
"""Values of an output that are looked at together: 512 kB of float64."""


def by_channel(value: Tensor) -> Tensor:
    """Return an output [N, ...] as [C, M]: all numbers of each channel.

    Channels are axis 1 of maps [N, C, H, W], or the last where it is the shortest ([N, H, W, C]);
    of [N, A, B] the shorter of both, since detectors give [N, channels, boxes] and [N, boxes,
    channels]; with more axes all but the two of the map, such as [N, anchors, H, W, channels].
    """
    channels, count = _channels_first(value)
    return channels.reshape(count, -1)


def _channels_first(value: Tensor) -> tuple[Tensor, int]:
    """Return a view with the axes of channels in front, and how many channels they make."""
    axes = _channel_axes(tuple(value.shape))
    others = [axis for axis in range(value.ndim) if axis not in axes]
    return value.permute(*axes, *others), math.prod(value.shape[axis] for axis in axes)


def _strips(real: Tensor, found: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield both outputs as [C, m] float64 of the caller's own, at most about AT_ONCE values each.

    Cut along the longest axis that is no channel's, so that the values of a strip and what is
    made of them stay in the processor's caches; a small output is one strip.
    """
    sides = [_channels_first(value) for value in (real, found)]
    count, axes = sides[0][1], len(_channel_axes(tuple(real.shape)))
    shape = sides[0][0].shape
    axis = max(range(axes, real.ndim), key=lambda place: shape[place])
    pieces = -(-real.numel() // AT_ONCE)
    step = max(1, shape[axis] // max(pieces, 1))
    for begin in range(0, shape[axis], step):
        length = min(step, shape[axis] - begin)
        one, other = (side.narrow(axis, begin, length) for side, _ in sides)
        made = [
            torch.empty(one.shape, dtype=torch.float64).copy_(part).reshape(count, -1)
            for part in (one, other)
        ]
        yield made[0], made[1]


def _channel_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) <= 2:
        return tuple(range(1, len(shape)))
    if len(shape) == 3:
        return (1,) if shape[1] <= shape[2] else (2,)
    if len(shape) == 4:
        return (3,) if shape[3] < min(shape[1:3]) else (1,)
    maps = (2, 3) if shape[2] == shape[3] else (len(shape) - 2, len(shape) - 1)
    return tuple(axis for axis in range(1, len(shape)) if axis not in maps)


@dataclass
class Deviation:
    """Sums over batches of one output, channel by channel; memory for the channels alone.

    Source: the merging of sums of Chan, Golub, LeVeque 1979 (STAN-CS-79-773): no
    difference of two large numbers, as there would be with the sum of squares.

    Attributes:
        count: Values a channel.
        mean, signal, noise: [C] float64: the mean, the sum of squared deviations from it, and the
            sum of squared differences of the two networks.
    """

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros(()))
    signal: Tensor = field(default_factory=lambda: torch.zeros(()))
    noise: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, real: Tensor, found: Tensor) -> None:
        """Take in one batch, [N, C, ...] each, or [N].

        Memory: a few strips of AT_ONCE values, however large the outputs are.
        """
        if not real.numel():
            return
        for one, other in _strips(real, found):
            self._merge(one, other)

    def _merge(self, channels: Tensor, found: Tensor) -> None:
        """Take in some values of each channel, [C, m] float64; both tensors are spent."""
        count = channels.shape[1]
        noise = found.sub_(channels).square_().sum(1)
        mean = channels.mean(1)
        apart = mean - self.mean if self.count else torch.zeros_like(mean)
        between = self.count * count / (self.count + count)
        signal = channels.sub_(mean[:, None]).square_().sum(1) + between * apart.square()
        self.signal, self.noise = self.signal + signal, self.noise + noise
        self.mean = (self.mean if self.count else mean) + apart * (count / (self.count + count))
        self.count += count

    @property
    def sqnr_db(self) -> float | None:
        """SQNR in dB of all channels together.

        None where the float network gives a constant, and the other one not that.
        """
        return _decibels(float(self.signal.sum()), float(self.noise.sum()))

    @property
    def lowest_db(self) -> float | None:
        """SQNR in dB of the group of channels that has the lowest; None as above."""
        found = [
            _decibels(float(self.signal[group].sum()), float(self.noise[group].sum()))
            for group in self.groups()
        ]
        known = [db for db in found if db is not None]
        return min(known, default=self.sqnr_db)

    def groups(self) -> list[Tensor]:
        """Return the channels of each group, the one that moves least first."""
        if self.signal.numel() < 2:
            return [torch.zeros(1, dtype=torch.int64)] if self.count else []
        order = self.signal.reshape(-1).argsort()
        size = self.signal.reshape(-1)[order].sqrt()
        order, size = order[size > CONSTANT * size[-1]], size[size > CONSTANT * size[-1]]
        if not len(order):
            return []
        edges = (1 + (size[1:] > APART * size[:-1]).nonzero().reshape(-1)).tolist()
        return list(torch.tensor_split(order, edges))


def _decibels(signal: float, noise: float) -> float | None:
    found = sqnr_db(signal, noise)
    return None if found == -math.inf else found
