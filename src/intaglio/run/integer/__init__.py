"""The integer interpreter. Importing this package fills the table of kernels."""

from intaglio.run.integer import activation, convolution, elementwise, pool, resize, shape
from intaglio.run.integer.twin import Twin, build_twin

__all__ = [
    "Twin",
    "activation",
    "build_twin",
    "convolution",
    "elementwise",
    "pool",
    "resize",
    "shape",
]
