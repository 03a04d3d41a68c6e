"""Functions of one value: a chain of them is one op, and one table of 256 entries in integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.ops.attributes import Rule
from intaglio.ops.schema import op

Call = tuple[str | float, ...]
"""Name of a function and its settings: ("pow", 1.5)."""
LONGEST_CHAIN = 64

FUNCTIONS: dict[str, tuple[int, Callable[..., Tensor]]] = {
    "abs": (0, torch.abs),
    "add": (1, torch.add),
    "atan": (0, torch.atan),
    "ceil": (0, torch.ceil),
    "clamp": (2, torch.clamp),
    "cos": (0, torch.cos),
    "elu": (3, lambda x, alpha, scale, rate: torch.ops.aten.elu(x, alpha, scale, rate)),
    "erf": (0, torch.erf),
    "exp": (0, torch.exp),
    "expm1": (0, torch.expm1),
    "floor": (0, torch.floor),
    "gelu": (0, F.gelu),
    "gelu_tanh": (0, lambda x: F.gelu(x, approximate="tanh")),
    "hard_sigmoid": (0, F.hardsigmoid),
    "hard_swish": (0, F.hardswish),
    "hardshrink": (1, F.hardshrink),
    "leaky_relu": (1, F.leaky_relu),
    "log": (0, torch.log),
    "log1p": (0, torch.log1p),
    "log_sigmoid": (0, F.logsigmoid),
    "mish": (0, F.mish),
    "mul": (1, torch.mul),
    "pow": (1, torch.pow),
    "reciprocal": (0, torch.reciprocal),
    "round": (0, torch.round),
    "rsqrt": (0, torch.rsqrt),
    "sigmoid": (0, torch.sigmoid),
    "sign": (0, torch.sign),
    "silu": (0, F.silu),
    "sin": (0, torch.sin),
    "softplus": (2, F.softplus),
    "softshrink": (1, F.softshrink),
    "softsign": (0, F.softsign),
    "sqrt": (0, torch.sqrt),
    "square": (0, torch.square),
    "tan": (0, torch.tan),
    "tanh": (0, torch.tanh),
    "tanhshrink": (0, F.tanhshrink),
    "threshold": (2, F.threshold),
}
"""Name to (number of settings, function of a tensor and the settings)."""


def _is_chain(value: Any) -> bool:
    if type(value) is not tuple or not 1 <= len(value) <= LONGEST_CHAIN:
        return False
    return all(type(call) is tuple and bool(call) and _is_call(*call) for call in value)


def _is_call(name: Any, *settings: Any) -> bool:
    if type(name) is not str or name not in FUNCTIONS or len(settings) != FUNCTIONS[name][0]:
        return False
    return all(type(each) is float and not math.isnan(each) for each in settings)


CHAIN = Rule(f"1 to {LONGEST_CHAIN} calls (name, settings)", _is_chain)


def evaluate_chain(chain: Sequence[Call], x: Tensor) -> Tensor:
    """Return what the functions make of x, one after the other."""
    for name, *settings in chain:
        x = FUNCTIONS[str(name)][1](x, *settings)
    return x


@op("function", attributes={"chain": CHAIN})
def function(node: Node, inputs: Sequence[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """A function of each value by itself: `chain` names functions, each with its settings."""
    return evaluate_chain(node.attrs["chain"], inputs[0])
