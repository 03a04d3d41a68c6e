"""TensorFlow's SAME padding, which PyTorch's convolution cannot express for strides above 1.

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
