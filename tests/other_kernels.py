"""Float kernels of nobody's: last bits that depend on all that those of some processor depend on.

Which kernel computes a layer, and in which order it adds, depends on the processor, the images at
once, the address and the layout of what it reads, and the threads. A test that compares such
results bit for bit may pass for years on one machine. With INTAGLIO_TEST_KERNELS=other every layer
with weights gets noise in its last bits that is the same for equal circumstances, and another for
others: what holds then holds on any machine. Sums that are exact in any order stay exact.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

LAYERS = ("conv1d", "conv2d", "conv_transpose2d", "linear")
ROUNDING = 2.0**-23
"""Twice the rounding of one float32 operation."""
EXACT_STEPS = 2.0**12


def use_other_kernels() -> None:
    """Replace torch's layers by layers with noise."""
    for name in LAYERS:
        setattr(F, name, with_noise(getattr(F, name)))


def with_noise(layer: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the layer with noise in its last bits, unless its sums are exact in any order."""

    def noisy(x: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **named: Any):
        y = layer(x, weight, bias, *rest, **named)
        if _is_traced(x) or y.dtype != torch.float32 or _is_exact(x, weight, bias):
            return y
        with torch.no_grad():
            terms = layer(x.abs(), weight.abs(), None, *rest, **named)
        return y + ROUNDING * terms * _noise(y.shape, _circumstances(x) + _circumstances(weight))

    return noisy


def _is_traced(x: Tensor) -> bool:
    is_plain = type(x) in (Tensor, nn.Parameter) and x.device.type == "cpu"
    return not is_plain or _get_current_dispatch_mode() is not None


def _is_exact(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether any order gives the same: sums of small integers, or of one number and zeros."""
    return (_are_steps(x) and _are_steps(weight)) or (
        bias is None and (_picks(x) or _picks(weight))
    )


def _picks(values: Tensor) -> bool:
    """Whether each row, of an image or an output channel, is one power of two and zeros."""
    rows = values.detach().flatten(1)
    is_single = bool(((rows != 0).sum(1) <= 1).all())
    return is_single and _are_steps(rows.abs().log2() / EXACT_STEPS)


def _are_steps(values: Tensor) -> bool:
    """Whether all values but infinities are small whole multiples of one power of two."""
    steps = values.detach()[values.isfinite()] * EXACT_STEPS
    return bool((steps == steps.round()).all())


def _circumstances(tensor: Tensor) -> tuple[int, ...]:
    steps = [n for n, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]
    return (*tensor.shape, *steps, tensor.data_ptr() % 64, torch.get_num_threads())


def _noise(shape: torch.Size, circumstances: tuple[int, ...]) -> Tensor:
    """Return -1, 0 or 1 for each value."""
    generator = torch.Generator().manual_seed(zlib.crc32(repr(circumstances).encode()))
    return torch.randint(-1, 2, shape, generator=generator)
