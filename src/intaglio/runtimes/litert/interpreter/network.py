"""Any .tflite network of one image as a function on what PyTorch networks take and give.

Not only files of ours: float, int8 and uint8 inputs and outputs too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intaglio.errors import RequestError
from intaglio.runtimes.litert.format.layout import TO_NCHW, Array, from_file, to_file
from intaglio.runtimes.litert.interpreter.runner import End, OpenedFile

INPUT_TYPES = ("float32", "int8", "uint8")


@dataclass(frozen=True, eq=False)
class FileNetwork:
    """An opened file.

    Attributes:
        file: What runs it.
        input_shape: (1, C, H, W), in PyTorch's order.
        output_shapes: Of each output, in PyTorch's order, as far as the file says it.
    """

    file: OpenedFile
    input_shape: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the outputs for float32 images [N, C, H, W], one after the other: [N, ...] each.

        Integer outputs come as the reals that they stand for, where they have a scale.

        Raises:
            RequestError: If the runtime cannot run the file.
        """
        taken, ends = self.file.opened.inputs[0], self.file.opened.outputs
        rows = [
            self.file.run(_as_input(image, taken))
            for image in images.split(1)  # type: ignore[no-untyped-call]
        ]
        return [
            torch.from_numpy(np.concatenate([_as_output(row[number], end) for row in rows]))
            for number, end in enumerate(ends)
        ]


def as_network(file: OpenedFile, where: str) -> FileNetwork:
    """Return the network in an opened .tflite file.

    Args:
        where: The file's name, for messages.

    Raises:
        RequestError: If it does not take one image.
    """
    inputs, outputs = file.opened.inputs, file.opened.outputs
    shape = inputs[0].shape if inputs else ()
    is_image = len(shape) == 4 and shape[0] == 1 and min(shape) > 0 and shape[3] in (1, 3)
    if len(inputs) != 1 or not is_image:
        raise RequestError(
            f"{where}: takes {[list(end.shape) for end in inputs]}, not one image"
            " [1, H, W, 3] or [1, H, W, 1]"
        )
    taken = inputs[0]
    if taken.dtype not in INPUT_TYPES:
        raise RequestError(f"{where}: takes {taken.dtype}, not {', '.join(INPUT_TYPES)}")
    if taken.dtype != "float32" and not 0 < taken.scale < np.inf:
        raise RequestError(f"{where}: takes {taken.dtype} with the scale {taken.scale}")
    given = tuple(_in_torch(end.shape) for end in outputs)
    return FileNetwork(file, (1, shape[3], shape[1], shape[2]), given)


def _in_torch(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in TO_NCHW) if len(shape) == 4 else shape


def _as_input(image: Tensor, taken: End) -> Array:
    """Return one image [1, C, H, W] in the file's layout and type: q = round(x / s) + z."""
    values = to_file(image)
    if taken.dtype == "float32":
        return values
    steps = np.rint(values / np.float32(taken.scale)) + taken.zero_point
    limits = np.iinfo(taken.dtype)
    clipped: Array = np.clip(steps, limits.min, limits.max).astype(taken.dtype)
    return clipped


def _as_output(values: Array, end: End) -> Array:
    """Return what a file gives as float32 in PyTorch's order of axes."""
    if values.shape != end.shape:
        raise RequestError(f"the file gives {list(values.shape)} and says {list(end.shape)}")
    reals = values.astype(np.float32)
    if end.dtype != "float32" and end.scale > 0:
        reals = (reals - np.float32(end.zero_point)) * np.float32(end.scale)
    return np.ascontiguousarray(from_file(reals))
