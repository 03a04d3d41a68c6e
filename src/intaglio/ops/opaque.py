"""An op that intaglio does not know, kept as the ATen call it was: the graph still runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from intaglio.ir.graph import Node
from intaglio.ops.attributes import ANYTHING
from intaglio.ops.schema import op


@dataclass(frozen=True)
class Slot:
    """Stands in the arguments of an opaque call for the node's input with this index.

    Attributes:
        is_question: Whether the call takes yes and no, which are 1 and 0 in the graph.
    """

    index: int
    is_question: bool = False

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
    attributes=dict.fromkeys(("call", "args", "kwargs", "output", "sizes"), ANYTHING),
)
def opaque(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Calls `call` with its arguments; `output` picks one of several results, or is None.

    `sizes` are those of the inputs in a program that was traced with one image, which is then
    called with one image at a time; None for an input that is the same for every image. Where
    `sizes` itself is None, the call takes whole batches.
    """
    sizes = node.attrs["sizes"]
    if sizes is None:
        return _called(node, inputs)
    made = [
        _called(
            node,
            [
                value if size is None else value[image].reshape(size)
                for value, size in zip(inputs, sizes, strict=True)
            ],
        )
        for image in range(_images(inputs, sizes))
    ]
    return torch.stack([value[0] if value.shape[:1] == (1,) else value for value in made])


def _images(inputs: Sequence[Tensor], sizes: Sequence[tuple[int, ...] | None]) -> int:
    batches = [len(value) for value, size in zip(inputs, sizes, strict=True) if size is not None]
    return batches[0] if batches else 1


def _called(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """Return what the call makes of its inputs as they are."""

    def fill(leaf: Any) -> Any:
        """Return the input or batch size that a leaf of the arguments stands for, or itself."""
        if isinstance(leaf, Slot):
            return inputs[leaf.index] != 0 if leaf.is_question else inputs[leaf.index]
        return inputs[leaf.index].shape[0] if isinstance(leaf, BatchSize) else leaf

    args, kwargs = pytree.tree_map(fill, (node.attrs["args"], node.attrs["kwargs"]))
    result = node.attrs["call"](*args, **kwargs)
    chosen: Tensor = result if node.attrs["output"] is None else result[node.attrs["output"]]
    return chosen
