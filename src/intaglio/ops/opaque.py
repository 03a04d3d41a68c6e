"""An op that intaglio does not know, kept as the ATen call it was: the graph still runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from intaglio.ir.graph import Node
from intaglio.ops.attributes import ANYTHING
from intaglio.ops.schema import op


@dataclass(frozen=True)
class Slot:
    """Stands in the arguments of an opaque call for the node's input with this index."""

    index: int

    def __repr__(self) -> str:
        return f"${self.index}"


@dataclass(frozen=True)
class BatchSize:
    """Stands in the arguments of an opaque call for the batch size of the input with this index."""

    index: int

    def __repr__(self) -> str:
        return f"batch(${self.index})"


@op(
    "opaque",
    arity=(0, None),
    attributes=dict.fromkeys(("call", "args", "kwargs", "output"), ANYTHING),
)
def opaque(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Calls `call` with its arguments; `output` picks one of several results, or is None."""

    def fill(leaf: Any) -> Any:
        """Return the input or batch size that a leaf of the arguments stands for, or itself."""
        if isinstance(leaf, Slot):
            return inputs[leaf.index]
        return inputs[leaf.index].shape[0] if isinstance(leaf, BatchSize) else leaf

    args, kwargs = pytree.tree_map(fill, (node.attrs["args"], node.attrs["kwargs"]))
    result = node.attrs["call"](*args, **kwargs)
    chosen: Tensor = result if node.attrs["output"] is None else result[node.attrs["output"]]
    return chosen
