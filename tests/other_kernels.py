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

    def noisy(x: Tensor, weight: Tensor, *others: Any, **named: Any) -> Tensor:
        y = layer(x, weight, *others, **named)
        if _is_traced(x) or y.dtype != torch.float32 or (_is_exact(x) and _is_exact(weight)):
            return y
        noise = _noise(y.shape, _circumstances(x) + _circumstances(weight))
        return y + ROUNDING * (y.detach().abs() + y.detach().abs().mean()) * noise

    return noisy


def _is_traced(x: Tensor) -> bool:
    return type(x) not in (Tensor, nn.Parameter) or _get_current_dispatch_mode() is not None


def _is_exact(values: Tensor) -> bool:
    """Whether all values are small whole multiples of a power of two, as a twin's integers are."""
    steps = values.detach() * EXACT_STEPS
    return bool((steps == steps.round()).all())


def _circumstances(tensor: Tensor) -> tuple[int, ...]:
    return (*tensor.shape, *tensor.stride(), tensor.data_ptr() % 64, torch.get_num_threads())


def _noise(shape: torch.Size, circumstances: tuple[int, ...]) -> Tensor:
    """Return -1, 0 or 1 for each value."""
    generator = torch.Generator().manual_seed(zlib.crc32(repr(circumstances).encode()))
    return torch.randint(-1, 2, shape, generator=generator)
