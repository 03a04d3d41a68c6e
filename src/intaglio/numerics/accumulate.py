"""Exact integer convolutions on float units.

float32 holds every integer up to 2**24. A sum of products is exact in float32, whatever the order
of summation and with or without fused multiply-add, when no partial sum can leave that range; every
partial sum is a sum over a subset of the terms, so the sums of all positive and of all negative
terms bound it. Where the bound does not hold, float64 (exact to 2**53) is used instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

FLOAT32_EXACT = 2**24
AUTOCAST = ("cpu", "cuda", "mps", "xpu")
"""Kinds of devices for which torch.autocast may be on, each for itself."""


def largest_partial_sum(weight: Tensor, low: int, high: int) -> Tensor:
    """Return the largest |partial sum| of each output channel, [C_out] float64.

    Args:
        weight: Integers, [C_out, ...] any shape behind the first axis.
        low, high: Range of the inputs minus their zero point; low <= 0 <= high.
    """
    rows = weight.double().flatten(1)
    positive = torch.maximum(rows * high, rows * low).clamp(min=0).sum(1)
    negative = torch.minimum(rows * high, rows * low).clamp(max=0).sum(1)
    return torch.maximum(positive, -negative)


@contextmanager
def exact_float32() -> Iterator[None]:
    """Keep torch from algorithms whose float32 sums are not exact.

    It can be told to use bfloat16 or TF32 inside; autocast rounds what goes in; and its NNPACK
    convolutions, taken for 16 images or more where there is no oneDNN, use Winograd's algorithm,
    which multiplies fractions.
    """
    backend: Any = torch.backends.mkldnn  # torch's types do not know its `conv` and `matmul`
    saved = backend.conv.fp32_precision, backend.matmul.fp32_precision
    try:
        backend.conv.fp32_precision = backend.matmul.fp32_precision = "ieee"
        with torch.backends.nnpack.flags(enabled=False), ExitStack() as stack:
            for kind in AUTOCAST:
                if torch.is_autocast_enabled(kind):
                    stack.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        backend.conv.fp32_precision, backend.matmul.fp32_precision = saved
