"""The ops of the graph. `OPS[name]` is an op's schema; importing this package fills the table."""

from intaglio.ops import (
    activation,
    convolution,
    elementwise,
    function,
    matmul,
    opaque,
    pool,
    shape,
)
from intaglio.ops.schema import OPS, OpSchema, activate, check_node

__all__ = [
    "OPS",
    "OpSchema",
    "activate",
    "activation",
    "check_node",
    "convolution",
    "elementwise",
    "function",
    "matmul",
    "opaque",
    "pool",
    "shape",
]
