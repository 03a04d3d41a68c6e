"""Brevitas: runs in its own environment, see workbench.py.

The steps of its own ImageNet example, layer by layer: cross-layer equalization, calibration on 50
images at the percentile 99.99, [GPTQ,] bias correction. Asymmetric activations, int32 biases. ReLU6
is kept: its default, to replace it by ReLU, costs accuracy on this network.
"""

from __future__ import annotations

import torch
from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize
from brevitas.inject import value
from brevitas_examples.imagenet_classification.ptq import ptq_common
from torch import nn

from benchmarks.peers.workbench import Bench, Predict, answer

IMAGES, BATCH = 50, 10
EQUALIZATION_SWEEPS = 20
PERCENTILE = 99.99


def per_channel(bench: Bench) -> Predict:
    """W8A8 with weights per output channel."""
    return _quantized(bench, "per_channel")


def per_tensor(bench: Bench) -> Predict:
    """W8A8 with one scale a weight tensor."""
    return _quantized(bench, "per_tensor")


def four_bits(bench: Bench) -> Predict:
    """W4A8 with GPTQ: pointwise layers and classifier 4 bits per channel, the others 8."""
    return _quantized(bench, "per_channel", bits=4)


def _quantized(bench: Bench, granularity: str, bits: int = 8) -> Predict:
    equalized = preprocess_for_quantize(
        bench.network, relu6_to_relu=False, equalize_iters=EQUALIZATION_SWEEPS
    )

    @value
    def weight_bits(module: nn.Module) -> int:
        is_kernel = isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)
        return 8 if is_kernel else bits

    _, layers, _, _ = ptq_common.create_quant_maps(
        dtype=torch.float32,
        weight_bit_width=weight_bits,
        act_bit_width=8,
        bias_bit_width=32,
        weight_param_method="stats",
        weight_scale_type="float_scale",
        weight_quant_type="sym",
        weight_quant_granularity=granularity,
        weight_narrow_range=True,
        weight_quant_format="int",
        act_quant_format="int",
        act_scale_type="float_scale",
        act_scale_computation_type="static",
        act_param_method="stats",
        act_quant_type="asym",
        act_quant_granularity="per_tensor",
        act_quant_percentile=PERCENTILE,
    )
    network = layerwise_quantize(equalized, compute_layer_map=layers)
    _tune(network, [(batch, None) for batch in bench.batches(IMAGES, BATCH)], gptq=bits < 8)
    return network.eval()


def _tune(network: nn.Module, loader: list[tuple[torch.Tensor, None]], *, gptq: bool) -> None:
    with torch.no_grad():
        network(loader[0][0])  # some quantizers take their first scale from a forward pass
    ptq_common.calibrate(loader, network)
    if gptq:
        ptq_common.apply_gptq(loader, network, act_order=True, create_weight_orig=True)
    ptq_common.apply_bias_correction(loader, network)


if __name__ == "__main__":
    answer(
        {"per channel": per_channel, "per tensor": per_tensor, "4 bits": four_bits},
        packages=("brevitas",),
    )
