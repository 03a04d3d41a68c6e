"""Tables of metadata, written by slot numbers: nothing in them is known by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import flatbuffers


def union(build: flatbuffers.Builder, type_slot: int, member: int, value: int) -> int:
    """Return a table of one union: its type in `type_slot`, its value in the slot behind."""
    return table(build, {type_slot + 1: value}, {type_slot: member})


def table(
    build: flatbuffers.Builder, offsets: Mapping[int, int], small: Mapping[int, int] | None = None
) -> int:
    """Write a table; return its offset.

    Args:
        offsets: Slot to the offset of a string, vector or table.
        small: Slot to a number of one byte, none of them the field's default 0.
    """
    small = small or {}
    build.StartObject(max([*offsets, *small], default=-1) + 1)
    for slot, offset in offsets.items():
        build.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, number in small.items():
        build.PrependUint8Slot(slot, number, 0)
    return int(build.EndObject())


def vector(build: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    """Write a vector of offsets; return its own."""
    build.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        build.PrependUOffsetTRelative(offset)
    return int(build.EndVector())
