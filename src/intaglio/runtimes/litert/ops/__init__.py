"""LiteRT's ops: kernel and writer of each on one page. Importing it fills the tables."""

from intaglio.runtimes.litert.ops import (
    activation,
    convolution,
    elementwise,
    ends,
    float_ops,
    float_windows,
    function,
    matmul,
    pool,
    resize,
    shape,
)

__all__ = [
    "activation",
    "convolution",
    "elementwise",
    "ends",
    "float_ops",
    "float_windows",
    "function",
    "matmul",
    "pool",
    "resize",
    "shape",
]
