"""Any .tflite classifier as a function on the images that PyTorch networks take.

Not only files of ours: float, int8 and uint8 inputs and outputs, and with 1001 classes too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor

from intaglio.data.preprocess import Preprocess
from intaglio.errors import IntaglioError, RequestError
from intaglio.ir.graph import BATCH
from intaglio.runtimes.litert.file.metadata import JSON_NAME
from intaglio.runtimes.litert.format.builder import Array
from intaglio.runtimes.litert.format.layout import to_file
from intaglio.runtimes.litert.interpreter.runner import End, Runner

INPUT_TYPES = ("float32", "int8", "uint8")


@dataclass(frozen=True, eq=False)
class FileNetwork:
    """An opened file.

    Attributes:
        runner: What runs it.
        input_shape: (1, C, H, W), in PyTorch's order.
        classes: Entries of its one output.
    """

    runner: Runner
    input_shape: tuple[int, ...]
    classes: int

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """The shape of its one output, the batch first."""
        return [(BATCH, self.classes)]

    def __call__(self, images: Tensor) -> Tensor:
        """Return the scores for float32 images [N, C, H, W], one after the other: [N, classes].

        Integer outputs come as they are, without their scale: their order is the same.

        Raises:
            RequestError: If the runtime cannot run the file.
        """
        taken = self.runner.opened.inputs[0]
        rows = [
            self._scores(_as_input(image, taken))
            for image in images.split(1)  # type: ignore[no-untyped-call]
        ]
        return torch.from_numpy(np.stack(rows).astype(np.float32))  # [N, classes]

    def _scores(self, image: Array) -> Array:
        scores = self.runner.run(image)[0].reshape(-1)
        if scores.size != self.classes:
            raise RequestError(f"the file gives {scores.size} scores and says {self.classes}")
        return scores


def as_network(runner: Runner, where: str) -> FileNetwork:
    """Return the classifier in an opened .tflite file.

    Args:
        where: The file's name, for messages.

    Raises:
        RequestError: If it is no classifier of one image.
    """
    inputs, outputs = runner.opened.inputs, runner.opened.outputs
    shape = inputs[0].shape
    is_image = len(shape) == 4 and shape[0] == 1 and min(shape) > 0 and shape[3] in (1, 3)
    if len(inputs) != 1 or not is_image:
        raise RequestError(
            f"{where}: takes {[list(end.shape) for end in inputs]}, not one image"
            " [1, H, W, 3] or [1, H, W, 1]"
        )
    sizes = [size for size in outputs[0].shape if size != 1]
    if len(outputs) != 1 or len(sizes) != 1:
        raise RequestError(
            f"{where}: gives {[list(end.shape) for end in outputs]}, not the"
            " scores of one classifier [1, classes]: accuracy is not defined for it"
        )
    taken = inputs[0]
    if taken.dtype not in INPUT_TYPES:
        raise RequestError(f"{where}: takes {taken.dtype}, not {', '.join(INPUT_TYPES)}")
    if taken.dtype != "float32" and not 0 < taken.scale < np.inf:
        raise RequestError(f"{where}: takes {taken.dtype} with the scale {taken.scale}")
    return FileNetwork(runner, (1, shape[3], shape[1], shape[2]), sizes[0])


def input_shape(content: bytes) -> tuple[int, ...]:
    """Return the shape that a file says it takes, in the file's layout, without running it.

    Args:
        content: What `verify` has passed.
    """
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    taken = graph.Tensors(graph.Inputs(0))
    return tuple(int(taken.Shape(axis)) for axis in range(taken.ShapeLength()))


def stored_preprocess(content: bytes, where: str) -> Preprocess | None:
    """Return what a file says is done to its images; None where it says nothing.

    Args:
        content: What `verify` has passed.
        where: The file's name, for messages.

    Raises:
        RequestError: If what it says makes no sense.
    """
    text = _metadata(content)
    if text is None:
        return None
    try:
        stored = json.loads(text)["preprocess"]
        if stored is None:
            return None
        return Preprocess(
            resize=stored["resize"],
            crop=stored["crop"],
            mean=tuple(stored["mean"] or ()),
            std=tuple(stored["std"] or ()),
        )
    except (ValueError, KeyError, TypeError, IntaglioError) as error:
        raise RequestError(f"{where}: its preprocessing cannot be read ({error})") from error


def _metadata(content: bytes) -> bytes | None:
    """Return the named buffer that intaglio writes; None where the file has none."""
    model = schema.Model.GetRootAs(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == JSON_NAME.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
    return None


def _as_input(image: Tensor, taken: End) -> Array:
    """Return one image [1, C, H, W] in the file's layout and type: q = round(x / s) + z."""
    values = to_file(image)
    if taken.dtype == "float32":
        return values
    steps = np.rint(values / np.float32(taken.scale)) + taken.zero_point
    limits = np.iinfo(taken.dtype)
    clipped: Array = np.clip(steps, limits.min, limits.max).astype(taken.dtype)
    return clipped
