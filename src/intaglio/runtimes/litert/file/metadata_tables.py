"""Tables of metadata, written by slot numbers: nothing in them is known by name.

Source: metadata_schema.fbs of tensorflow/tflite-support, version 1.1.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import flatbuffers

CONTENT_TYPE, CONTENT_VALUE, CONTENT_RANGE = 0, 1, 2
RANGE_MIN, RANGE_MAX = 0, 1
FILE_NAME, FILE_DESCRIPTION, FILE_TYPE = 0, 1, 2


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


def content(build: flatbuffers.Builder, member: int, properties: int, axes: tuple[int, int]) -> int:
    """Return what a tensor holds along some of its axes.

    Args:
        member: Of the union in Content: 1 features, 2 an image, 3 boxes.
        properties: Offset of the member's table.
        axes: The first and the last that the content lies along; others repeat it.
    """
    build.StartObject(RANGE_MAX + 1)
    for slot, axis in zip((RANGE_MIN, RANGE_MAX), axes, strict=True):
        build.PrependInt32Slot(slot, axis, 0)
    extent = int(build.EndObject())
    offsets = {CONTENT_VALUE: properties, CONTENT_RANGE: extent}
    return table(build, offsets, {CONTENT_TYPE: member})


def label_file(build: flatbuffers.Builder, name: str, kind: int) -> int:
    """Return the vector of the one file that holds names of classes.

    Args:
        name: In the archive behind the model.
        kind: What the names are of: 2 an axis of the tensor, 3 its values.
    """
    named, about = build.CreateString(name), build.CreateString("Names of the classes")
    file = table(build, {FILE_NAME: named, FILE_DESCRIPTION: about}, {FILE_TYPE: kind})
    return vector(build, [file])
