"""Products of two values that are both computed from the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.ops.attributes import FLAG
from intaglio.ops.schema import op


@op("matmul", arity=(2, 2), attributes={"transposed": FLAG})
def matmul(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """a b: [N, ..., M, K] and [N, ..., K, P], or [N, ..., P, K] where b is `transposed`.

    All axes but the last two are the same in both.
    """
    a, b = inputs
    return a @ (b.transpose(-2, -1) if node.attrs["transposed"] else b)
