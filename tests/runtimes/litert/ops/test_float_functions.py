"""Functions of one value that stay in float: the file gives what torch gives, to float32 rounding.

Bounds are over max(1, |value|). A composition of n operators is right to n roundings of 2**-24
each, and the runtime's own exp, log and gelu are right to a few more: 2**-20 is 16 roundings.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.ops.function import FUNCTIONS
from intaglio.runtimes.litert.ops.float_functions import FLOAT_FUNCTIONS
from runtimes.litert.ops.all_float import in_the_runtime, largest_error, one_op
from runtimes.litert.ops.harness import TARGETS

ROUNDINGS = 2.0**-20
SETTINGS = {
    "add": [(0.3,)],
    "clamp": [(-1.0, 2.0), (0.0, 6.0), (0.5, float("inf"))],
    "elu": [(1.0, 1.0, 1.0), (0.5, 1.05, 1.0), (1.0, 1.0, 2.0)],
    "hardshrink": [(0.5,)],
    "leaky_relu": [(0.1,)],
    "mul": [(1.7,)],
    "pow": [(2.5,), (-0.5,), (-1.0,), (0.0,), (0.5,), (1.0,), (2.0,), (3.0,), (4.0,)],
    "softplus": [(1.0, 20.0), (2.0, 20.0), (1.0, 1.0)],
    "softshrink": [(0.5,)],
    "threshold": [(0.1, 20.0)],
}
POSITIVE = {"log", "sqrt", "rsqrt", "pow", "log1p"}
SHAPES = [(7,), (6, 5), (4, 3, 5), (2, 3, 4, 5)]
CALLS = [(name, *chosen) for name in FUNCTIONS for chosen in SETTINGS.get(name, [()])]


def images_for(name, shape):
    x = 3.0 * torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    if name == "tan":
        return x / 4.0
    return x.abs() + 0.01 if name in POSITIVE else x


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: "-".join(map(str, call)))
def test_a_function_in_float_is_torchs_to_a_few_roundings(call, target):
    for shape in SHAPES:
        graph = one_op(shape, "function", chain=(call,))
        slope = 40.0 if call[0] == "tan" else 1.0  # 1 / cos(x)**2 of what is given

        assert largest_error(graph, images_for(call[0], shape), target) < slope * ROUNDINGS


def test_every_function_has_a_form_in_float():
    assert FLOAT_FUNCTIONS.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_chain_is_one_function_after_the_other(target):
    chain = (("square",), ("add", 1e-3), ("rsqrt",), ("mul", 0.5), ("gelu",))
    graph = one_op((4, 3, 5), "function", chain=chain)

    assert largest_error(graph, images_for("x", (4, 3, 5)), target) < len(chain) * ROUNDINGS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_functions_are_defined_where_their_compositions_are_not(target):
    # erf divides by x, log(1 + exp(x)) is infinite in float32 for 100
    x = torch.tensor([[0.0, -0.0, 1e-30, -1e-6, 100.0, -100.0]])
    for call in (
        ("erf",),
        ("softplus", 1.0, 20.0),
        ("mish",),
        ("log_sigmoid",),
        ("elu", 1.0, 1.0, 1.0),
    ):
        graph = one_op((6,), "function", chain=(call,))

        assert in_the_runtime(graph, x, target)[0].isfinite().all()
        assert largest_error(graph, x, target) < ROUNDINGS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0.01, 8.0))
@settings(max_examples=20, deadline=None)
def test_halves_are_rounded_to_even_and_ceil_is_never_below(target, seed, spread):
    generator = torch.Generator().manual_seed(seed)
    x = (2.0 * spread * torch.randn(1, 16, generator=generator)).round() / 2.0
    for name in ("round", "ceil", "floor"):
        graph = one_op((16,), "function", chain=((name,),))

        assert torch.equal(in_the_runtime(graph, x, target)[0], FUNCTIONS[name][1](x))
