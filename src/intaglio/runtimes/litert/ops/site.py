"""Where a kernel of LiteRT stands: the site, and which of its two arithmetics is followed.

Each op has one `prepare` function, in which the two stand side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from intaglio.registry import Registry
from intaglio.targets.site import Kernel, KernelMaker, Site, centered_range
from intaglio.targets.target import Target

Arithmetic = Literal["xnnpack", "reference"]
"""Of the delegate that runs by default, or of the kernels that microcontrollers follow."""
WIDEST = 8
"""Bits of values and weights that the formulas were found and proved for."""


def arithmetic_of(target: Target) -> Arithmetic:
    """Return which of the two a target's kernels follow; that of the delegate unless it says so."""
    found: Arithmetic = getattr(target, "arithmetic", "xnnpack")
    return found


@dataclass(frozen=True, eq=False)
class LitertSite(Site):
    """One node, where it stands in a file of LiteRT.

    Attributes:
        arithmetic: Which of the two is followed.
    """

    arithmetic: Arithmetic = "xnnpack"

    @property
    def is_reference(self) -> bool:
        """Whether the kernels are LiteRT's reference kernels."""
        return self.arithmetic == "reference"


Prepare = Callable[[LitertSite], Kernel]
KERNELS: Registry[Prepare] = Registry("integer kernel")


def integer_kernel(op: str) -> Callable[[Prepare], Prepare]:
    """Return a decorator that files a prepare function as the kernel of `op`."""
    return KERNELS.register(op)


def kernels_of(arithmetic: Arithmetic) -> dict[str, KernelMaker]:
    """Return every op's kernel in one of the two arithmetics."""
    return {op: _maker(KERNELS[op], arithmetic) for op in KERNELS}


def _maker(prepare: Prepare, arithmetic: Arithmetic) -> KernelMaker:
    def make(site: Site) -> Kernel:
        """Return the op's kernel in this arithmetic; refuse values of more than 8 bits."""
        wide = [site.weight_bits, *(grid.spec.bits for grid in (site.output, *site.inputs))]
        if max(wide) > WIDEST:
            raise site.refuse(
                f"integers of {max(wide)} bits, whose arithmetic is not matched",
                "Use a scheme of 8",
            )
        plain = {part.name: getattr(site, part.name) for part in fields(Site)}
        return prepare(LitertSite(**plain, arithmetic=arithmetic))

    return make


FUSED_ACTIVATIONS: dict[tuple[float, float], str] = {
    (0.0, float("inf")): "RELU",
    (0.0, 6.0): "RELU6",
    (-1.0, 1.0): "RELU_N1_TO_1",
}
"""Clamps that the file has a word for. Any other is left to the saturation of the output's grid."""


def activation_bounds(site: LitertSite, *, built_in: bool = False) -> tuple[int, int]:
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


def _refuse_wider_grid(site: LitertSite, activation: tuple[float, float]) -> None:
    low, high = centered_range(site.output)
    step = float(site.output.step)
    if low * step < activation[0] - step or high * step > activation[1] + step:
        raise site.refuse(
            f"a clamp to {activation} whose result shares a wider grid with other values",
            "Clamp to (0, inf), (0, 6) or (-1, 1), or keep the value out of concatenations",
        )


def _bound(site: LitertSite, real: float, by_reference: bool) -> int:
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
