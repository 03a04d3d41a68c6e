"""Formulas of symbolic sizes in a saved program: which of them SymPy is given to evaluate.

torch writes them as SymPy's own spelling, "Mul(Integer(2), Symbol('s77', positive=True))", and has
SymPy evaluate them as Python when it reads them. So only calls of a few names with literals are let
through, and only while the work that they can make is small: SymPy multiplies sums out and raises
numbers to powers, so `Pow(Pow(s77, 9), 9)` of whole numbers would run for minutes.
"""

from __future__ import annotations

import ast
import math
import re

LONGEST = 2000
DEEPEST = 24
MOST_PARTS = 80
LARGEST_EXPONENT = 8
LARGEST_BITS = 2048
"""Of what a formula can come to, when each size in it has 64 bits."""
MOST_TERMS = 256
"""Of its sum when it is multiplied out."""
SIZE_BITS = 64

_SYMBOL = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_SIZE_SYMBOL = re.compile(r"[a-z]\d{1,5}", re.ASCII)
_ASSUMPTIONS = frozenset({"positive", "nonnegative", "integer", "real"})
_ARGUMENTS = {
    "Symbol": (1, 1), "Integer": (1, 1), "Float": (1, 1), "Rational": (1, 2), "Pow": (2, 2),
    "Add": (0, 32), "Mul": (0, 32), "Max": (1, 4), "Min": (1, 4), "And": (0, 4), "Or": (0, 4),
    "Not": (1, 1), "Mod": (2, 2), "PythonMod": (2, 2), "FloorDiv": (2, 2), "CleanDiv": (2, 2),
    "IntTrueDiv": (2, 2), "CeilToInt": (1, 1), "FloorToInt": (1, 1), "TruncToInt": (1, 1),
    "Eq": (2, 2), "Ne": (2, 2), "Lt": (2, 2), "Le": (2, 2), "Gt": (2, 2), "Ge": (2, 2),
}  # fmt: skip
_NUMBERS = frozenset({"Integer", "Float", "Rational"})
_COMPARED = frozenset({"Max", "Min"})
_DEEPEST_COMPARED = 3
_SYNTAX = (
    ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Constant, ast.UnaryOp, ast.USub,
)  # fmt: skip


def foreign_in_formula(formula: str) -> str | None:
    """Return what a formula has beyond plain arithmetic of bounded size; None if nothing."""
    if len(formula) > LONGEST:
        return "its length"
    try:
        tree = ast.parse(formula, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "its syntax"
    if sum(isinstance(node, ast.expr) for node in ast.walk(tree)) > MOST_PARTS:
        return "its number of parts"
    for node in ast.walk(tree):
        found = _foreign(node)
        if found:
            return found
    if _depth(tree.body) > DEEPEST or _compared_depth(tree.body) > _DEEPEST_COMPARED:
        return "its depth"
    if _bits(tree.body) > LARGEST_BITS:
        return "a number without bound"
    return "its number of terms" if _terms(tree.body) > MOST_TERMS else None


def _foreign(node: ast.AST) -> str | None:
    """Return what is wrong with one part, whatever is around it."""
    if not isinstance(node, _SYNTAX):
        return type(node).__name__
    if isinstance(node, ast.Call):
        return _foreign_call(node)
    if isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        return "a sign"
    if isinstance(node, ast.Constant) and not _is_plain(node.value):
        return repr(node.value)[:40]
    if isinstance(node, ast.Name) and not _is_known(node.id):
        return node.id[:40]
    return None


def _is_known(name: str) -> bool:
    return name in _ARGUMENTS or _SIZE_SYMBOL.fullmatch(name) is not None


def _foreign_call(call: ast.Call) -> str | None:
    name = _called(call)
    if name not in _ARGUMENTS:
        return "a call"
    fewest, most = _ARGUMENTS[name]
    if not fewest <= len(call.args) <= most:
        return f"{len(call.args)} arguments of {name}"
    if any(name != "Symbol" or word.arg not in _ASSUMPTIONS for word in call.keywords):
        return f"a keyword of {name}"
    if name in _NUMBERS and not all(_is_number(argument) for argument in call.args):
        return f"what {name} is given"
    if name == "Rational" and not all(0 < _whole(part) < 2**SIZE_BITS for part in call.args[1:]):
        return "a fraction without denominator"
    if name == "Pow" and not _is_exponent(call.args[1]):
        return "an exponent"
    return None


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return _SYMBOL.fullmatch(value) is not None
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return value.bit_length() <= SIZE_BITS
    return isinstance(value, float) and math.isfinite(value)


def _is_number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant) and type(inner.value) in (int, float)


def _is_exponent(node: ast.expr) -> bool:
    """Whether `node` is a small whole number, or a fraction of two (a root)."""
    if isinstance(node, ast.Call) and _called(node) in ("Integer", "Rational"):
        return all(_is_number(part) and abs(_whole(part)) <= LARGEST_EXPONENT for part in node.args)
    return _is_number(node) and abs(_whole(node)) <= LARGEST_EXPONENT


def _whole(node: ast.expr) -> int:
    """Return a literal whole number; a size that no bound allows for anything else."""
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    value = inner.value if isinstance(inner, ast.Constant) else None
    return value if type(value) is int else 2**SIZE_BITS


def _exponent(node: ast.expr) -> int:
    if isinstance(node, ast.Call):
        return max(abs(_whole(part)) for part in node.args)
    return abs(_whole(node))


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _arguments(node: ast.expr) -> list[ast.expr]:
    return node.args if isinstance(node, ast.Call) else []


def _depth(node: ast.expr) -> int:
    return 1 + max(map(_depth, _arguments(node)), default=0)


def _compared_depth(node: ast.expr) -> int:
    """Return how many maxima and minima are inside each other: SymPy compares all of them."""
    own = isinstance(node, ast.Call) and _called(node) in _COMPARED
    return int(own) + max(map(_compared_depth, _arguments(node)), default=0)


def _bits(node: ast.expr) -> int:
    """Return a bound of the bits of what a part comes to."""
    inner = [_bits(argument) for argument in _arguments(node)]
    if not isinstance(node, ast.Call) or not inner or _called(node) == "Symbol":
        return SIZE_BITS
    if _called(node) == "Pow":
        return int(inner[0]) * max(1, _exponent(node.args[1]))
    if _called(node) in ("Mul", "Rational"):
        return sum(inner)
    return max(inner) + len(inner)


def _terms(node: ast.expr) -> int:
    """Return a bound of the terms of a part's sum when it is multiplied out."""
    inner = [_terms(argument) for argument in _arguments(node)]
    if not isinstance(node, ast.Call) or not inner:
        return 1
    if _called(node) == "Pow":
        return min(MOST_TERMS + 1, int(inner[0] ** max(1, _exponent(node.args[1]))))
    if _called(node) == "Mul":
        return min(MOST_TERMS + 1, math.prod(inner))
    return sum(inner)
