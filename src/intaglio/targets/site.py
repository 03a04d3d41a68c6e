"""What an integer kernel is made from, and what kernels of every runtime need.

Inside the twin a value is held *centered*: integer minus zero point, in a float32 tensor, where
every integer up to 2**24 is exact. A padded zero is then 0, and convolutions need no correction
terms.

Every op that a runtime computes in integers has one function that makes its kernel. It is called
once, computes all constants, and returns the kernel, a function on centered tensors.
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
from intaglio.ops.unknown_call import word_of

Kernel = Callable[[Sequence[Tensor]], Tensor]


@dataclass(frozen=True, eq=False)
class Site:
    """One node, where it stands.

    Attributes:
        node: The node.
        inputs: Grid of each input.
        input_shapes: Shape of each input, first axis BATCH.
        output: Grid of the value made.
        target: Name of the target whose arithmetic is followed, for messages.
        weight: Integers of its weight, or None.
        bias: int64 of its bias, or None.
        weight_scale: float32 scales of the weight, [C_out] or [].
        weight_bits: Width of the weight's integers.
    """

    node: Node
    inputs: tuple[QuantParams, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    output: QuantParams
    target: str
    weight: Tensor | None = None
    bias: Tensor | None = None
    weight_scale: Tensor | None = None
    weight_bits: int = 8

    def refuse(self, reason: str, try_instead: str) -> UnsupportedByTarget:
        """Return the error that says this node cannot be matched, addressed to the user's layer."""
        layer = self.node.source or self.node.name
        instead = f"{try_instead}, or keep it in float (--keep-float {layer})"
        return UnsupportedByTarget(
            layer,
            word_of(self.node),
            self.target,
            reason=reason,
            try_instead=instead,
            node=self.node.name,
        )


KernelMaker = Callable[[Site], Kernel]


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
