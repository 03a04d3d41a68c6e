"""Layers whose weights LiteRT runs at 4 or 2 bits: those that are one matrix product.

FULLY_CONNECTED takes packed int4 and int2 weights, and a pointwise convolution is one over the last
axis of [N, H, W, C]. Convolutions with a window do not run at low bits in the delegate. It asks for
rows of whole bytes: an even number of input channels at 4 bits, a multiple of 4 at 2 bits. Other
rows go to a built-in kernel that computes other bits on each processor (kernels.md, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

from intaglio.ir.graph import Node

PACKED_BITS = (4, 2)


def runs_as_matrix(node: Node, shape: Sequence[int], bits: int) -> bool:
    """Whether a layer runs as FULLY_CONNECTED with a packed weight of `bits`.

    Args:
        shape: Of its weight, [C_out, C_in / groups, kH, kW] or [C_out, C_in].
    """
    return bits in PACKED_BITS and is_matrix_product(node, shape) and shape[1] * bits % 8 == 0


def is_matrix_product(node: Node, shape: Sequence[int]) -> bool:
    """Whether a layer is fully connected, or a convolution that is so at every position."""
    if node.op != "conv2d":
        return node.op == "linear"
    attrs = node.attrs
    return (
        tuple(shape[2:]) == (1, 1)
        and tuple(attrs["stride"]) == (1, 1)
        and not any(attrs["padding"])
        and attrs["groups"] == 1
    )
