"""TensorFlow's SAME padding, which PyTorch's layers cannot express for strides above 1.

SAME asks for ceil(size / stride) outputs. The zeros that this takes depend on the input's size, and
when their number is odd the extra one goes behind (bottom, right); PyTorch's `padding=` is always
symmetric.
Source: TensorFlow's documentation of tf.nn, "Padding, SAME".
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.ops.padding import same_padding


class Conv2dSame(nn.Conv2d):
    """A Conv2d without `padding=`: it pads its input as TensorFlow's SAME does.

    Height and width must be plain integers while the module is exported (the batch may be
    symbolic): the amount of padding becomes a constant of the graph.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return [N, C_out, ceil(H / stride), ceil(W / stride)] of `input` [N, C_in, H, W]."""
        top, bottom = self._padding_along(0, input.shape[-2])
        left, right = self._padding_along(1, input.shape[-1])
        if top != bottom or left != right:
            input = F.pad(input, (left, right, top, bottom))
            top = left = 0
        return F.conv2d(
            input, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups
        )

    def _padding_along(self, axis: int, size: int) -> tuple[int, int]:
        return same_padding(
            size, self.kernel_size[axis], stride=self.stride[axis], dilation=self.dilation[axis]
        )


class MaxPool2dSame(nn.Module):
    """Max pooling over windows that SAME places; what is padded is never the largest."""

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C, ceil(H / stride), ceil(W / stride)] of `features` [N, C, H, W]."""
        padding, ceil_mode = _pool_padding(features, self.kernel_size, self.stride)
        return F.max_pool2d(features, self.kernel_size, self.stride, padding, ceil_mode=ceil_mode)


class AvgPool2dSame(nn.Module):
    """Average pooling over windows that SAME places; what is padded does not count."""

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C, ceil(H / stride), ceil(W / stride)] of `features` [N, C, H, W]."""
        padding, ceil_mode = _pool_padding(features, self.kernel_size, self.stride)
        return F.avg_pool2d(
            features,
            self.kernel_size,
            self.stride,
            padding,
            ceil_mode=ceil_mode,
            count_include_pad=False,
        )


def _pool_padding(features: Tensor, kernel_size: int, stride: int) -> tuple[tuple[int, int], bool]:
    """Return (height, width) to pad on both ends, and whether one more hangs over behind.

    PyTorch's pools say the odd rest of SAME by ceil_mode: a last window that is cut off. An axis
    without a rest is not changed by it: its windows end where its padding does, as long as the
    kernel is no smaller than the stride.
    """
    (top, bottom), (left, right) = (
        same_padding(size, kernel_size, stride=stride) for size in features.shape[-2:]
    )
    return (top, left), (top, left) != (bottom, right)
