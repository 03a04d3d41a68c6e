"""TensorFlow's SAME padding along one axis."""

from __future__ import annotations


def same_padding(size: int, kernel_size: int, *, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return how many zeros SAME puts before and behind one axis of `size` pixels.

    outputs = ceil(size / stride)
    total   = max((outputs - 1) * stride + (kernel_size - 1) * dilation + 1 - size, 0)
    before  = floor(total / 2),  behind = total - before
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel_size - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2
