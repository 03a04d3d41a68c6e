"""What the networks of the zoo share: convolution, norm and activation; channel rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from intaglio.errors import RequestError
from intaglio.zoo.padding import Conv2dSame


@dataclass(frozen=True)
class Convention:
    """What the framework that a network was trained in takes for granted.

    Attributes:
        same_padding: TensorFlow's SAME padding instead of PyTorch's symmetric one.
        norm_eps: What batch norm adds to the variance.
        norm_momentum: The weight of a new batch in batch norm's running statistics.
    """

    same_padding: bool = False
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1


PYTORCH = Convention()
TENSORFLOW = Convention(same_padding=True, norm_eps=1e-3)

# What a layer's initial weights are multiplied by so that its output keeps the size of its input.
LINEAR_GAIN = 1.0
RELU_GAIN = math.sqrt(2)  # half of a centred signal is cut off; also for hard-swish


@dataclass(frozen=True)
class ConvNorm:
    """One convolution with its batch norm and activation, before it is built.

    Attributes:
        kernel_size: Height and width of the kernel, odd, in pixels.
        stride: Step of the kernel, in pixels.
        depthwise: One group for each channel.
        activation: Makes the activation module, or None for a linear layer.
        gain: Standard deviation of the initial weights, times the root of the fan-in.
        norm: Whether there is a batch norm.
        bias: Whether the convolution adds one.
    """

    kernel_size: int
    stride: int = 1
    depthwise: bool = False
    activation: Callable[[], nn.Module] | None = nn.ReLU6
    gain: float = RELU_GAIN
    norm: bool = True
    bias: bool = False

    def build(
        self, in_channels: int, out_channels: int, *, convention: Convention
    ) -> nn.Sequential:
        """Return Sequential(convolution[, norm][, activation]): torchvision's keys 0, 1, 2."""
        layers: list[nn.Module] = [
            self.convolution(in_channels, out_channels, convention=convention)
        ]
        if self.norm:
            eps, momentum = convention.norm_eps, convention.norm_momentum
            layers.append(nn.BatchNorm2d(out_channels, eps=eps, momentum=momentum))
        if self.activation is not None:
            layers.append(self.activation())
        return nn.Sequential(*layers)

    def convolution(
        self, in_channels: int, out_channels: int, *, convention: Convention
    ) -> nn.Conv2d:
        """Return the convolution alone."""
        # at stride 1 and an odd kernel SAME is symmetric
        asymmetric = convention.same_padding and self.stride > 1
        kind = Conv2dSame if asymmetric else nn.Conv2d
        convolution = kind(
            in_channels,
            out_channels,
            self.kernel_size,
            stride=self.stride,
            padding=0 if asymmetric else self.kernel_size // 2,
            groups=in_channels if self.depthwise else 1,
            bias=self.bias,
        )
        initialize(convolution, self.gain)
        return convolution


@dataclass(frozen=True)
class Style:
    """Which layers a MobileNet is built of.

    Attributes:
        convention: Padding and batch norms.
        activation: Of all layers that have one; of MobileNetV3 where the paper has hard-swish.
        depthwise_norm: Whether a norm and an activation stand behind each depthwise convolution;
            else it and the pointwise convolution behind it are one linear map, with one norm.
        expansion_norm: Whether the pointwise convolution in front of a depthwise one has a norm;
            else it has a bias in its place.
        squeeze_excite: Whether the blocks that have squeeze-excite in the paper have it.
    """

    convention: Convention = PYTORCH
    activation: Callable[[], nn.Module] = nn.ReLU6
    depthwise_norm: bool = True
    expansion_norm: bool = True
    squeeze_excite: bool = True

    def expansion(self, activation: Callable[[], nn.Module]) -> ConvNorm:
        """Return the pointwise convolution that makes the channels of a depthwise one."""
        norm = self.expansion_norm
        return ConvNorm(1, activation=activation, norm=norm, bias=not norm)

    def depthwise(
        self, kernel_size: int, stride: int, activation: Callable[[], nn.Module]
    ) -> ConvNorm:
        """Return the convolution that filters each channel, `activation` behind it or none."""
        if self.depthwise_norm:
            return ConvNorm(kernel_size, stride, True, activation)
        return ConvNorm(kernel_size, stride, True, None, LINEAR_GAIN, norm=False)


QUANTIZATION_FRIENDLY = Style(activation=nn.ReLU, depthwise_norm=False)
"""Layers whose integers lose less with one scale a tensor.

A norm that is folded into a depthwise convolution multiplies channels that are nearly always zero
by large factors, and these few then set the scale of all; and ReLU6 cuts off early signals.
Sources: Sheng et al. 2018, arXiv:1803.08607; Kulkarni et al. 2021, QF-MobileNet. Whether
their norm behind the expansion stays is not stated: here it does, unless `expansion_norm` is False.
"""


def linear(in_features: int, out_features: int, gain: float = LINEAR_GAIN) -> nn.Linear:
    """Return a fully connected layer, initialized as `initialize` does."""
    layer = nn.Linear(in_features, out_features)
    initialize(layer, gain)
    return layer


def initialize(layer: nn.Conv2d | nn.Linear, gain: float) -> None:
    """Draw the weights from a normal distribution of gain / sqrt(fan-in), and set the bias to 0.

    Unlike the fan-out of torchvision, this keeps the size of the signal in depthwise layers and
    without batch statistics, so that an untrained network in evaluation mode still sees its input.
    """
    fan_in = layer.weight[0].numel()  # C_in / groups * kH * kW
    nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def rounded_channels(channels: float, divisor: int = 8) -> int:
    """Return the multiple of `divisor` nearest to `channels`, never below 90 % of `channels`.

    Source: the rule of the MobileNetV2 and V3 authors' code, which torchvision follows.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def check_arguments(network: str, *, width: float, num_classes: int) -> None:
    """Raise RequestError unless `width` is a number > 0 and `num_classes` an integer >= 1."""
    is_number = isinstance(width, int | float) and not isinstance(width, bool)
    if not is_number or not math.isfinite(width) or width <= 0:
        raise RequestError(f"{network}: width must be a number above 0 such as 0.5, got {width!r}")
    check_num_classes(network, num_classes)


def check_num_classes(network: str, num_classes: int) -> None:
    """Raise RequestError unless `num_classes` is an integer >= 1."""
    is_integer = isinstance(num_classes, int) and not isinstance(num_classes, bool)
    if not is_integer or num_classes < 1:
        raise RequestError(
            f"{network}: num_classes must be an integer of at least 1, got {num_classes!r}"
        )
