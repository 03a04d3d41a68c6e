"""Readings of CenterNet: a heat map, sizes and offsets of one stride."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from intaglio.boxes.anchors import point_grids
from intaglio.boxes.families import centernet
from intaglio.boxes.postprocess import PostProcess
from intaglio.read.module.families.shown import Shown

HEAT = ("hm", "heatmap", "heat_map", "heat")
SIZE = ("wh", "size", "width_height")
OFFSET = ("reg", "off", "offset")
STRIDES = (2, 4, 8)


def centernet_maps(shown: Shown) -> PostProcess | None:
    """Return the reading of three maps of one size that are named as CenterNet's, else None.

    Two of two channels each: nothing but their names tells sizes from offsets for sure.
    """
    if len(shown.outputs) != 3 or any(own.ndim != 4 for own in shown.outputs):
        return None
    sizes = {tuple(own.shape[2:]) for own in shown.outputs}
    roles = [_named(shown.output_names, words) for words in (HEAT, SIZE, OFFSET)]
    if len(sizes) != 1 or sorted(roles) != [0, 1, 2]:
        return None
    (rows, columns), (heat, size, offset) = sizes.pop(), roles
    if shown.outputs[size].shape[1] != 2 or shown.outputs[offset].shape[1] != 2:
        return None
    height, width = shown.input_size
    if height != rows * (height // rows) or height // rows not in STRIDES:
        return None
    if width != columns * (height // rows):
        return None
    classes = shown.outputs[heat].shape[1]
    (grid,) = point_grids(shown.input_size, [(rows, columns)])
    return centernet(
        shown.input_size,
        grid,
        classes=classes,
        outputs=(heat, size, offset),
        activation="none" if _are_shares(shown.outputs[heat]) else "sigmoid",
        names=shown.named(classes),
    )


def _named(names: Sequence[str], words: Sequence[str]) -> int:
    """Return which output has one of these words as the end of its name; -1 where not just one."""
    found = [number for number, name in enumerate(names) if name.split(".")[-1] in words]
    return found[0] if len(found) == 1 else -1


def _are_shares(heat: Tensor) -> bool:
    return bool(((heat >= 0) & (heat <= 1)).all())
