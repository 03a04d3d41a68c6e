"""What an integer kernel is made from, and the table of kernels.

Inside the twin a value is held *centered*: integer minus zero point, in a float32 tensor, where
every integer up to 2**24 is exact. A padded zero is then 0, and convolutions need no correction
terms.

Every op has one `prepare` function. It is called once, computes all constants, and returns the
kernel, a function on centered tensors. Where the targets' arithmetics differ, they stand side by
side in that one function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Node
from intaglio.numerics.spec import QuantParams
from intaglio.registry import Registry
from intaglio.targets.target import Target

Kernel = Callable[[Sequence[Tensor]], Tensor]


@dataclass(frozen=True, eq=False)
class Site:
    """One node, where it stands.

    Attributes:
        node: The node.
        inputs: Grid of each input.
        input_shapes: Shape of each input, first axis BATCH.
        output: Grid of the value made.
        weight: Integers of its weight, or None.
        bias: int64 of its bias, or None.
        weight_scale: float32 scales of the weight, [C_out] or [].
        weight_bits: Width of the weight's integers.
        target: Whose arithmetic to follow.
    """

    node: Node
    inputs: tuple[QuantParams, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    output: QuantParams
    target: Target
    weight: Tensor | None = None
    bias: Tensor | None = None
    weight_scale: Tensor | None = None
    weight_bits: int = 8

    @property
    def is_reference(self) -> bool:
        """Whether the target's kernels are LiteRT's reference kernels."""
        return self.target.arithmetic == "reference"

    def refuse(self, reason: str, try_instead: str) -> UnsupportedByTarget:
        """Return the error that says this node cannot be matched, addressed to the user's layer."""
        layer = self.node.source or self.node.name
        instead = f"{try_instead}, or keep it in float (--keep-float {layer})"
        return UnsupportedByTarget(
            layer, self.node.op, self.target.name, reason=reason, try_instead=instead
        )


FUSED_ACTIVATIONS: dict[tuple[float, float], str] = {
    (0.0, float("inf")): "RELU",
    (0.0, 6.0): "RELU6",
    (-1.0, 1.0): "RELU_N1_TO_1",
}
"""Clamps that the file has a word for. Any other is left to the saturation of the output's grid."""

KERNELS: Registry[Callable[[Site], Kernel]] = Registry("integer kernel")


def integer_kernel(op: str) -> Callable[[Callable[[Site], Kernel]], Callable[[Site], Kernel]]:
    """Return a decorator that files a prepare function as the kernel of `op`."""
    return KERNELS.register(op)


def activation_bounds(site: Site, *, built_in: bool = False) -> tuple[int, int]:
    """Return the lowest and highest centered integer that the node's fused activation lets through.

    XNNPACK rounds bound / scale + zero_point once, half to even; the reference kernels round
    bound / scale alone, half away from zero (kernels.md, section 2). An infinite bound is the end
    of the grid.

    Args:
        built_in: Whether the op runs outside the delegate; built-in kernels round as the reference.

    Raises:
        UnsupportedByTarget: If the file has no word for the clamp and the output's grid, shared
            with other values, is wider than it.
    """
    spec, zero = site.output.spec, site.output.zero
    activation = site.node.attrs.get("activation")
    if activation in FUSED_ACTIVATIONS:
        by_reference = built_in or site.is_reference
        low, high = (_bound(site, bound, by_reference) for bound in activation)
        return max(spec.qmin, low) - zero, min(spec.qmax, high) - zero
    if activation is not None:
        _refuse_wider_grid(site, activation)
    return spec.qmin - zero, spec.qmax - zero


def _refuse_wider_grid(site: Site, activation: tuple[float, float]) -> None:
    low, high = centered_range(site.output)
    step = float(site.output.step)
    if low * step < activation[0] - step or high * step > activation[1] + step:
        raise site.refuse(
            f"a clamp to {activation} whose result shares a wider grid with other values",
            "Clamp to (0, inf), (0, 6) or (-1, 1), or keep the value out of concatenations",
        )


def _bound(site: Site, real: float, by_reference: bool) -> int:
    spec, zero = site.output.spec, site.output.zero
    if np.isinf(real):
        return spec.qmin if real < 0 else spec.qmax
    steps = np.float32(real) / site.output.step
    if by_reference:
        if abs(float(steps)) + 128 >= 2**31:
            step = float(site.output.step)
            raise site.refuse(
                f"its result's scale {step:.3g} is too small for a clamp to {real:g}",
                "Leave the clamp out: the values never come near it",
            )
        return zero + int(np.sign(steps) * np.floor(np.abs(np.float64(steps)) + 0.5))
    return int(np.clip(np.rint(np.float32(steps + np.float32(zero))), -(2**20), 2**20))


def refuse_beyond_float32(site: Site, *ratios: np.float32) -> None:
    """Raise UnsupportedByTarget when a ratio of the node's scales is infinite or NaN in float32."""
    if not np.isfinite(ratios).all():
        scales = ", ".join(f"{float(params.step):.3g}" for params in site.inputs)
        raise site.refuse(
            f"the scales of its inputs ({scales}) and of its result ({float(site.output.step):.3g})"
            " are too far apart for float32",
            "Scale its inputs so that their ranges are less far apart from its result's",
        )


def refuse_other_grid(site: Site) -> None:
    """Raise UnsupportedByTarget when an input is not on the result's grid: integers are moved."""
    for params in site.inputs:
        if not params.same_grid(site.output):
            raise site.refuse("its inputs and its result are on different grids", "Report this")


def centered_range(params: QuantParams) -> tuple[int, int]:
    """Return the lowest and highest centered integer of a grid."""
    return params.spec.qmin - params.zero, params.spec.qmax - params.zero


def per_channel(values: Tensor, rank: int) -> Tensor:
    """Return [C] (or []) in a shape that broadcasts over axis 1 of `rank` axes."""
    if values.ndim == 0 or rank == 2:
        return values
    return values.reshape(1, -1, *[1] * (rank - 2))


def as_float(values: Tensor) -> Tensor:
    """Return int64 centered values as float32; exact, they are small."""
    return values.to(torch.float32)
