"""Layers that skip pixels of their input in place of a stride: maps stay fine, weights the same.

Source: Chen et al. 2018, arXiv:1606.00915, section 3.1. The layer whose stride is dropped keeps the
rate of those before it, and all behind it have twice that rate.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from intaglio.errors import RequestError
from intaglio.zoo.padding import Conv2dSame

STRIDES = (8, 16, 32)


def make_atrous(
    layers: Iterable[nn.Module], output_stride: int, *, network: str, at_once: bool = False
) -> None:
    """Change `layers`, run one behind the other, to divide height and width by `output_stride`.

    Strides that would divide by more become 1, and kernels behind them are dilated; both kinds of
    padding go with it. A 1x1 convolution with a stride stands beside one that was seen before it.

    Args:
        layers: Changed in place.
        output_stride: One of STRIDES.
        network: Whose name stands in the message.
        at_once: Whether a layer whose stride is dropped has the rate of those behind it already, as
            in torchvision's MobileNetV3.

    Raises:
        RequestError: If `output_stride` is not among STRIDES.
    """
    if output_stride not in STRIDES:
        choices = ", ".join(str(one) for one in STRIDES)
        raise RequestError(
            f"{network}: output_stride must be one of {choices}, got {output_stride!r}"
        )
    stride = rate = 1
    for module in _strided(layers):
        steps, size = _pair(module.stride)[0], _pair(module.kernel_size)[0]
        wide = size > 1
        kept = stride * steps <= output_stride if wide else rate == 1
        before = rate
        if wide and kept:
            stride *= steps
        elif wide:
            rate *= steps
        if isinstance(module, nn.Conv2d):
            _dilate(module, rate if at_once else before, strided=kept)


def _strided(layers: Iterable[nn.Module]) -> Iterable[nn.Conv2d | nn.MaxPool2d]:
    for layer in layers:
        for module in layer.modules():
            if isinstance(module, nn.Conv2d | nn.MaxPool2d):
                yield module


def _dilate(convolution: nn.Conv2d, rate: int, *, strided: bool) -> None:
    height, width = convolution.kernel_size
    if not strided:
        convolution.stride = (1, 1)
    if (height, width) == (1, 1):
        return
    convolution.dilation = (rate, rate)
    if not isinstance(convolution, Conv2dSame):  # which pads by its stride and rate
        convolution.padding = (rate * (height // 2), rate * (width // 2))


def _pair(value: int | tuple[int, ...] | None) -> tuple[int, ...]:
    if isinstance(value, tuple):
        return value
    return (value or 1,) * 2
