"""onnxruntime's static quantization: runs in its own environment, see workbench.py.

Min-max of 100 images, uint8 activations (its CPU kernels' form), int8 weights, Q/DQ file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.peers.workbench import Bench, Predict, answer

IMAGES = 100


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration images, one at a time."""

    def __init__(self, images: list[torch.Tensor]) -> None:
        self.remaining = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next image by the input's name, or None after the last."""
        image = next(self.remaining, None)
        return None if image is None else {"images": image.numpy()}


def simulated(bench: Bench) -> Predict:
    """W8A8 per channel; what is judged computes the quantized graph in float."""
    path = _written(bench, per_channel=True)
    return _session(path, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)


def integer(bench: Bench) -> Predict:
    """The same file in onnxruntime's integer kernels."""
    path = _written(bench, per_channel=True)
    return _session(path, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)


def per_tensor(bench: Bench) -> Predict:
    """W8A8, one scale a weight tensor; computed in float."""
    path = _written(bench, per_channel=False)
    return _session(path, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)


def _written(bench: Bench, *, per_channel: bool) -> Path:
    exported, prepared = bench.folder / "float.onnx", bench.folder / "prepared.onnx"
    torch.onnx.export(
        bench.network,
        (torch.zeros(2, 3, 224, 224),),
        exported,
        dynamo=True,
        input_names=["images"],
        dynamic_shapes=({0: torch.export.Dim("n")},),
        external_data=False,
    )
    quant_pre_process(exported, prepared)
    quantized = bench.folder / "quantized.onnx"
    quantize_static(
        prepared,
        quantized,
        Reader(bench.batches(IMAGES, 1)),
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return quantized


def _session(path: Path, level: onnxruntime.GraphOptimizationLevel) -> Predict:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images.numpy()})[0]


if __name__ == "__main__":
    answer(
        {
            "per channel": simulated,
            "per channel, integer kernels": integer,
            "per tensor": per_tensor,
        },
        packages=("onnxruntime", "onnx"),
    )
