"""What the ATen table writes into: the graph under construction and what each fx node became."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from intaglio.errors import CaptureError
from intaglio.ir.graph import BATCH, Graph, Node


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


Value = str | BatchMarker | int | Pieces | NoValue


@dataclass
class Builder:
    """A graph under construction.

    Attributes:
        graph: Where nodes go.
        values: What an fx node became: a node's name, a size, or pieces.
        stored: Placeholder name to the key of the parameter, buffer or constant behind it.
    """

    graph: Graph
    values: dict[fx.Node, Value] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    _batch: Any = None

    def set_batch(self, size: Any) -> None:
        """Remember what the batch size looks like: a SymInt, or a number when it is fixed."""
        self._batch = size

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

    def shape(self, fx_node: fx.Node) -> tuple[int, ...]:
        """Return the shape of the tensor that `fx_node` makes, BATCH for the batch."""
        sizes = [self.size(size, fx_node) for size in fx_node.meta["val"].shape]
        fixed = sizes and not isinstance(self._batch, torch.SymInt) and sizes[0] == self._batch
        return tuple(
            BATCH if isinstance(size, BatchMarker) or (fixed and axis == 0) else size
            for axis, size in enumerate(sizes)
        )

    def is_unchanged(self, fx_node: fx.Node) -> bool:
        """Whether `fx_node` makes a tensor of the shape and type of its first argument."""
        source = fx_node.args[0]
        if not isinstance(source, fx.Node):
            return False
        if not isinstance(self.values.get(source), str) and self.key(source) is None:
            return False
        before, after = source.meta["val"], fx_node.meta["val"]
        return self.shape(source) == self.shape(fx_node) and before.dtype == after.dtype

    def share(self, fx_node: fx.Node) -> None:
        """Let `fx_node` stand for the value, or the stored tensor, of its first argument."""
        source = fx_node.args[0]
        assert isinstance(source, fx.Node), f"{fx_node} shares nothing"
        if source in self.values:
            self.values[fx_node] = self.values[source]
        else:
            self.stored[fx_node.name] = self.stored[source.name]

    def key(self, fx_node: Any) -> str | None:
        """Return the key of the stored tensor behind a placeholder, or None."""
        return self.stored.get(fx_node.name) if isinstance(fx_node, fx.Node) else None

    def operand(self, value: Any, fx_node: fx.Node) -> str | None:
        """Return the name of the value that an argument stands for.

        Numbers and stored tensors become `constant` nodes. None for what is neither.
        """
        if isinstance(value, fx.Node) and isinstance(self.values.get(value), str):
            return str(self.values[value])
        key = self.key(value)
        if key is not None:
            return self._constant(key, key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            key = f"constant({value})"
            self.graph.params.setdefault(key, torch.tensor(float(value)))
            return self._constant(key, key)
        return None

    def add(
        self,
        op: str,
        fx_node: fx.Node,
        inputs: list[str],
        *,
        params: dict[str, str] | None = None,
        **attrs: Any,
    ) -> str:
        """Append a node for `fx_node`; return its name.

        The node of a torch layer is called after the layer; another one with a weight after the
        module that owns the weight; what is left after its module and op.
        """
        params = params or {}
        path = module_path(fx_node)
        if path and _is_layers_own(fx_node, has_weight="weight" in params):
            wish = path
        elif params.get("weight", "").endswith(".weight"):
            path = wish = params["weight"].removesuffix(".weight")
        else:
            kind = attrs["call"].__name__.split(".")[0] if op == "opaque" else op
            wish = f"{path}.{kind}" if path else kind
        name = self.graph.unique_name(wish)
        self.graph.add(Node(name, op, inputs, params, attrs, self.shape_or_none(fx_node), path))
        return name

    def shape_or_none(self, fx_node: fx.Node) -> tuple[int, ...]:
        """Return the shape of the one tensor that `fx_node` makes; () where it makes several."""
        return self.shape(fx_node) if isinstance(fx_node.meta.get("val"), Tensor) else ()

    def _constant(self, wish: str, key: str) -> str:
        if wish in self.graph.nodes:
            return wish
        shape = tuple(self.graph.params[key].shape)
        self.graph.add(Node(wish, "constant", params={"value": key}, shape=shape, source=key))
        return wish


def module_path(fx_node: fx.Node) -> str:
    """Return the user's name of the innermost module that made the call; "" for the model."""
    stack = list((fx_node.meta.get("nn_module_stack") or {}).values())
    return stack[-1][0] if stack and not stack[-1][0].startswith("_empty") else ""


def _is_layers_own(fx_node: fx.Node, *, has_weight: bool) -> bool:
    """Whether the call is what a torch layer is there for (and not a convolution's padding)."""
    stack = list((fx_node.meta.get("nn_module_stack") or {}).values())
    kind = str(stack[-1][1]) if stack else ""
    if not kind.startswith("torch.nn.modules.") or ".container." in kind:
        return False
    return has_weight or ".conv." not in kind
