"""Any .tflite classifier as a function on the images that PyTorch networks take.

Not only files of ours: float, int8 and uint8 inputs and outputs, and with 1001 classes too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor

from intaglio.data.preprocess import Preprocess
from intaglio.errors import IntaglioError, RequestError
from intaglio.export.tflite.builder import Array
from intaglio.export.tflite.layout import to_file
from intaglio.export.tflite.metadata import JSON_NAME
from intaglio.export.tflite.runtime import open_interpreter, run_file
from intaglio.targets.target import Target


@dataclass(frozen=True, eq=False)
class FileNetwork:
    """A file in its interpreter.

    Attributes:
        interpreter: With its tensors allocated.
        input_shape: (1, C, H, W), in PyTorch's order.
        classes: Entries of its one output.
    """

    interpreter: Any
    input_shape: tuple[int, ...]
    classes: int

    def __call__(self, images: Tensor) -> Tensor:
        """Return the scores for float32 images [N, C, H, W], one after the other: [N, classes].

        Integer outputs come as they are, without their scale: their order is the same.
        """
        detail = self.interpreter.get_input_details()[0]
        rows = [
            run_file(self.interpreter, _as_input(image, detail))[0].reshape(-1)
            for image in images.split(1)  # type: ignore[no-untyped-call]
        ]
        return torch.from_numpy(np.stack(rows).astype(np.float32))  # [N, classes]


def open_network(content: bytes, target: Target, where: str) -> FileNetwork:
    """Return the classifier in a .tflite file.

    Args:
        target: Whose interpreter runs it.
        where: The file's name, for messages.

    Raises:
        RequestError: If the interpreter cannot load it, or it is no classifier of one image.
    """
    interpreter = open_or_refuse(content, target, where)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    shape = tuple(int(size) for size in inputs[0]["shape"])
    if len(inputs) != 1 or len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        raise RequestError(
            f"{where}: takes {[list(map(int, entry['shape'])) for entry in inputs]}, not one image"
            " [1, H, W, 3] or [1, H, W, 1]"
        )
    sizes = [size for size in outputs[0]["shape"] if size != 1]
    if len(outputs) != 1 or len(sizes) != 1:
        raise RequestError(
            f"{where}: gives {[list(map(int, entry['shape'])) for entry in outputs]}, not the"
            " scores of one classifier [1, classes]: accuracy is not defined for it"
        )
    return FileNetwork(interpreter, (1, shape[3], shape[1], shape[2]), int(sizes[0]))


def open_or_refuse(content: bytes, target: Target, where: str) -> Any:
    """Return the file's interpreter.

    Raises:
        RequestError: If the bytes are no .tflite file, or one with ops that the runtime lacks.
    """
    try:
        return open_interpreter(content, target)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise RequestError(
            f"{where}: {target.runtime} cannot load it: damaged, no .tflite file, or with ops that"
            f" the runtime lacks ({reason})"
        ) from error


def stored_preprocess(content: bytes, where: str) -> Preprocess | None:
    """Return what a file says is done to its images; None where it says nothing.

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


def _as_input(image: Tensor, detail: dict[str, Any]) -> Array:
    """Return one image [1, C, H, W] in the file's layout and type: q = round(x / s) + z."""
    values = to_file(image)
    kind = np.dtype(detail["dtype"])
    if kind == np.float32:
        return values
    if kind not in (np.dtype(np.int8), np.dtype(np.uint8)):
        raise RequestError(f"the file takes {kind.name}, not float32, int8 or uint8")
    scale, zero_point = detail["quantization"]
    steps = np.rint(values / np.float32(scale)) + zero_point
    limits = np.iinfo(kind)
    clipped: Array = np.clip(steps, limits.min, limits.max).astype(kind)
    return clipped
