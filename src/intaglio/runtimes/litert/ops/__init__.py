"""The integer kernels of LiteRT. Importing this package fills the table of kernels."""

from intaglio.runtimes.litert.ops import (
    activation,
    convolution,
    elementwise,
    pool,
    resize,
    shape,
)

__all__ = ["activation", "convolution", "elementwise", "pool", "resize", "shape"]
