"""Functions of one value in float32, in the file's own float ops."""

from __future__ import annotations

from intaglio.ir.graph import Node
from intaglio.runtimes.litert.ops.writing import Writing


def write_float_function(node: Node, writing: Writing) -> None:
    """Write a chain of functions that stays in float.

    Raises:
        UnsupportedByTarget: Always: there are no float forms of functions.
    """
    raise writing.refuse(
        node, "a function of single values in float", "Leave it to be quantized: it is a table"
    )
