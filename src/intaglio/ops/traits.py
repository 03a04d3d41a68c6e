"""Every fact about every op, in one table.

What an op computes is its float function (schema.py). What else holds of it stands here, once, and
the lists of ops that have something in common are derived from it. The facts are those of the op
without a fused activation; where a node's settings decide, the functions at the end ask the node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from intaglio.ir.graph import Graph, Node
from intaglio.ops import OPS
from intaglio.ops.convolution import copies_values

Values = Literal["given", "moved", "mean", "computed"]
Grid = Literal["own", "shared"]
Channels = Literal["apart", "groups", "mixed", "axes"]
Places = Literal["same", "near", "all"]
Sign = Literal["any", "kept", "plus"]
Macs = Literal["none", "result", "input", "pairs"]


@dataclass(frozen=True)
class Weights:
    """What an op stores.

    Attributes:
        needed: Roles without which it has no meaning.
        macs: What its multiply-accumulates are counted by: each value of the "result", or of the
            "input", meets as many numbers of the weight as lie behind its first axis; "pairs": each
            value of the result sums as many products as the first input's last axis is long.
        rank: Axes of the weight; None: it is one number for each channel, or there is none.
        output_axis: The axis of the weight that makes the output channels of one group; None: the
            op multiplies with no such weight.
    """

    needed: tuple[str, ...]
    macs: Macs
    rank: int | None = None
    output_axis: int | None = None


NONE = Weights((), "none")
PAIRS = Weights((), "pairs")
STORED = Weights(("value",), "none")
SLOPE = Weights(("weight",), "none")
NORM = Weights(("mean", "var"), "none")
GAIN = Weights(("weight", "bias"), "none")
MATRIX = Weights(("weight",), "result", rank=2, output_axis=0)
FILTER = Weights(("weight",), "result", rank=4, output_axis=0)
SCATTER = Weights(("weight",), "input", rank=4, output_axis=1)


@dataclass(frozen=True)
class Traits:
    """What is known of an op beside its float function.

    Attributes:
        values: What its values are: "given" from outside; "moved": each is one of an input's, or
            padding; "mean": each is a mean of some of an input's, or of padding; "computed".
        grid: Whether inputs and result must be on one integer grid ("shared").
        channels: What a channel is made of: "apart": the channels of the same index of the inputs
            (that have as many axes); "groups": the channels of its group; "mixed": any, or axes
            change places; "axes": that depends on the axes that the node names.
        places: What height and width of the inputs a value is made from: the "same" place; places
            "near" it (or near what becomes of it in a picture of another size); "all".
        degree: f(c x) = c**degree f(x) for every c > 0 that all inputs are multiplied with, without
            a bias and with padding of zeros; None: for no degree.
        sign: Whether values are never negative: always ("plus"), where no input is and no padding
            ("kept"), or not known ("any").
        weights: What it stores.
    """

    values: Values
    grid: Grid
    channels: Channels
    places: Places
    degree: int | None
    sign: Sign
    weights: Weights


# fmt: off
TRAITS: dict[str, Traits] = {
    # op                          values      grid      channels  places  deg.  sign    weights
    "conv2d":              Traits("computed", "own",    "groups", "near", 1,    "any",  FILTER),
    "linear":              Traits("computed", "own",    "mixed",  "all",  1,    "any",  MATRIX),
    "conv_transpose2d":    Traits("computed", "own",    "groups", "near", 1,    "any",  SCATTER),
    "batch_norm":          Traits("computed", "own",    "apart",  "same", None, "any",  NORM),
    "affine":              Traits("computed", "own",    "apart",  "same", None, "any",  GAIN),
    "input":               Traits("given",    "own",    "apart",  "same", None, "any",  NONE),
    "constant":            Traits("given",    "own",    "apart",  "same", None, "any",  STORED),
    "quantize":            Traits("computed", "own",    "apart",  "same", None, "kept", NONE),
    "add":                 Traits("computed", "own",    "apart",  "same", 1,    "kept", NONE),
    "sub":                 Traits("computed", "own",    "apart",  "same", 1,    "any",  NONE),
    "mul":                 Traits("computed", "own",    "apart",  "same", 2,    "kept", NONE),
    "div":                 Traits("computed", "own",    "apart",  "same", 0,    "kept", NONE),
    "rescale":             Traits("computed", "own",    "apart",  "same", 1,    "kept", NONE),
    "clamp":               Traits("computed", "own",    "apart",  "same", 1,    "kept", NONE),
    "leaky_relu":          Traits("computed", "own",    "apart",  "same", 1,    "kept", NONE),
    "hard_swish":          Traits("computed", "own",    "apart",  "same", None, "kept", NONE),
    "hard_sigmoid":        Traits("computed", "own",    "apart",  "same", None, "plus", NONE),
    "sigmoid":             Traits("computed", "own",    "apart",  "same", None, "plus", NONE),
    "tanh":                Traits("computed", "own",    "apart",  "same", None, "kept", NONE),
    "silu":                Traits("computed", "own",    "apart",  "same", None, "kept", NONE),
    "prelu":               Traits("computed", "own",    "apart",  "same", 1,    "kept", SLOPE),
    "function":            Traits("computed", "own",    "apart",  "same", None, "any",  NONE),
    "maximum":             Traits("computed", "own",    "apart",  "same", 1,    "kept", NONE),
    "minimum":             Traits("computed", "own",    "apart",  "same", 1,    "kept", NONE),
    "compare":             Traits("computed", "own",    "apart",  "same", 0,    "plus", NONE),
    "where":               Traits("computed", "own",    "apart",  "same", 1,    "kept", NONE),
    "matmul":              Traits("computed", "own",    "mixed",  "all",  2,    "kept", PAIRS),
    "softmax":             Traits("computed", "own",    "mixed",  "all",  None, "plus", NONE),
    "max_pool2d":          Traits("moved",    "shared", "apart",  "near", 1,    "kept", NONE),
    "avg_pool2d":          Traits("mean",     "shared", "apart",  "near", 1,    "kept", NONE),
    "adaptive_avg_pool2d": Traits("mean",     "own",    "apart",  "near", 1,    "kept", NONE),
    "reduce_max":          Traits("moved",    "shared", "axes",   "all",  1,    "kept", NONE),
    "mean":                Traits("mean",     "own",    "axes",   "all",  1,    "kept", NONE),
    "resize":              Traits("mean",     "shared", "apart",  "near", 1,    "kept", NONE),
    "concat":              Traits("moved",    "shared", "axes",   "near", 1,    "kept", NONE),
    "pad":                 Traits("moved",    "shared", "axes",   "near", 1,    "kept", NONE),
    "slice":               Traits("moved",    "shared", "axes",   "near", 1,    "kept", NONE),
    "reshape":             Traits("moved",    "shared", "axes",   "all",  1,    "kept", NONE),
    "transpose":           Traits("moved",    "shared", "mixed",  "all",  1,    "kept", NONE),
    "take":                Traits("moved",    "shared", "axes",   "near", 1,    "kept", NONE),
    "depth_to_space":      Traits("moved",    "shared", "mixed",  "near", 1,    "kept", NONE),
    "opaque":              Traits("computed", "own",    "mixed",  "all",  None, "any",  NONE),
}
# fmt: on
"""By families. `quantize` has no degree: what it is there for is a grid, which ends."""

WEIGHTED: Mapping[str, int] = {
    op: traits.weights.output_axis
    for op, traits in TRAITS.items()
    if traits.weights.output_axis is not None
}
"""Ops that multiply with a stored weight, and the axis of it that makes output channels."""
GIVEN = frozenset(op for op, traits in TRAITS.items() if traits.values == "given")
"""Ops whose value no layer makes."""
MOVING = frozenset(op for op, traits in TRAITS.items() if traits.values == "moved")
"""Ops that move or pick values and compute none."""
ON_THE_GRID = MOVING | {"rescale"}
"""Ops whose result is on its grid if its inputs are; that of a rescale is its input's, scaled."""
SHARING = frozenset(op for op, traits in TRAITS.items() if traits.grid == "shared")
"""Ops whose inputs and result must be on one grid."""
ELEMENTWISE = (
    frozenset(
        op for op, traits in TRAITS.items() if (traits.channels, traits.places) == ("apart", "same")
    )
    - GIVEN
)
"""Ops whose value at a place and channel depends on that place and channel alone."""


