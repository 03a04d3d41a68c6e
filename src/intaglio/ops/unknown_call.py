"""Why a call of torch's is not held, and what to do about it: the one place that says so.

Capture keeps such a call as an `opaque` node; refusals, inspection and the doctor all tell what
stands here, and none of them names an op that the user never wrote.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from intaglio.ir.graph import Graph, Node
from intaglio.ops.function import FUNCTIONS
from intaglio.ops.opaque import Slot

REPLACE = "Replace it in the network by what intaglio holds (docs/ops.md)"
RANDOM_DROPS = ("dropout", "native_dropout", "feature_dropout", "alpha_dropout")
RANDOM = (
    *("rand", "randn", "randint", "randperm", "bernoulli", "normal", "multinomial", "uniform"),
    *("exponential", "cauchy", "geometric", "log_normal"),
)
NORMS = ("batch_norm", "native_batch_norm", "native_batch_norm_legit", "cudnn_batch_norm")
CASTS = ("to", "to_copy", "type_as", "half", "float", "double")
SIZED_BY_VALUES = ("nonzero", "masked_select", "unique", "unique2", "nms", "unique_dim")
WHOLE_NUMBERS = ("argmax", "argmin", "argsort", "bucketize", "searchsorted")
QUOTIENTS = ("floor_divide", "remainder", "fmod")
ORDERED = (
    *("sort", "msort", "median", "nanmedian", "mode", "kthvalue", "quantile", "nanquantile"),
    *("cummax", "cummin"),
)
"""Calls that put values in order, or compare each with all before it."""
ARITHMETIC = (
    *("add", "sub", "mul", "div", "where", "masked_fill", "expand", "view", "reshape"),
    *FUNCTIONS,
)
"""Calls that are held in float32: as opaque nodes they read something else."""
LAYERS = ("conv1d", "conv2d", "conv3d", "convolution", "conv_transpose2d", "linear")
PLACES = ("max_pool2d_with_indices", "max_unpool2d", "adaptive_max_pool2d", "max", "min", "topk")
"""Calls that give, or take, the places of largest values."""
AXES_WORDS = {"conv3d": "three axes", "conv_transpose3d": "three axes", "convolution": "three axes"}


@dataclass(frozen=True)
class Unheld:
    """Why something is not held.

    Attributes:
        reason: What the user should know; no sentence of its own.
        remedy: What to do; a sentence without its full stop.
    """

    reason: str
    remedy: str = REPLACE


def called(call: Any) -> str:
    """Return what the user would call a call: "torch's topk"."""
    return f"torch's {_word(call)}"


def word_of(node: Node) -> str:
    """Return what a node does as the user would say it; in messages."""
    if node.op == "opaque":
        return called(node.attrs["call"])
    if node.op == "function":
        return ", ".join(dict.fromkeys(str(name) for name, *_ in node.attrs["chain"]))
    return node.op


def why_node(graph: Graph, node: Node) -> Unheld:
    """Return why an opaque node is not held."""
    source = next((graph[name] for name in node.inputs if graph[name].op == "opaque"), None)
    word = _word(node.attrs["call"])
    if source is not None and (word in ARITHMETIC or _casts_to(node.attrs) == torch.float32):
        made = called(source.attrs["call"])
        where = source.source or source.name
        return Unheld(f"it works on what {made} makes (layer '{where}')", "See to that one first")
    if word in LAYERS and _weighs_with_computed(graph, node):
        return Unheld("its weight is computed from the image, and is no stored one")
    return why_call(node.attrs["call"], node.attrs["args"], node.attrs["kwargs"])


def _weighs_with_computed(graph: Graph, node: Node) -> bool:
    """Whether the second argument of a layer is a value that depends on the image."""
    weight = node.attrs["args"][1] if len(node.attrs["args"]) > 1 else None
    return isinstance(weight, Slot) and graph[node.inputs[weight.index]].op != "constant"


def follows_from_another(graph: Graph, node: Node) -> bool:
    """Whether an opaque node is held as soon as another one is."""
    return why_node(graph, node).reason.startswith("it works on what ")


def why_call(
    call: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Unheld:
    """Return why a call is not held, by its name and its settings alone."""
    word, settings = _word(call), {"args": args, "kwargs": kwargs or {}}
    if word in CASTS:
        return _why_cast(_casts_to(settings))
    named = _why_word(word.removesuffix("_like"), call)
    if named is not None:
        return named
    if word in QUOTIENTS or _rounds(settings):
        return Unheld(
            "it rounds a quotient, which is exact by a power of two alone",
            "Divide by a power of two, or leave it to what reads the file's output",
        )
    if any(isinstance(leaf, float) and not math.isfinite(leaf) for leaf in _leaves(settings)):
        return Unheld(
            "it works with infinity or NaN, and every value here is finite",
            "Use a large number instead: -100 hides a value from a softmax",
        )
    if word in AXES_WORDS:
        return Unheld(
            f"a convolution over {AXES_WORDS[word]}; images have two",
            "Give it an axis of size 1, as a convolution over two",
        )
    return Unheld(f"this call of {called(call)} has no form here, neither in integers nor in float")


def _why_word(word: str, call: Any) -> Unheld | None:
    """Return why a call is not held that its name alone tells; None for others."""
    whole = "whole numbers (int64)"
    reasons = {
        RANDOM_DROPS: Unheld(
            "it drops values at random: it was left in training",
            "Call .eval() on the network, or pass training=self.training",
        ),
        RANDOM: Unheld("it draws random numbers: every run would give others", "Take it out"),
        NORMS: Unheld(
            "a batch norm whose weights or statistics are not stored tensors",
            "Store what it computes them from, and export the network in eval mode",
        ),
        SIZED_BY_VALUES: Unheld(
            "the size of what it makes depends on values, and a file has fixed sizes",
            "Take it out of forward(), as post-processing",
        ),
        WHOLE_NUMBERS: Unheld(
            f"{called(call)} gives {whole}, and values here are real",
            "Leave it to what reads the file's output",
        ),
        PLACES: Unheld(
            f"{called(call)} with the places of largest values, which are {whole}",
            "Use the values alone",
        ),
        ORDERED: Unheld("it puts values in order, which no operator here does"),
    }
    return next((why for words, why in reasons.items() if word in words), None)


def _why_cast(kind: torch.dtype | None) -> Unheld:
    if kind in (None, torch.float32):
        return Unheld("it converts values of another type", "Keep all values float32")
    name = str(kind).removeprefix("torch.")
    return Unheld(
        f"it converts values to {name}, and everything here is computed from float32",
        f"Leave the conversion to {name} out",
    )


def _casts_to(attrs: Mapping[str, Any]) -> torch.dtype | None:
    """Return the type that a call names among its settings, if it names one."""
    return next((leaf for leaf in _leaves(attrs) if isinstance(leaf, torch.dtype)), None)


def _leaves(attrs: Mapping[str, Any]) -> list[Any]:
    return pytree.tree_leaves((attrs["args"], dict(attrs["kwargs"])))


def _rounds(attrs: Mapping[str, Any]) -> bool:
    """Whether a call, of a quotient, says how to round it."""
    return any(leaf in ("floor", "trunc") for leaf in _leaves(attrs) if isinstance(leaf, str))


def _word(call: Any) -> str:
    """Return a call's own name: "topk" of aten.topk.default."""
    name = getattr(getattr(call, "overloadpacket", None), "__name__", None)
    word = str(name or getattr(call, "__name__", call)).split(".")[-1]
    return word if word.endswith("__") else word.strip("_")
