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
WEIGHT_BITS = (8, *PACKED_BITS)
WHERE = "pointwise convolutions and linear layers whose rows of weights fill whole bytes"
"""The layers with fewer than 8 bits, in words."""
BIAS_LIMIT = 2**30
INT4_SHIFT = 4
"""XNNPACK's kernels hold int4 weights shifted up by so many bits, and with them accumulators."""


def bias_limit(bits: int) -> int:
    """Return how large a bias may be; sums of products then fit beside it in the accumulator."""
    return BIAS_LIMIT >> INT4_SHIFT if bits <= 4 else BIAS_LIMIT


def holds(node: Node, shape: Sequence[int], bits: int) -> bool:
    """Whether a layer's weight, of this shape, can have integers of so many bits in a file."""
    return bits == 8 or runs_as_matrix(node, shape, bits)


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
