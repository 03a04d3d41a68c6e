"""Integers of fewer than 8 bits in bytes, as LiteRT's INT4 and INT2 tensors hold them."""

from __future__ import annotations

import numpy as np

from intaglio.runtimes.litert.format.layout import Array


def pack_integers(values: Array, bits: int) -> Array:
    """Return the bytes of two's-complement integers, the first in the lowest bits, uint8.

    Rows follow each other without a gap; what is left of the last byte is zero.

    Args:
        values: Integers of any shape, -8..7 at 4 bits, -2..1 at 2 bits.
        bits: 4 (two in a byte) or 2 (four in a byte).
    """
    in_a_byte = 8 // bits
    flat = values.reshape(-1).astype(np.int8).view(np.uint8) & ((1 << bits) - 1)
    padded = np.pad(flat, (0, -len(flat) % in_a_byte)).reshape(-1, in_a_byte)
    shifted = padded << np.arange(0, 8, bits, dtype=np.uint8)
    packed: Array = np.bitwise_or.reduce(shifted, axis=1)
    return packed
