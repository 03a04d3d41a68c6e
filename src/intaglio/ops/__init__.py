"""The ops of the graph. `OPS[name]` gives an op's schema; importing this package fills the table."""

from intaglio.ops import activation, convolution, elementwise, opaque, pool, shape
from intaglio.ops.schema import OPS, OpSchema, activate

__all__ = [
    "OPS",
    "OpSchema",
    "activate",
    "activation",
    "convolution",
    "elementwise",
    "opaque",
    "pool",
    "shape",
]
