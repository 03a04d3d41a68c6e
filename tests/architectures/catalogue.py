"""All test architectures by name, with random weights from a seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import torch
from torch import Tensor, nn

from architectures import cells, constructs, dense_prediction, mobile, residual, transformer
from intaglio import zoo

Architecture = tuple[Callable[[], nn.Module], tuple[int, ...]]
"""A factory of the network in eval mode, and the shape [1, 3, H, W] of its input."""

SMALL, LARGE = (1, 3, 32, 32), (1, 3, 48, 64)
ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet": (residual.resnet, LARGE),
    "resnext": (residual.resnext, SMALL),
    "resnet_preactivation": (residual.resnet_preactivation, SMALL),
    "densenet": (residual.densenet, LARGE),
    "regnet_y": (residual.regnet_y, SMALL),
    "squeezenet": (mobile.squeezenet, LARGE),
    "shufflenet_v2": (mobile.shufflenet_v2, LARGE),
    "ghostnet": (mobile.ghostnet, SMALL),
    "mnasnet": (mobile.mnasnet, SMALL),
    "efficientnet_lite": (mobile.efficientnet_lite, SMALL),
    "efficientnet": (mobile.efficientnet, SMALL),
    "fbnet": (mobile.fbnet, SMALL),
    "mixnet": (mobile.mixnet, SMALL),
    "mobilenet_manual": (mobile.mobilenet_manual, SMALL),
    "googlenet": (cells.googlenet, LARGE),
    "inception_v3": (cells.inception_v3, SMALL),
    "repvgg": (cells.repvgg, SMALL),
    "mobileone": (cells.mobileone, SMALL),
    "nasnet": (cells.nasnet, SMALL),
    "unet": (dense_prediction.UNet, SMALL),
    "feature_pyramid": (dense_prediction.FeaturePyramid, SMALL),
    "path_aggregation": (dense_prediction.PathAggregation, SMALL),
    "spatial_pyramid_pooling": (dense_prediction.SpatialPyramidPooling, SMALL),
    "deeplab": (dense_prediction.DeepLab, LARGE),
    "lite_reduced_aspp": (dense_prediction.LiteReducedAspp, LARGE),
    "ssd_head": (dense_prediction.SsdHead, SMALL),
    "yolo_like": (dense_prediction.YoloLike, SMALL),
    "edsr": (dense_prediction.Edsr, SMALL),
    "mobilevit": (transformer.MobileVit, SMALL),
    "convnext": (transformer.convnext, SMALL),
    "functional": (constructs.Functional, SMALL),
    "reused": (constructs.Reused, SMALL),
    "in_place": (constructs.InPlace, SMALL),
    "containers": (constructs.Containers, SMALL),
    "convolution_forms": (constructs.ConvolutionForms, SMALL),
    "pool_forms": (constructs.PoolForms, SMALL),
    "returns_tuple": (constructs.ReturnsTuple, SMALL),
    "returns_dict": (constructs.ReturnsDict, SMALL),
    "constant_buffer": (constructs.ConstantBuffer, SMALL),
    "vocabulary": (constructs.Vocabulary, SMALL),
    "choices": (constructs.Choices, SMALL),
    "unknown_ops": (constructs.UnknownOps, SMALL),
    "views": (constructs.Views, SMALL),
}
ZOO_ARGUMENTS = {
    "resnet20_cifar10": {},
    "nasnet_mobile": {"width": 0.25, "repeats": 1},
    "pnasnet5_mobile": {"width": 0.25, "repeats": 1},
}
"""Arguments of zoo networks that are not built at a quarter of their `width` alone."""
DETECTORS = {"ssd_mobilenet_v1", "yolov3_nano_mobilenet_v2"}
SEGMENTERS = {"deeplabv3_mobilenet_v2"}
TRIED_ELSEWHERE = {
    "nasnet_mobile",
    "mobilenet_v2_spp",
    *(name for name in zoo.names() if name.startswith("qf_")),
    *(name for name in zoo.names("detect") if name not in DETECTORS),
    *(name for name in zoo.names("segment") if name not in SEGMENTERS),
}
"""Zoo networks of layers each of which another one here has: tests/zoo has them."""


def architectures() -> dict[str, Architecture]:
    """Return every test architecture and every zoo network: name to (factory, input shape).

    A factory gives the same weights each time it is called. Zoo networks are called "zoo.<name>",
    are a quarter of their width, of cells the fewest, and take 64 x 64 pixels.
    """
    found = {name: (_seeded(name, build), shape) for name, (build, shape) in ARCHITECTURES.items()}
    for name in (one for one in zoo.names() if one not in TRIED_ELSEWHERE):
        found[f"zoo.{name}"] = (_seeded(name, _zoo_factory(name)), (1, 3, 64, 64))
    return found


def images(shape: tuple[int, ...], batch: int, seed: int = 0) -> Tensor:
    """Return normal random images [batch, 3, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, *shape[1:]), generator=generator)


def _zoo_factory(name: str) -> Callable[[], nn.Module]:
    arguments = ZOO_ARGUMENTS.get(name, {"width": 0.25})
    return lambda: zoo.ZOO[name].build(**arguments)


def _seeded(name: str, build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def factory() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(zlib.crc32(name.encode()))
            module = build()
            _randomize_batch_norms(module)
        return module.eval()

    return factory


def _randomize_batch_norms(module: nn.Module) -> None:
    """Give batch norms what training would: uneven means, variances and gains, some negative."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0.0, 0.2)
            layer.running_var.uniform_(0.3, 2.0)
            nn.init.normal_(layer.weight, 1.0, 0.4)
            nn.init.normal_(layer.bias, 0.0, 0.2)