ENDING = frozenset({"max_pool2d", "reduce_max"})
"""Moving ops of whose values padding is none, as long as a window holds something else."""


def carries_activation(op: str) -> bool:
    """Whether a clamp behind the op can become its fused activation."""
    return "activation" in OPS[op].attributes


def shares_a_grid(graph: Graph, node: Node) -> bool:
    """Whether a node's inputs and result must be on one grid."""
    return node.op in SHARING or copies_values(graph, node)


def is_homogeneous(activation: tuple[float, float] | None) -> bool:
    """Whether clamp(c x) = c clamp(x) for every c > 0: each bound is 0 or infinite."""
    if activation is None:
        return True
    low, high = activation
    return low in (0.0, float("-inf")) and high in (0.0, float("inf")) and low <= high


def commutes_with_scale(node: Node) -> bool:
    """Whether f(c x) = c f(x) for every c > 0 that all inputs are multiplied with."""
    return (
        TRAITS[node.op].degree == 1
        and "bias" not in node.params
        and is_homogeneous(node.attrs.get("activation"))
        and _pads_with(node) == 0.0
    )


def never_negative(graph: Graph, name: str) -> bool:
    """Whether no value of `name` can be negative, as far as ops and activations tell."""
    waiting = [name]
    for value in waiting:
        node = graph[value]
        sign = TRAITS[node.op].sign
        low, high = node.attrs.get("activation") or (float("-inf"), float("inf"))
        if low >= 0.0 or (sign == "plus" and high >= 0.0):
            continue
        if sign != "kept" or high < 0.0 or _pads_with(node) < 0.0:
            return False
        waiting += [source for source in node.inputs if source not in waiting]
    return True


def padded_with_infinity(graph: Graph) -> set[str]:
    """Return the values that hold a max pool's padding, which is infinite and is no result."""
    found: set[str] = set()
    for node in graph:
        moves_some = node.op in MOVING and bool(found.intersection(node.inputs))
        if math.isinf(_pads_with(node)) or (moves_some and node.op not in ENDING):
            found.add(node.name)
    return found


def _pads_with(node: Node) -> float:
    return float(node.attrs.get("value", 0.0)) if node.op == "pad" else 0.0
