"""NNCF (OpenVINO backend): runs in its own environment, see workbench.py.

Accurate bias correction on 300 images, mixed preset (activations asymmetric where they need it),
everything else its default. Judged in OpenVINO, float32 where it is not integer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nncf
import openvino
import torch
from torch import Tensor

from benchmarks.peers.workbench import Bench, Predict, answer

IMAGES = 300
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


def per_channel(bench: Bench, overflow_fix: Any = None) -> Predict:
    """W8A8 with weights per output channel."""
    return _quantized(bench, nncf.AdvancedQuantizationParameters(overflow_fix=overflow_fix))


def no_overflow_fix(bench: Bench) -> Predict:
    """The same without the first layer in half range, which machines with VNNI do not need."""
    return per_channel(bench, nncf.OverflowFix.DISABLE)


def per_tensor(bench: Bench) -> Predict:
    """W8A8 with one scale a weight tensor, no half range."""
    weights = nncf.QuantizationParameters(per_channel=False)
    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.DISABLE, weights_quantization_params=weights
    )
    return _quantized(bench, advanced)


def _quantized(bench: Bench, advanced: Any) -> Predict:
    example = torch.zeros(1, 3, 224, 224)
    model = openvino.convert_model(bench.network, example_input=example, input=[-1, 3, 224, 224])
    images = [batch.numpy() for batch in bench.batches(IMAGES, 1)]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(images),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=IMAGES,
        fast_bias_correction=False,
        advanced_parameters=advanced,
    )
    return _runner(openvino.Core().compile_model(quantized, "CPU", FLOAT32))


def _runner(compiled: Any) -> Callable[[Tensor], Any]:
    return lambda images: compiled(images.numpy())[0]


if __name__ == "__main__":
    answer(
        {
            "per channel": per_channel,
            "per channel, no overflow fix": no_overflow_fix,
            "per tensor": per_tensor,
        },
        packages=("nncf", "openvino"),
    )
