"""AIMET: runs in its own environment, see workbench.py.

Min-max ranges of 100 images, the default configuration for weights per channel. Its fusion of
convolution and ReLU6 passes over depthwise layers; their inner quantizers are removed by hand, to
its advantage. It has no bias correction.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import benchmarks.peers.torchvision_without_operators  # noqa: F401

# isort: split
import aimet_torch
import torch
from aimet_torch import quantsim
from aimet_torch._base.adaround import adaround_optimizer
from aimet_torch.adaround import Adaround, AdaroundParameters
from aimet_torch.batch_norm_fold import fold_all_batch_norms
from aimet_torch.common.defs import QuantScheme
from aimet_torch.cross_layer_equalization import equalize_model
from aimet_torch.nn.modules.custom import Add
from torch import nn

from benchmarks.peers.network import Block
from benchmarks.peers.workbench import Bench, Predict, answer

IMAGES, BATCH = 100, 10
EXAMPLE = torch.zeros(1, 3, 224, 224)
SHAPE = (1, 3, 224, 224)
CONFIGURATIONS = Path(aimet_torch.__file__).parent / "common" / "quantsim_config"
PER_CHANNEL = str(CONFIGURATIONS / "default_config_per_channel.json")
PER_TENSOR = str(CONFIGURATIONS / "default_config.json")
# AdaRound far below its documented budget (2000 images, 15000 iterations of 32 images for each
# layer), which would take days on one core: what comes out is a lower bound of the tool.
ROUNDED_IMAGES, ROUNDED_BATCH, ITERATIONS = 64, 4, 500
RATE = 1e-2  # ten times its own, for so few iterations


def per_channel(bench: Bench) -> Predict:
    """W8A8 with weights per output channel."""
    network = _folded(bench)
    return _calibrated(_simulator(network, PER_CHANNEL), bench)


def per_tensor(bench: Bench) -> Predict:
    """W8A8 with one scale a weight tensor, after cross-layer equalization."""
    network = _folded(bench)
    equalize_model(network, SHAPE)
    return _calibrated(_simulator(network, PER_TENSOR), bench)


def four_bits(bench: Bench) -> Predict:
    """W4A8 with AdaRound: pointwise layers and classifier 4 bits per channel, the others 8."""
    network = _folded(bench)
    images = bench.batches(ROUNDED_IMAGES, ROUNDED_BATCH)
    adaround_optimizer.BATCH_SIZE = ROUNDED_BATCH  # no argument leads there, nor to the rate
    torch.optim.Adam = partial(torch.optim.Adam, lr=RATE)
    parameters = AdaroundParameters(
        images, len(images), ITERATIONS, forward_fn=lambda model, batch: model(batch)
    )
    kernels = [layer for layer in network.modules() if _is_kernel(layer)]
    rounded = Adaround.apply_adaround(
        network,
        EXAMPLE,
        parameters,
        path=str(bench.folder),
        filename_prefix="rounded",
        default_param_bw=4,
        param_bw_override_list=[(layer, 8) for layer in kernels],
        default_quant_scheme=QuantScheme.min_max,
        default_config_file=PER_CHANNEL,
    )
    simulator = _simulator(rounded, PER_CHANNEL, bits=4)
    for layer in simulator.model.modules():
        if _is_kernel(layer):
            layer.param_quantizers["weight"].bitwidth = 8
    simulator.set_and_freeze_param_encodings(str(bench.folder / "rounded.encodings"))
    return _calibrated(simulator, bench)


def _folded(bench: Bench) -> nn.Module:
    for block in bench.network.modules():
        if isinstance(block, Block) and block.add is not None:
            block.add = Add()  # the sum that it knows how to quantize
    fold_all_batch_norms(bench.network, SHAPE)
    return bench.network


def _simulator(network: nn.Module, configuration: str, bits: int = 8) -> Any:
    simulator = quantsim.QuantizationSimModel(
        network,
        EXAMPLE,
        quant_scheme=QuantScheme.min_max,
        default_output_bw=8,
        default_param_bw=bits,
        config_file=configuration,
    )
    for layer in simulator.model.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            layer.output_quantizers[0] = None  # the ReLU6 behind has its own
        if isinstance(layer, nn.ZeroPad2d):
            layer.output_quantizers[0] = None  # zeros are on every grid
    return simulator


def _calibrated(simulator: Any, bench: Bench) -> Predict:
    def show(model: nn.Module, batches: list[torch.Tensor]) -> None:
        with torch.inference_mode():
            for batch in batches:
                model(batch)

    simulator.compute_encodings(show, bench.batches(IMAGES, BATCH))
    network: Predict = simulator.model
    return network


def _is_kernel(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1)


if __name__ == "__main__":
    answer(
        {"per channel": per_channel, "per tensor": per_tensor, "4 bits": four_bits},
        packages=("aimet-torch",),
    )
