"""What this folder's detector finds in prepared pictures: needs NumPy and ai-edge-litert alone.

    python detect.py pictures.npy

`pictures.npy` holds float32 [N, C, H, W], prepared as "preprocess" in report.json says. The boxes
are those of `result.twin`: the networks give the same integers, and the code behind them, in
boxes.zip, is the same. Where the file itself ends in boxes, they are those that it gives.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
if (HERE / "boxes.zip").is_file():
    sys.path.insert(0, str(HERE / "boxes.zip"))

from intaglio.boxes.as_data import from_json  # noqa: E402
from intaglio.boxes.detect import detections  # noqa: E402
from intaglio.boxes.detections import Detections  # noqa: E402
from intaglio.boxes.given import given_detections  # noqa: E402
from intaglio.boxes.postprocess import PostProcess  # noqa: E402
from intaglio.boxes.regions import two_stage_detections  # noqa: E402

Floats = NDArray[np.float32]


class Network:
    """One .tflite file: [N, ...] in, the outputs [N, ...] out, both with channels at axis 1."""

    def __init__(self, path: Path) -> None:
        self.interpreter = Interpreter(model_path=str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        (self.taken,) = self.interpreter.get_input_details()
        self.given = self.interpreter.get_output_details()

    @property
    def ends_in_boxes(self) -> bool:
        """Whether the file's last operator gives boxes."""
        return str(self.given[0]["name"]) == "TFLite_Detection_PostProcess"

    def __call__(self, values: Floats) -> list[Floats]:
        """Return the outputs; the file takes one entry of the batch at a time."""
        rows = [self.of_one(values[index : index + 1]) for index in range(len(values))]
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def of_one(self, value: Floats) -> list[Floats]:
        """Return the outputs for a batch of one."""
        image = value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
        self.interpreter.set_tensor(self.taken["index"], _stored(image, self.taken))
        self.interpreter.invoke()
        return [_real(self.interpreter.get_tensor(one["index"]), one) for one in self.given]


def detect(pictures: Floats) -> list[Detections]:
    """Return what is found in each of the pictures [N, C, H, W], in pixels of these."""
    post = from_json(json.loads((HERE / "postprocess.json").read_text(encoding="utf-8")))
    network = Network(HERE / "model.tflite")
    if network.ends_in_boxes and isinstance(post, PostProcess):
        count = len(pictures)
        return [given_detections(post, network.of_one(pictures[n : n + 1])) for n in range(count)]
    outputs = network(pictures)
    if isinstance(post, PostProcess):
        return detections(post, outputs)
    return two_stage_detections(post, outputs, Network(HERE / "core2-model.tflite"))


def _stored(values: Floats, end: dict[str, Any]) -> NDArray[Any]:
    """Return what a file takes for real values."""
    scale, zero_point = end["quantization"]
    if end["dtype"] == np.float32:
        return np.ascontiguousarray(values)
    limits = np.iinfo(end["dtype"])
    steps = np.rint(values / np.float32(scale)) + zero_point
    stored: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(end["dtype"])
    return stored


def _real(values: NDArray[Any], end: dict[str, Any]) -> Floats:
    """Return the real values of what a file gives."""
    scale, zero_point = end["quantization"]
    reals = values.astype(np.float32)
    if end["dtype"] != np.float32 and scale > 0:
        reals = (reals - np.float32(zero_point)) * np.float32(scale)
    return np.ascontiguousarray(reals.transpose(0, 3, 1, 2)) if reals.ndim == 4 else reals


def main(path: str) -> None:
    """Print what is found in the pictures of a .npy file, a line a picture."""
    for found in detect(np.load(path, allow_pickle=False)):
        said = zip(found.boxes.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True)
        print([{"box": box, "class": kind, "score": score} for box, kind, score in said])  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
