"""What the tables of ATen calls write into: a graph under construction, and what calls became.

A program that was traced with one image says of each tensor what it holds for that image, wherever
the axis of the batch has gone: its order of elements is the same with the axis and without it. Such
a value of the sizes S becomes a node [N, *T], N the symbolic batch:

    T = S[1:] where S[0] is 1 (as of images [1, C, H, W]), else S       (`canonical`)

so that what torch calls (3, 1, heads, tokens, width) is [N, 3, 1, heads, tokens, width], and
`lifted` gives every value in that second form. In a program with a symbolic batch, or a fixed one
of several images, the batch must be axis 0 of everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from intaglio.errors import CaptureError
from intaglio.ir.graph import BATCH, Graph, Node

Shape = tuple[int, ...]


@dataclass(frozen=True)
class BatchMarker:
    """A size that is the batch size."""


@dataclass(frozen=True)
class Pieces:
    """Several values made by one ATen call (split, chunk, unbind); one node each."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class NoValue:
    """What a call made that is no tensor and no size: results to pick from, or nothing of use."""


Value = str | BatchMarker | int | float | Pieces | NoValue


@dataclass
class Builder:
    """A graph under construction.

    Attributes:
        graph: Where nodes go.
        values: What an fx node became: a node's name, a size, or pieces.
        stored: Name of an fx node to the key of the parameter, buffer or constant that it is, or
            that was computed from such alone.
        several: What made several tensors of stored ones alone, to their keys.
        broadcast: What stands for another tensor, repeated along axes of size 1, to that tensor.
        constants: Key of a stored tensor to the node that gives it to others.
        moves_batch: Whether anything named the axis of the batch: only then can images mix.
    """

    graph: Graph
    values: dict[fx.Node, Value] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    several: dict[fx.Node, tuple[str, ...]] = field(default_factory=dict)
    broadcast: dict[fx.Node, fx.Node] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    moves_batch: bool = False
    _batch: Any = None

    def set_batch(self, size: Any) -> None:
        """Remember what the batch size looks like: a SymInt, or a number when it is fixed."""
        self._batch = size

    @property
    def has_one_image(self) -> bool:
        """Whether the program was traced with one image."""
        return isinstance(self._batch, int) and self._batch == 1

    def size(self, size: Any, fx_node: fx.Node) -> int | BatchMarker:
        """Return a size as a number, or BatchMarker where it is the batch.

        Raises:
            CaptureError: If it is another expression of the batch, such as N * groups.
        """
        if not isinstance(size, torch.SymInt):
            return int(size)
        if isinstance(self._batch, torch.SymInt) and size.node.expr == self._batch.node.expr:
            return BatchMarker()
        raise self.not_static(fx_node, size)

    def not_static(self, fx_node: fx.Node, size: Any) -> CaptureError:
        """Return the error for a size or number that is neither fixed nor the batch itself."""
        where = f"layer '{module_path(fx_node) or fx_node.name}'"
        if isinstance(size, Tensor):
            return CaptureError(
                f"{where} works on a result of a call that intaglio does not hold: replace it by"
                " what it holds (docs/ops.md)"
            )
        symbols = getattr(getattr(size, "node", None), "expr", None)
        if any(str(symbol).startswith("u") for symbol in getattr(symbols, "free_symbols", ())):
            return CaptureError(
                f"{where} makes a tensor whose size depends on values (a mask or nonzero): take it"
                " out of forward(); only the batch may vary"
            )
        return CaptureError(
            f"{where} computes {size} from the batch size: images of a batch must not mix; keep the"
            " batch as axis 0 of every tensor"
        )

    def sizes(self, fx_node: fx.Node) -> Shape:
        """Return the sizes that the tensor of `fx_node` has in the program; BATCH for the batch."""
        return self._sizes(fx_node.meta["val"], fx_node)

    def _sizes(self, value: Tensor, fx_node: fx.Node) -> Shape:
        sizes = [self.size(size, fx_node) for size in value.shape]
        several = isinstance(self._batch, int) and self._batch > 1
        fixed = bool(sizes) and several and sizes[0] == self._batch
        return tuple(
            BATCH if isinstance(size, BatchMarker) or (fixed and axis == 0) else size
            for axis, size in enumerate(sizes)
        )

    def shape(self, fx_node: fx.Node) -> Shape:
        """Return the shape that the node of `fx_node` has in the graph.

        A stored tensor keeps its own.
        """
        sizes = self.sizes(fx_node)
        if not self.has_one_image or self.key(fx_node) is not None:
            return sizes
        return canonical(sizes)

    def piece_shape(self, fx_node: fx.Node, index: int) -> Shape:
        """Return the shape in the graph of one of several results of `fx_node`."""
        sizes = self._sizes(fx_node.meta["val"][index], fx_node)
        return canonical(sizes) if self.has_one_image else sizes

    def starts_with_batch(self, fx_node: fx.Node) -> bool:
        """Whether axis 0 of the tensor is the batch, in the program as in the graph."""
        sizes = self.sizes(fx_node)
        return bool(sizes) and sizes[0] == (1 if self.has_one_image else BATCH)

    def is_unchanged(self, fx_node: fx.Node) -> bool:
        """Whether `fx_node` makes a tensor of the shape and type of its first argument."""
        source = fx_node.args[0]
        if not isinstance(source, fx.Node):
            return False
        if not isinstance(self.values.get(source), str) and self.key(source) is None:
            return False
        before, after = source.meta["val"], fx_node.meta["val"]
        return self.sizes(source) == self.sizes(fx_node) and before.dtype == after.dtype

    def share(self, fx_node: fx.Node) -> None:
        """Let `fx_node` stand for the value, or the stored tensor, of its first argument."""
        source = fx_node.args[0]
        assert isinstance(source, fx.Node), f"{fx_node} shares nothing"
        if source in self.broadcast:
            self.broadcast[fx_node] = self.broadcast[source]
        if source in self.values:
            self.values[fx_node] = self.values[source]
        else:
            self.stored[fx_node.name] = self.stored[source.name]

    def key(self, fx_node: Any) -> str | None:
        """Return the key of the stored tensor that an fx node is, or None."""
        return self.stored.get(fx_node.name) if isinstance(fx_node, fx.Node) else None

    def tensor(self, value: Any) -> Tensor | None:
        """Return the stored tensor that an argument is, or None."""
        key = self.key(value)
        return None if key is None else self.graph.params[key]

    def operand(self, value: Any, fx_node: fx.Node) -> str | None:
        """Return the name of the value that an argument stands for.

        Finite numbers and stored tensors become `constant` nodes. None for what is neither.
        """
        if isinstance(value, fx.Node) and isinstance(self.values.get(value), str):
            name = str(self.values[value])
            return self._repeated(value, name) if value in self.broadcast else name
        key = self.key(value)
        if key is not None:
            return self._constant(key)
        if isinstance(value, fx.Node) and isinstance(self.values.get(value), int | float):
            value = self.values[value]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and math.isfinite(value):
            key = f"constant({value})"
            self.graph.params.setdefault(key, torch.tensor(float(value)))
            return self._constant(key)
        return None

    def lifted(self, value: Any, fx_node: fx.Node, rank: int | None = None) -> str | None:
        """Return a value as [N, *S], S all its sizes in the program; None where it cannot be said.

        Args:
            rank: Put axes of size 1 before S until there are so many; None: none.
        """
        name = self.operand(value, fx_node)
        if name is None or not isinstance(value, fx.Node) or self.key(value) is not None:
            return name
        if not self.has_one_image:
            return None
        self.moves_batch = True
        sizes = self.sizes(value)
        ones = (1,) * max(0, (rank or 0) - len(sizes))
        return self.reshaped(fx_node, name, (BATCH, *ones, *sizes))

    def reshaped(self, fx_node: fx.Node, name: str, shape: Shape) -> str:
        """Return a node's value in another shape: itself where it has that."""
        if self.graph[name].shape == shape:
            return name
        return self.insert("reshape", fx_node, [name], shape, shape=shape)

    def unrepeated(self, value: Any) -> Any:
        """Return the tensor that an argument repeats, or the argument itself."""
        return self.broadcast.get(value, value) if isinstance(value, fx.Node) else value

    def settle(self, fx_node: fx.Node, name: str) -> str:
        """Return what `fx_node` becomes, of a node that holds its values in their order."""
        return self.reshaped(fx_node, name, self.shape(fx_node))

    def insert(
        self,
        op: str,
        fx_node: fx.Node,
        inputs: Sequence[str],
        made: Shape,
        *,
        params: dict[str, str] | None = None,
        **attrs: Any,
    ) -> str:
        """Append one of several nodes for `fx_node`, of a shape; return its name."""
        path = module_path(fx_node)
        name = self.graph.unique_name(f"{path}.{op}" if path else op)
        self.graph.add(Node(name, op, list(inputs), params or {}, attrs, made, path))
        return name

    def constant(self, fx_node: fx.Node, value: Tensor) -> str:
        """Append a stored tensor for `fx_node`; return its node's name."""
        path = module_path(fx_node)
        name = f"{path}.{fx_node.name}" if path else fx_node.name
        return self._constant(self.store(f"{name}.constant", value))

    def store(self, wish: str, value: Tensor) -> str:
        """Store a tensor under a key of its own, `wish` or `wish:1`, ...; return the key."""
        key, number = wish, 0
        while key in self.graph.params:
            number += 1
            key = f"{wish}:{number}"
        self.graph.params[key] = value
        return key

    def add(
        self,
        op: str,
        fx_node: fx.Node,
        inputs: list[str],
        *,
        params: dict[str, str] | None = None,
        made: Shape | None = None,
        **attrs: Any,
    ) -> str:
        """Append a node for `fx_node`; return its name.

        The node of a torch layer is called after the layer; another one with a weight after the
        module that owns the weight; what is left after its module and op.

        Args:
            made: Shape of its value; None: that of `fx_node` in the graph.
        """
        params = params or {}
        path = module_path(fx_node)
        if path and _is_layers_own(fx_node, has_weight="weight" in params):
            wish = path
        elif params.get("weight", "").endswith(".weight"):
            path = wish = params["weight"].removesuffix(".weight")
        elif path and params.get("weight", "").rpartition(".")[0] == path:
            wish = path  # its weight is computed in the layer itself: standardized, or scaled
        else:
            kind = attrs["call"].__name__.split(".")[0] if op == "opaque" else op
            wish = f"{path}.{kind}" if path else kind
        name = self.graph.unique_name(wish)
        found = self.shape_or_none(fx_node) if made is None else made
        self.graph.add(Node(name, op, inputs, params, attrs, found, path))
        return name

    def shape_or_none(self, fx_node: fx.Node) -> Shape:
        """Return the shape of the one tensor that `fx_node` makes; () where it makes several."""
        return self.shape(fx_node) if isinstance(fx_node.meta.get("val"), Tensor) else ()

    def _repeated(self, value: fx.Node, name: str) -> str:
        """Return a broadcast value with its repetitions written out, as concatenations."""
        wanted = (BATCH, *self.shape(value)[1:])
        start = self.graph[name].shape
        shape = (BATCH, *(1,) * (len(wanted) - len(start)), *start[1:])
        name = self.reshaped(value, name, shape)
        for axis in range(1, len(wanted)):
            if shape[axis] != wanted[axis]:
                shape = (*shape[:axis], wanted[axis], *shape[axis + 1 :])
                name = self.insert("concat", value, [name] * wanted[axis], shape, axis=axis)
        return name

    def _constant(self, key: str) -> str:
        """Return the node of a stored tensor; other types become float32."""
        if key not in self.constants:
            value = self.graph.params[key]
            used = key
            if value.dtype != torch.float32:  # numpy's numbers, masks, counts
                used = f"{key}:real"
                self.graph.params[used] = value.float()
            name = self.graph.unique_name(key)
            shape = tuple(value.shape)
            self.graph.add(Node(name, "constant", params={"value": used}, shape=shape, source=key))
            self.constants[key] = name
        return self.constants[key]


def canonical(sizes: Shape) -> Shape:
    """Return the shape in the graph of what has these sizes for one image."""
    return (BATCH, *(sizes[1:] if sizes[:1] == (1,) else sizes))


def count(shape: Shape) -> int:
    """Return how many values a shape has for one image."""
    return math.prod(size for size in shape if size != BATCH)


def module_path(fx_node: fx.Node) -> str:
    """Return the user's name of the innermost module that made the call; "" for the model."""
    stack = list((fx_node.meta.get("nn_module_stack") or {}).values())
    return stack[-1][0] if stack and not stack[-1][0].startswith("_empty") else ""


def _is_layers_own(fx_node: fx.Node, *, has_weight: bool) -> bool:
    """Whether the call is what a torch layer is there for (and not a convolution's padding)."""
    stack = list((fx_node.meta.get("nn_module_stack") or {}).values())
    kind = str(stack[-1][1]) if stack else ""
    is_parametrized = kind.startswith("torch.nn.utils.parametrize.Parametrized")
    if not (kind.startswith("torch.nn.modules.") or is_parametrized) or ".container." in kind:
        return False
    return has_weight or (".conv." not in kind and not is_parametrized)
