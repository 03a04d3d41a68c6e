"""Networks of searched cells: NASNet-A mobile (4 @ 1056), PNASNet-5 mobile, and any genotype.

A convolution and two cells shrink the image to an eighth; three stages of cells follow, each twice
as wide as the one before and half as high.
Sources: Zoph et al. 2018, arXiv:1707.07012; Liu et al. 2018, arXiv:1712.00559; how cells are
joined as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.errors import RequestError
from intaglio.zoo.blocks import (
    LINEAR_GAIN,
    RELU_GAIN,
    check_arguments,
    check_num_classes,
    initialize,
    linear,
)
from intaglio.zoo.cells import Cell, Signal, norm, projection
from intaglio.zoo.genotype import NASNET_A, PNASNET_5, CellPlan, Genotype

STAGES = 3
LEAST_FILTERS = 4
"""The first cell has a quarter of them."""
MOST_REPEATS = 100
IMAGE_SIZE = 224


@dataclass(frozen=True)
class Place:
    """Where one cell stands.

    Attributes:
        plan: What it is made of.
        filters: Channels of each of its states.
        stride: Of what enters it.
        previous: Which output is the one before the last: 0 is the first convolution's.
    """

    plan: CellPlan
    filters: int
    stride: int
    previous: int


@dataclass(frozen=True)
class Skeleton:
    """How many cells there are, how wide they are, and what they read.

    Attributes:
        filters: Channels of a state in the first stage.
        repeats: Cells of stride 1 in a stage; without a reduction cell of its own the first cell
            of the second and third stage is one of them, and has stride 2.
        stem_filters: Channels of the first convolution.
        passes_reduction: Whether the cell behind a reduction cell reads, beside it, what that
            cell's previous output was (the large NASNet-A), or what it reduced (the mobile one).
        takes_first_as_is: Whether h1 of the very first cell, which has no cell before it, is the
            first convolution's output as it is, as in the authors' code (NASNet-A mobile has
            5,289,978 weights then), instead of matched in width as everywhere else.
    """

    filters: int
    repeats: int
    stem_filters: int = 32
    passes_reduction: bool = False
    takes_first_as_is: bool = False

    def __post_init__(self) -> None:
        """Raise RequestError for numbers that give no network."""
        for name, least, most in (
            ("filters", LEAST_FILTERS, None),
            ("repeats", 1, MOST_REPEATS),
            ("stem_filters", 1, None),
        ):
            value = getattr(self, name)
            fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
            if not fits or (most is not None and value > most):
                bounds = f"at least {least}" + (f" and at most {most}" if most else "")
                raise RequestError(
                    f"a network of cells: {name} must be an integer of {bounds}, got {value!r}"
                )

    def places(self, genotype: Genotype) -> Iterator[Place]:
        """Yield the place of every cell, the two of the stem first."""
        yield Place(genotype.reducing, self.filters // 4, 2, previous=0)
        yield Place(genotype.reducing, self.filters // 2, 2, previous=0)
        last = 2  # the output of the cell before the one that comes
        for stage in range(STAGES):
            filters = self.filters * 2**stage
            halves, previous = stage > 0, last - 1
            if halves and genotype.reduction is not None:
                yield Place(genotype.reduction, filters, 2, previous)
                last += 1
                previous = previous if self.passes_reduction else last - 1
                halves = False
            for _ in range(self.repeats):
                yield Place(genotype.normal, filters, 2 if halves else 1, previous)
                last += 1
                previous, halves = last - 1, False


class AuxiliaryHead(nn.Module):
    """A second classifier on the last cell of the second stage, which training can listen to."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        size = _auxiliary_size(IMAGE_SIZE)
        self.pool = nn.AvgPool2d(5, stride=3)
        self.project = projection(in_channels, 128)
        self.whole = nn.Conv2d(128, 768, size, bias=False)
        self.norm = norm(768)
        self.classifier = linear(768, num_classes)
        initialize(self.whole, RELU_GAIN)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [N, num_classes] of `features` [N, C, 14, 14]."""
        projected = F.relu(self.project(self.pool(features)))
        whole = F.relu(self.norm(self.whole(projected)))  # [N, 768, 1, 1]
        logits: Tensor = self.classifier(torch.flatten(whole, 1))
        return logits


class CellNetwork(nn.Module):
    """The network: images [N, 3, H, W] to logits [N, num_classes].

    With `auxiliary` it returns (logits, logits of the auxiliary head), for images of 224 pixels.
    Keys: stem.{0,1} first convolution and norm, cells.k (see `Cell`), classifier, auxiliary.
    """

    def __init__(
        self, genotype: Genotype, skeleton: Skeleton, *, num_classes: int, auxiliary: bool = False
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d(3, skeleton.stem_filters, 3, stride=2, bias=False)
        initialize(convolution, LINEAR_GAIN)
        self.stem = nn.Sequential(convolution, norm(skeleton.stem_filters))
        signals = [Signal(skeleton.stem_filters, 1)]
        self.cells, self.previous = nn.ModuleList(), list[int]()
        for place in skeleton.places(genotype):
            as_is = skeleton.takes_first_as_is and not self.previous
            previous = None if as_is else signals[place.previous]
            cell = Cell(
                place.plan, signals[-1], previous, filters=place.filters, stride=place.stride
            )
            self.cells.append(cell)
            self.previous.append(place.previous)
            signals.append(cell.signal)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)
        self.classifier = linear(signals[-1].channels, num_classes)
        self.takes_first_as_is = skeleton.takes_first_as_is
        self.listened = _last_of_second_stage(signals)
        channels = signals[self.listened].channels
        self.auxiliary = AuxiliaryHead(channels, num_classes) if auxiliary else None

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the logits [N, num_classes] of `images` [N, 3, H, W], or both heads' logits."""
        first = self.stem(images)
        outputs = [F.relu(first)]
        for index, (cell, place) in enumerate(zip(self.cells, self.previous, strict=True)):
            as_is = self.takes_first_as_is and index == 0
            outputs.append(cell(outputs[-1], first if as_is else outputs[place]))
        pooled = self.dropout(torch.flatten(self.avgpool(outputs[-1]), 1))  # [N, C]
        logits: Tensor = self.classifier(pooled)
        if self.auxiliary is None:
            return logits
        return logits, self.auxiliary(outputs[self.listened])


