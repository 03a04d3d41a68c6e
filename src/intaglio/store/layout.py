"""Layouts: other keys under which a file may have a network's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from torch import Tensor

from intaglio.store.checkpoint import Place, Reading, places, readings

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """What a file calls a network's weights.

    Attributes:
        name: What the user is told, such as "darknet"; "" for the network's own keys.
        keys: The file's key to the network's. A weight that none leads to has its own key.
        beside: The file's keys of numbers that are no weights: the network computes them itself.
    """

    name: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()

    def named_as_in_file(self, own: Mapping[str, T]) -> dict[str, T]:
        """Return what stands under the network's keys under those of the file."""
        names = {network: file for file, network in self.keys.items()}
        return {names.get(key, key): value for key, value in own.items()}

    def named_as_own(self, given: Mapping[str, T]) -> dict[str, T]:
        """Return what stands under the file's keys under those of the network."""
        return {self.keys.get(key, key): value for key, value in given.items()}


OWN = Layout()
"""The network's own keys."""


def layout_of(content: object, wanted: Mapping[str, Tensor], layouts: Sequence[Layout]) -> Layout:
    """Return the layout of which a file has the most keys; OWN where none has more than that.

    Args:
        content: What the file holds.
        wanted: The network's state dict.
        layouts: Those that the network's weights are known in.
    """
    if not layouts:
        return OWN
    found = places(content)
    return max((OWN, *layouts), key=lambda layout: _held(layout, found, wanted))


def _held(layout: Layout, found: Sequence[Place], wanted: Mapping[str, Tensor]) -> int:
    """Return how many of the network's weights a file has under a layout's keys."""
    named = layout.named_as_in_file(wanted)
    read = readings_in(layout, found, named)
    return max((sum(key in named for key in one.tensors) for one in read), default=0)


def readings_in(
    layout: Layout, found: Sequence[Place], wanted: Mapping[str, Tensor]
) -> list[Reading]:
    """Return the ways to read a checkpoint's places as weights in a layout.

    Args:
        layout: What the keys are.
        found: The places.
        wanted: The network's state dict, with the layout's keys.
    """
    read = [reading for place in found for reading in readings(place, wanted)]
    return [
        replace(
            one,
            tensors={key: one.tensors[key] for key in one.tensors if key not in layout.beside},
            beside=[*one.beside, *sorted(layout.beside & one.tensors.keys())],
        )
        for one in read
    ]
