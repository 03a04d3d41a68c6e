"""When a resize can be said by its sizes alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from intaglio.ir.graph import Node


def follows_sizes(node: Node, shape: Sequence[int]) -> bool:
    """Whether a resize of a value of this shape computes positions from its sizes alone.

    torch computes them from the factors that the user gave; where size * factor is no integer, the
    two ways differ, and a file can only say the first. With aligned corners torch ignores the
    factors, and a nearest resize to the same or the double size it knows by the sizes.
    """
    scales, mode = node.attrs["scales"], node.attrs["mode"]
    if scales is None or node.attrs["align_corners"]:
        return True
    return all(
        math.isclose(size * scale, out, rel_tol=1e-6)
        or (mode == "nearest" and out in (size, 2 * size))
        for size, out, scale in zip(shape[2:], node.shape[2:], scales, strict=True)
    )
