"""Functions of one value in float32, by the runtime's own operators.

What has no operator is composed of others. Bounds of the error are beside the composition where it
is more than a few roundings of the result; tests/runtimes/litert/ops/test_float_functions.py holds
each function to them, on both targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from intaglio.ir.graph import Node
from intaglio.runtimes.litert.ops.composition import Composition
from intaglio.runtimes.litert.ops.writing import Writing

Compose = Callable[..., int]
"""(composition, tensor, *settings) -> tensor."""
ERF_SLOPE = 2.0 / math.sqrt(math.pi)
SMALLEST_ARGUMENT = 1e-4
"""Of GELU in erf: below it erf is its tangent to 1e-9 of its value."""
EXP_LIMIT = 20.0
"""Beyond it 1 + exp(x) is exp(x) in float32, and exp(2 x) is still finite."""
ROUNDER = 1.5 * 2.0**23
"""A float32 to which nothing but whole numbers can be added."""
WHOLE_POWERS = (2.0, 3.0, 4.0)
"""Powers that are written as products."""


def write_float_function(node: Node, writing: Writing) -> None:
    """Write a `function` node that stays in float: its chain, one function after the other."""
    made = Composition(node, writing)
    value = made.flat_where_wide(made.inputs[0])
    for name, *settings in node.attrs["chain"]:
        value = FLOAT_FUNCTIONS[str(name)](made, value, *settings)
    made.finish(value)


def _plain(word: str) -> Compose:
    return lambda made, x: made.apply(word, x)


def _number(made: Composition, x: int, value: float) -> int:
    return made.number(value, len(made.shape(x)))


def _with(word: str) -> Compose:
    return lambda made, x, value: made.apply(word, x, _number(made, x, value))


def _clamp(made: Composition, x: int, low: float, high: float) -> int:
    """min(max(x, low), high); ReLU and its like have operators of their own."""
    words = {(0.0, math.inf): "RELU", (0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1"}
    if (low, high) in words:
        return made.apply(words[low, high], x)
    if low > -math.inf:
        x = made.apply("MAXIMUM", x, _number(made, x, low))
    if high < math.inf:
        x = made.apply("MINIMUM", x, _number(made, x, high))
    return x


def _elu(made: Composition, x: int, alpha: float, scale: float, rate: float) -> int:
    """scale x above zero, alpha scale (exp(rate x) - 1) below; the reference kernels lack ELU."""
    below = _clamp(made, x, -math.inf, 0.0)
    below = below if rate == 1.0 else _with("MUL")(made, below, rate)
    below = _expm1(made, below)
    above = made.apply("RELU", x)
    if alpha * scale != 1.0:
        below = _with("MUL")(made, below, alpha * scale)
    if scale != 1.0:
        above = _with("MUL")(made, above, scale)
    return made.apply("ADD", above, below)


def _gelu(approximate: bool) -> Compose:
    def compose(made: Composition, x: int) -> int:
        """GELU."""
        chosen = made.writing.build.options("GeluOptions", approximate=approximate)
        return made.apply("GELU", x, options=chosen)

    return compose


def _leaky_relu(made: Composition, x: int, slope: float) -> int:
    chosen = made.writing.build.options("LeakyReluOptions", alpha=slope)
    return made.apply("LEAKY_RELU", x, options=chosen)


def _erf(made: Composition, x: int) -> int:
    """x min((2 gelu(a) / a - 1) sqrt(2) / a, 2 / sqrt(pi)), a = max(sqrt(2) |x|, 1e-4).

    gelu(a) = a (1 + erf(a / sqrt(2))) / 2. The difference with 1 leaves an error of some 1e-7; near
    zero, where it counts, erf is its tangent, which is above it everywhere.
    """
    size = _with("MUL")(made, made.apply("ABS", x), math.sqrt(2.0))
    argument = _with("MAXIMUM")(made, size, SMALLEST_ARGUMENT)
    ratio = made.apply("DIV", _gelu(approximate=False)(made, argument), argument)
    far = _with("SUB")(made, _with("MUL")(made, ratio, 2.0), 1.0)
    slope = _with("MUL")(made, made.apply("DIV", far, argument), math.sqrt(2.0))
    return made.apply("MUL", x, _with("MINIMUM")(made, slope, ERF_SLOPE))


def _expm1(made: Composition, x: int) -> int:
    """exp(x) - 1: right to the rounding of 1."""
    return _with("SUB")(made, made.apply("EXP", x), 1.0)


def _log1p(made: Composition, x: int) -> int:
    """log(1 + x): right to the rounding of 1."""
    return made.apply("LOG", _with("ADD")(made, x, 1.0))


def _soft_step(made: Composition, x: int) -> int:
    """log(1 + exp(-|x|))."""
    return _log1p(made, made.apply("EXP", made.apply("NEG", made.apply("ABS", x))))


def _softplus(made: Composition, x: int, beta: float, threshold: float) -> int:
    """log(1 + exp(beta x)) / beta; x where beta x > threshold."""
    scaled = x if beta == 1.0 else _with("MUL")(made, x, beta)
    soft = made.apply("ADD", made.apply("RELU", scaled), _soft_step(made, scaled))
    soft = soft if beta == 1.0 else _with("DIV")(made, soft, beta)
    if threshold >= EXP_LIMIT:
        return soft
    beyond = made.question("GREATER", scaled, _number(made, x, threshold))
    return made.choose(beyond, x, soft)


def _log_sigmoid(made: Composition, x: int) -> int:
    """min(x, 0) - log(1 + exp(-|x|))."""
    return made.apply("SUB", _clamp(made, x, -math.inf, 0.0), _soft_step(made, x))


def _mish(made: Composition, x: int) -> int:
    """x n / (n + 2), n = e (e + 2), e = exp(x): tanh(log(1 + e)) without either."""
    grown = made.apply("EXP", _clamp(made, x, -math.inf, EXP_LIMIT))
    above = made.apply("MUL", grown, _with("ADD")(made, grown, 2.0))
    share = made.apply("DIV", above, _with("ADD")(made, above, 2.0))
    return made.apply("MUL", x, share)


def _pow(made: Composition, x: int, power: float) -> int:
    """x**power; the usual ones by operators that are faster."""
    if power == 0.0:
        return _with("ADD")(made, _with("MUL")(made, x, 0.0), 1.0)
    if power == 1.0:
        return x
    if power == 0.5:
        return made.apply("SQRT", x)
    if power == -1.0:
        return _reciprocal(made, x)
    if power in WHOLE_POWERS:
        square = made.apply("MUL", x, x)
        return square if power == 2.0 else made.apply("MUL", square, x if power == 3.0 else square)
    return _with("POW")(made, x, power)


def _atan(made: Composition, x: int) -> int:
    """atan2(x, 1); that operator does not broadcast."""
    return made.apply("ATAN2", x, made.store(np.ones(made.shape(x), np.float32)))


def _ceil(made: Composition, x: int) -> int:
    """-floor(-x): the reference kernels have no CEIL."""
    return made.apply("NEG", made.apply("FLOOR", made.apply("NEG", x)))


def _round(made: Composition, x: int) -> int:
    """(x + 1.5 * 2**23) - 1.5 * 2**23, half to even: the reference kernels have no ROUND."""
    return _with("SUB")(made, _with("ADD")(made, x, ROUNDER), ROUNDER)


def _reciprocal(made: Composition, x: int) -> int:
    return made.apply("DIV", _number(made, x, 1.0), x)


def _hard_sigmoid(made: Composition, x: int) -> int:
    """relu6(x + 3) / 6."""
    moved = made.apply("ADD", x, _number(made, x, 3.0), clamp="RELU6")
    return _with("MUL")(made, moved, 1.0 / 6.0)


def _hardshrink(made: Composition, x: int, bound: float) -> int:
    """x where |x| > bound, else 0."""
    outside = made.question("GREATER", made.apply("ABS", x), _number(made, x, bound))
    return made.choose(outside, x, _number(made, x, 0.0))


def _softshrink(made: Composition, x: int, bound: float) -> int:
    """x less what lies within the bounds."""
    return made.apply("SUB", x, _clamp(made, x, -bound, bound))


def _threshold(made: Composition, x: int, bound: float, value: float) -> int:
    """x where x > bound, else value."""
    above = made.question("GREATER", x, _number(made, x, bound))
    return made.choose(above, x, _number(made, x, value))


FLOAT_FUNCTIONS: dict[str, Compose] = {
    "abs": _plain("ABS"),
    "add": _with("ADD"),
    "atan": _atan,
    "ceil": _ceil,
    "clamp": _clamp,
    "cos": _plain("COS"),
    "elu": _elu,
    "erf": _erf,
    "exp": _plain("EXP"),
    "expm1": _expm1,
    "floor": _plain("FLOOR"),
    "gelu": _gelu(approximate=False),
    "gelu_tanh": _gelu(approximate=True),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _plain("HARD_SWISH"),
    "hardshrink": _hardshrink,
    "leaky_relu": _leaky_relu,
    "log": _plain("LOG"),
    "log1p": _log1p,
    "log_sigmoid": _log_sigmoid,
    "mish": _mish,
    "mul": _with("MUL"),
    "pow": _pow,
    "reciprocal": _reciprocal,
    "round": _round,
    "rsqrt": _plain("RSQRT"),
    "sigmoid": _plain("LOGISTIC"),
    "sign": _plain("SIGN"),
    "silu": lambda made, x: made.apply("MUL", x, made.apply("LOGISTIC", x)),
    "sin": _plain("SIN"),
    "softplus": _softplus,
    "softshrink": _softshrink,
    "softsign": lambda made, x: made.apply("DIV", x, _with("ADD")(made, made.apply("ABS", x), 1.0)),
    "sqrt": _plain("SQRT"),
    "square": _plain("SQUARE"),
    "tan": lambda made, x: made.apply("DIV", made.apply("SIN", x), made.apply("COS", x)),
    "tanh": _plain("TANH"),
    "tanhshrink": lambda made, x: made.apply("SUB", x, made.apply("TANH", x)),
    "threshold": _threshold,
}
"""Function to what composes it, for every name of ops/function.py."""