def nasnet(
    genotype: str | Genotype,
    *,
    filters: int = 44,
    repeats: int = 4,
    stem_filters: int = 32,
    num_classes: int = 1000,
    auxiliary: bool = False,
) -> CellNetwork:
    """Return a randomly initialized network of the cells of a genotype.

    Args:
        genotype: The cells, or their text (intaglio/zoo/genotype.py).
        filters, repeats, stem_filters: See `Skeleton`.
        num_classes: Width of the logits.
        auxiliary: Whether there is a second head, for training on images of 224 pixels.

    Raises:
        RequestError: If the text is no genotype, or a number gives no network.
    """
    check_num_classes("nasnet", num_classes)
    cells = genotype if isinstance(genotype, Genotype) else Genotype.parse(genotype)
    skeleton = Skeleton(filters, repeats, stem_filters)
    return CellNetwork(cells, skeleton, num_classes=num_classes, auxiliary=auxiliary)


def nasnet_mobile(
    width: float = 1.0, num_classes: int = 1000, *, repeats: int = 4, auxiliary: bool = False
) -> CellNetwork:
    """Return a randomly initialized NASNet-A mobile; input RGB / 127.5 - 1.

    Args:
        width: What 44 filters and the first convolution's 32 are multiplied by, rounded down.
        num_classes: Width of the logits.
        repeats: Cells of stride 1 in each of the three stages.
        auxiliary: Whether there is a second head, for training on images of 224 pixels.

    Raises:
        RequestError: If `width` is no number above 0 that leaves 4 filters, `repeats` is not
            1 to 100, or `num_classes` no integer >= 1.
    """
    check_arguments("nasnet_mobile", width=width, num_classes=num_classes)
    skeleton = Skeleton(int(44 * width), repeats, int(32 * width))
    return CellNetwork(NASNET_A, skeleton, num_classes=num_classes, auxiliary=auxiliary)


def pnasnet5_mobile(
    width: float = 1.0, num_classes: int = 1000, *, repeats: int = 3, auxiliary: bool = False
) -> CellNetwork:
    """Return a randomly initialized PNASNet-5 mobile; input RGB / 127.5 - 1.

    Args:
        width: What 54 filters and the first convolution's 32 are multiplied by, rounded down.
        num_classes: Width of the logits.
        repeats: Cells in each of the three stages; the first of the later two has stride 2.
        auxiliary: As `nasnet_mobile`.

    Raises:
        RequestError: As `nasnet_mobile`.
    """
    check_arguments("pnasnet5_mobile", width=width, num_classes=num_classes)
    skeleton = Skeleton(int(54 * width), repeats, int(32 * width))
    return CellNetwork(PNASNET_5, skeleton, num_classes=num_classes, auxiliary=auxiliary)


def _last_of_second_stage(signals: list[Signal]) -> int:
    """Return the index of the last output that is twice as high as the network's last."""
    halvings = signals[-1].halvings - 1
    return max(index for index, signal in enumerate(signals) if signal.halvings == halvings)


def _auxiliary_size(image_size: int) -> int:
    """Return height and width behind the auxiliary head's pool, of square images."""
    size = (image_size - 3) // 2 + 1  # the first convolution, without padding
    for _ in range(STAGES):  # two cells of the stem, and the second stage
        size = -(-size // 2)
    return (size - 5) // 3 + 1
