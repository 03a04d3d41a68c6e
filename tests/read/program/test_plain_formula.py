"""Formulas of sizes: what torch writes passes, what calls, and what has no bound, does not."""

from __future__ import annotations

import pytest
import sympy

from intaglio.read.program.plain_formula import foreign_in_formula

BATCH = "Symbol('s77', positive=True, integer=True)"


@pytest.mark.parametrize(
    "formula",
    [
        "7",
        "s77",
        BATCH,
        f"Mul(Integer(2), {BATCH})",
        f"Mul(Integer(3136), Pow({BATCH}, Integer(2)))",
        f"Add(FloorDiv(Add({BATCH}, Integer(-1)), Integer(2)), Integer(1))",
        f"Max(Integer(1), {BATCH})",
        f"Pow({BATCH}, Integer(-1))",
        f"Pow({BATCH}, Rational(1, 2))",
        "Mod(s3, Integer(9223372036854775807))",
    ],
)
def test_formulas_of_sizes_are_plain(formula: str) -> None:
    assert foreign_in_formula(formula) is None


@pytest.mark.parametrize("size", [1, 3])
def test_what_sympy_writes_for_sizes_of_a_network_is_plain(size: int) -> None:
    height = sympy.Symbol("s34", positive=True, integer=True)
    made = (height * size + 5) * (height + 1) ** 2 * 64

    assert foreign_in_formula(sympy.srepr(made)) is None


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os')",
        "exit()",
        "s77.__class__",
        "Symbol('s77').func.__globals__",
        "[].append(1)",
        "(lambda: 0)()",
        "Symbol('a b')",
        "Symbol(open('x'))",
        "Symbol('s77', commutative=False)",
        "Add(s0, s1, evaluate=False)",
        "Add(*s77)",
        "Add(**s77)",
        "eval('1')",
        "Mul(2, x if y else z)",
        "sympify",
        "(",
    ],
)
def test_formulas_that_could_run_code_are_foreign(formula: str) -> None:
    assert foreign_in_formula(formula) is not None


@pytest.mark.parametrize(
    "formula",
    [
        "9**9**9",
        "1 << 99999999",
        "Pow(Integer(9), Integer(9))",
        "Pow(Integer(2), s77)",
        "Pow(s77, s77)",
        "Pow(s77, Float(1e300))",
        "Pow(Pow(Pow(s77, Integer(8)), Integer(8)), Integer(8))",
        "Mul(" + ", ".join(["Pow(Add(s0, s1, Integer(1)), Integer(4))"] * 4) + ")",
        "Mul(" + ", ".join(["Add(s0, s1, s2, s3)"] * 5) + ")",
        "Mul(" * 30 + "s0" + ", s1)" * 30,
        "Max(" * 4 + "s0" + ", s1)" * 4,
        "Max(s0, s1, s2, s3, s4)",
        "Add(" + ", ".join(["s0"] * 33) + ")",
        "Add(" + ", ".join(["Add(s0, s1)"] * 30) + ")",
        "Integer(" + "9" * 30 + ")",
        "Integer(" + "9" * 1900 + ")",
        "Float(1e999)",
        "Rational(1, 0.5)",
        "Rational(1, s0)",
        "-s0",
        "(" * 300 + ")" * 300,
        "s0" + " " * 2000,
    ],
)
def test_formulas_without_bound_are_foreign(formula: str) -> None:
    assert foreign_in_formula(formula) is not None
