"""Axes: the graph is NCHW, as torch is; the file is NHWC, as LiteRT is. Batch 1 in the file.

Values with four axes are images and change layout; all others keep the order of their axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from intaglio.ir.graph import BATCH

Array = npt.NDArray[Any]
TO_NHWC = (0, 2, 3, 1)
TO_NCHW = (0, 3, 1, 2)


def file_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that a value has in the file."""
    sizes = tuple(1 if size == BATCH else size for size in shape)
    return tuple(sizes[axis] for axis in TO_NHWC) if len(sizes) == 4 else sizes


def file_axis(axis: int, rank: int) -> int:
    """Return where axis `axis` of a value lies in the file."""
    return TO_NHWC.index(axis) if rank == 4 else axis


def to_file(values: Tensor) -> Array:
    """Return an array in the file's axes."""
    array = values.detach().cpu().numpy()
    return np.ascontiguousarray(array.transpose(TO_NHWC) if array.ndim == 4 else array)


def from_file(array: Array) -> Array:
    """Return an array of the file in the graph's axes."""
    return array.transpose(TO_NCHW) if array.ndim == 4 else array


def needs_transpose(shape: tuple[int, ...]) -> bool:
    """Whether the order of elements differs between the two layouts."""
    if len(shape) != 4:
        return False
    return shape[1] != 1 and shape[2] * shape[3] != 1
