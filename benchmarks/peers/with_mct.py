"""Sony's Model Compression Toolkit: runs in its own environment, see workbench.py.

Post-training quantization on 50 images with everything its default, for its default device:
power-of-two activation ranges by least squares, its own bias correction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import benchmarks.peers.torchvision_without_operators  # noqa: F401

# isort: split
import model_compression_toolkit as mct
import numpy as np
from model_compression_toolkit.target_platform_capabilities.constants import KERNEL_ATTR
from model_compression_toolkit.target_platform_capabilities.tpc_models.imx500_tpc.v1_0 import tpc

from benchmarks.peers.workbench import Bench, Predict, answer

IMAGES, BATCH = 50, 10


def per_channel(bench: Bench) -> Predict:
    """W8A8 with weights per output channel, the default."""
    return _quantized(bench)


def per_tensor(bench: Bench) -> Predict:
    """W8A8 with one threshold a weight tensor."""
    base, _, default = tpc.get_op_quantization_configs()
    whole = base.clone_and_edit(
        attr_to_edit={KERNEL_ATTR: {"weights_per_channel_threshold": False}}
    )
    device = tpc.generate_tpc(default, whole, [whole], "one threshold a tensor")
    return _quantized(bench, target_platform_capabilities=device)


def _quantized(bench: Bench, **options: Any) -> Predict:
    def images() -> Iterator[list[np.ndarray]]:
        yield from ([batch.numpy()] for batch in bench.batches(IMAGES, BATCH))

    network, _ = mct.ptq.pytorch_post_training_quantization(bench.network, images, **options)
    return network


if __name__ == "__main__":
    answer(
        {"per channel": per_channel, "per tensor": per_tensor},
        packages=("model-compression-toolkit",),
    )
