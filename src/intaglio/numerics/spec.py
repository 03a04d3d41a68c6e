"""What a quantized tensor is: the wish (`QuantSpec`) and what was found for it (`QuantParams`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from intaglio.errors import SpecError


@dataclass(frozen=True)
class QuantSpec:
    """How one tensor is to be quantized: a wish, made before any data is seen.

    Attributes:
        bits: Width of the stored integer, 2..16 (32 for accumulators and biases).
        signed: Whether the integer range includes negative numbers.
        symmetric: Whether the zero point is pinned to the integer 0.
        axis: The axis with one scale per index, or None for one scale per tensor.
        narrow: Whether to leave out the lowest integer (int8: -127..127).
    """

    bits: int = 8
    signed: bool = True
    symmetric: bool = False
    axis: int | None = None
    narrow: bool = False

    def __post_init__(self) -> None:
        if not (2 <= self.bits <= 16 or self.bits == 32):
            raise SpecError(f"bits must be 2..16 or 32, got {self.bits}")
        if self.symmetric and not self.signed:
            raise SpecError("symmetric=True needs signed=True: an unsigned range has no middle 0")

    @property
    def qmin(self) -> int:
        """The lowest integer of the grid."""
        return (-(2 ** (self.bits - 1)) if self.signed else 0) + self.narrow

    @property
    def qmax(self) -> int:
        """The highest integer of the grid."""
        return int(2 ** (self.bits - self.signed)) - 1


INT8_WEIGHT = QuantSpec(symmetric=True, axis=0, narrow=True)
INT8_WEIGHT_PER_TENSOR = QuantSpec(symmetric=True, narrow=True)
INT8_ACTIVATION = QuantSpec()


@dataclass(frozen=True, eq=False)
class QuantParams:
    """What was found for one tensor: real = scale * (integer - zero_point).

    Attributes:
        scale: float32, [] or [C] (along `spec.axis`), real units per integer step, > 0.
        zero_point: int32 of the same shape, within [spec.qmin, spec.qmax].
        spec: The integer grid.
    """

    scale: Tensor
    zero_point: Tensor
    spec: QuantSpec

    def __post_init__(self) -> None:
        if self.scale.shape != self.zero_point.shape:
            raise SpecError(f"scale {self.scale.shape} and zero_point {self.zero_point.shape}")
        if not bool((self.scale > 0).all()) or not bool(self.scale.isfinite().all()):
            raise SpecError(f"scales must be finite and > 0, got {self.scale.min().item()}")

    @property
    def step(self) -> np.float32:
        """The scale of a per-tensor grid as a numpy float32, the type that kernels compute in."""
        return np.float32(self.scale.item())

    @property
    def zero(self) -> int:
        """The zero point of a per-tensor grid as a Python integer."""
        return int(self.zero_point.item())

    def unsigned(self) -> QuantParams:
        """Return the grid of the same reals whose integers begin at 0: int8's are 128 higher."""
        shift = -self.spec.qmin + self.spec.narrow
        spec = replace(self.spec, signed=False, symmetric=False)
        return QuantParams(self.scale, self.zero_point + shift, spec)

    def same_grid(self, other: QuantParams) -> bool:
        """Whether both map integers to the same reals."""
        return (
            self.spec == other.spec
            and torch.equal(self.scale, other.scale)
            and torch.equal(self.zero_point, other.zero_point)
        )


def per_tensor(scale: float, zero_point: int, spec: QuantSpec = INT8_ACTIVATION) -> QuantParams:
    """Return per-tensor parameters from plain numbers; `scale` is rounded to float32."""
    return QuantParams(
        torch.tensor(scale, dtype=torch.float32), torch.tensor(zero_point, dtype=torch.int32), spec
    )
