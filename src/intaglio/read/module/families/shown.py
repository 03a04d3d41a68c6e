"""What a detector that is captured as a whole shows: its outputs, and what its attributes say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from intaglio.read.module.families.evidence import Size
from intaglio.read.module.families.limits import numbers_at, value_at

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (16, 32))
"""Of the maps of YOLO networks that say none themselves."""
POWERS = tuple(2.0**exponent for exponent in range(1, 8))
"""Strides that maps have; convolutions say theirs too, all alike."""
CLASS_COUNTS = ("nc", "num_classes", "n_classes", "classes")
NAMES = ("names", "class_names", "categories")
RATIOS = (0.2, 20.0)
"""Sides of anchors, in strides: what detectors have."""
Sides = tuple[tuple[float, float], ...]
"""Width, height in pixels, of each anchor of a cell."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What was seen.

    Attributes:
        input_size: Height, width.
        outputs: [1, ...] each, of a noisy picture, in the order of the graph's outputs.
        output_names: Of these; () where they have none.
        classes: Counts of classes that attributes say.
        strides: Of the maps, as attributes say; else the usual ones.
        bins: Of distances, as an attribute `reg_max` says.
        anchors: Of each map, as attributes say, for the strides; () without.
        names: Lists of names of classes.
    """

    input_size: Size
    outputs: tuple[Tensor, ...]
    output_names: tuple[str, ...]
    classes: frozenset[int]
    strides: tuple[tuple[int, ...], ...]
    bins: frozenset[int]
    anchors: Mapping[tuple[int, ...], tuple[Sides, ...]]
    names: tuple[tuple[str, ...], ...]

    def named(self, classes: int) -> tuple[str, ...]:
        """Return the names of so many classes, or () where none or several are said."""
        found = {names for names in self.names if len(names) == classes}
        return found.pop() if len(found) == 1 else ()


def shown(module: nn.Module, outputs: Sequence[Tensor], names: Sequence[str], size: Size) -> Shown:
    """Return what a module shows.

    Args:
        module: The detector.
        outputs: Of it, for one noisy picture.
        names: Of the outputs, or ().
        size: Height, width of the picture.
    """
    parts = list(module.modules())
    labels = tuple(dict.fromkeys(own for part in parts for own in _names(part)))
    counts = {value_at(part, name) for part in parts for name in CLASS_COUNTS}
    said = {numbers_at(part, name) for part in parts for name in ("stride", "strides")}
    strides = tuple(
        tuple(int(one) for one in own)
        for own in sorted(said)
        if 1 < len(own) <= 6 and len(set(own)) == len(own) and all(one in POWERS for one in own)
    )
    strides = strides or STRIDES
    anchors = {own: found for own in strides if (found := _anchors(parts, own))}
    bins = {value_at(part, "reg_max") for part in parts}
    return Shown(
        size,
        tuple(outputs),
        tuple(names),
        frozenset(int(one) for one in counts if one is not None and one >= 1)
        | frozenset(len(own) for own in labels),
        strides,
        frozenset(int(one) for one in bins if one is not None and one >= 2),
        anchors,
        labels,
    )


def _names(part: nn.Module) -> Iterator[tuple[str, ...]]:
    """Give the lists of names of classes that a part holds."""
    for name in NAMES:
        held = getattr(part, name, None)
        if isinstance(held, Mapping) and set(held) == set(range(len(held))):
            held = [held[number] for number in range(len(held))]
        if isinstance(held, list | tuple) and held and all(isinstance(own, str) for own in held):
            yield tuple(held)


def _anchors(parts: Sequence[nn.Module], strides: Sequence[int]) -> tuple[Sides, ...]:
    """Return the anchors of each map in pixels, as all parts say that say any; else ()."""
    found = {
        own
        for part in parts
        for name in ("anchors", "anchor_grid", "anchors_pixels")
        for own in _anchors_at(part, name, strides)
    }
    return found.pop() if len(found) == 1 else ()


def _anchors_at(part: nn.Module, name: str, strides: Sequence[int]) -> Iterator[tuple[Sides, ...]]:
    held = getattr(part, name, None)
    try:
        values = torch.as_tensor(held, dtype=torch.float32).flatten()
    except (TypeError, ValueError, RuntimeError):
        return
    count = len(values) // (2 * len(strides))
    if not count or count > 9 or count * 2 * len(strides) != len(values):
        return
    split = values.view(len(strides), count, 2)
    steps = torch.tensor(strides, dtype=torch.float32)[:, None, None]
    for pixels, in_strides in ((split, split / steps), (split * steps, split)):
        if RATIOS[0] <= float(in_strides.min()) and float(in_strides.max()) <= RATIOS[1]:
            yield tuple(tuple(_pair(one) for one in own) for own in pixels)


def _pair(sides: Tensor) -> tuple[float, float]:
    width, height = (round(float(one), 4) for one in sides)
    return width, height


def level_sizes(input_size: Size, strides: Sequence[int]) -> tuple[Size, ...]:
    """Return height and width of the maps; () where a stride does not divide the input."""
    if any(side % stride for side, stride in itertools.product(input_size, strides)):
        return ()
    return tuple((input_size[0] // stride, input_size[1] // stride) for stride in strides)
