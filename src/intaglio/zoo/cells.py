"""The cells of searched networks, built from a genotype.

Source: Zoph et al. 2018, arXiv:1707.07012, section 3 and appendix A.4; strides, norms and the
matching of widths as in the authors' code. How we differ: a ReLU that several branches read is
computed once, and so is the one that every reader of a cell's output begins with.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.zoo.blocks import LINEAR_GAIN, RELU_GAIN, TENSORFLOW, ConvNorm
from intaglio.zoo.genotype import ENTERING, IDENTITY, Branch, CellPlan
from intaglio.zoo.padding import AvgPool2dSame, MaxPool2dSame

CONVENTION = TENSORFLOW
POOLS = {"avg": AvgPool2dSame, "max": MaxPool2dSame}


@dataclass(frozen=True)
class Signal:
    """What is known of a value before there are images.

    Attributes:
        channels: Its width.
        halvings: How often height and width were halved on the way to it.
    """

    channels: int
    halvings: int


@dataclass(frozen=True)
class Reading:
    """What a branch reads: a state of the cell, as it is or through a ReLU."""

    state: str
    rectified: bool


class Cell(nn.Module):
    """One cell: the outputs of the two cells before it to one.

    Keys: current and previous (what makes h0 and h1), sums.k.{0,1} the two branches of c_k,
    fitted.<state> where a kept state has another shape than the sums.

    Attributes:
        signal: What the output is.
    """

    def __init__(
        self, plan: CellPlan, current: Signal, previous: Signal | None, *, filters: int, stride: int
    ) -> None:
        """Build the cell; without a `previous`, h1 is what `forward` is given as it is."""
        super().__init__()
        h0 = Signal(filters, current.halvings)
        made = Signal(filters, current.halvings + (stride == 2))
        signals = {"h0": h0, "h1": current if previous is None else h0}
        self.current = projection(current.channels, filters)
        self.previous = nn.Identity() if previous is None else _matched(previous, h0)
        self.sums = nn.ModuleList()
        self.readings: list[list[Reading]] = []
        for index, pair in enumerate(plan.sums):
            built = [branch_layer(one, signals[one.state], made, stride) for one in pair]
            self.sums.append(nn.ModuleList(layer for layer, _ in built))
            self.readings.append([reading for _, reading in built])
            signals[f"c{index}"] = made
        self.kept = plan.kept
        odd = [state for state in plan.kept if signals[state] != made]
        self.fitted = nn.ModuleDict({state: _matched(signals[state], made) for state in odd})
        self.signal = Signal(filters * len(plan.kept), made.halvings)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Return [N, filters * kept, H', W'], rectified, of two rectified values."""
        values = {
            Reading("h0", False): self.current(current),
            Reading("h1", False): self.previous(previous),
        }
        for index, (layers, readings) in enumerate(zip(self.sums, self.readings, strict=True)):
            left, right = (
                layer(_read(values, reading))
                for layer, reading in zip(layers, readings, strict=True)  # type: ignore[call-overload]
            )
            values[Reading(f"c{index}", False)] = left + right
        kept = [values[Reading(state, False)] for state in self.kept]
        fitted = [
            self.fitted[state](value) if state in self.fitted else value
            for state, value in zip(self.kept, kept, strict=True)
        ]
        return F.relu(torch.cat(fitted, 1))


class FactorizedReduction(nn.Module):
    """Half the height and width, by two 1x1 convolutions that look at different pixels.

    Half of the channels are made of every second pixel, the others of the pixels diagonally
    between those. The authors' code has one norm over both halves; a norm each is the same
    function, and folds. Keys: straight.{0,1}, shifted.{0,1}.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.straight = projection(in_channels, half, stride=2)
        self.shifted = projection(in_channels, out_channels - half, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C_out, ceil(H / 2), ceil(W / 2)] of `features` [N, C_in, H, W]."""
        height, width = features.shape[-2:]
        padded = features
        if height % 2 or width % 2:  # zeros behind an axis are read only where its length is odd
            padded = F.pad(features, (0, width % 2, 0, height % 2))
        shifted = self.shifted(padded[:, :, 1:, 1:])
        return torch.cat([self.straight(features), shifted], 1)


def branch_layer(
    branch: Branch, read: Signal, made: Signal, stride: int
) -> tuple[nn.Module, Reading]:
    """Return the layers of a branch that reads `read`, and how it reads it.

    Only states that enter the cell are strided.
    """
    stride = stride if branch.state in ENTERING else 1
    channels, filters = read.channels, made.channels
    if branch.operation == IDENTITY:
        changes = stride > 1 or channels != filters
        layer = projection(channels, filters, stride) if changes else nn.Identity()
        return layer, Reading(branch.state, rectified=changes)
    if branch.operation == "sep":
        layer = separable_twice(channels, filters, branch.kernel_size, stride)
        return layer, Reading(branch.state, rectified=True)
    pool = POOLS[branch.operation](branch.kernel_size, stride)
    if channels != filters:
        return nn.Sequential(pool, *projection(channels, filters)), Reading(branch.state, False)
    return pool, Reading(branch.state, rectified=False)


def separable_twice(channels: int, filters: int, kernel_size: int, stride: int) -> nn.Sequential:
    """Return depthwise, pointwise, norm, ReLU, depthwise, pointwise, norm; the first is strided."""
    layers: list[nn.Module] = []
    for in_channels, step, gain in ((channels, stride, RELU_GAIN), (filters, 1, LINEAR_GAIN)):
        depthwise = ConvNorm(kernel_size, stride=step, depthwise=True, gain=LINEAR_GAIN)
        layers.append(depthwise.convolution(in_channels, in_channels, convention=CONVENTION))
        pointwise = ConvNorm(1, activation=None, gain=gain)
        layers += pointwise.build(in_channels, filters, convention=CONVENTION)
        layers.append(nn.ReLU())
    return nn.Sequential(*layers[:-1])


def projection(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Return a 1x1 convolution and its norm, for what has been through a ReLU."""
    pointwise = ConvNorm(1, stride=stride, activation=None, gain=LINEAR_GAIN)
    return pointwise.build(in_channels, out_channels, convention=CONVENTION)


def norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch norm with the constants of the authors' framework."""
    return nn.BatchNorm2d(channels, eps=CONVENTION.norm_eps, momentum=CONVENTION.norm_momentum)


def _matched(given: Signal, wanted: Signal) -> nn.Module:
    if given.halvings != wanted.halvings:
        return FactorizedReduction(given.channels, wanted.channels)
    return projection(given.channels, wanted.channels)


def _read(values: dict[Reading, Tensor], reading: Reading) -> Tensor:
    """Return what is read; a ReLU is computed where it is asked for first, and once."""
    if reading not in values:
        values[reading] = F.relu(values[Reading(reading.state, False)])
    return values[reading]
