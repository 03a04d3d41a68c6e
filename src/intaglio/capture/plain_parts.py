"""Which parts of a saved `.pt2` program are plain data: looked through as text, nothing is run.

torch unpickles the example inputs of an archive, and while it reads the graph it looks operators
up by dotted names in the torch module and hands the formulas of symbolic sizes to SymPy, which
evaluates them as Python. Each function `foreign_...` returns what it finds beyond the forms that
torch 2.13 writes for plain tensors, or None.
"""

from __future__ import annotations

import ast
import io
import pickletools
import re
import zipfile
from typing import Any

_DATA_OPCODES = re.compile(
    r"PROTO|FRAME|STOP|MARK|NONE|NEWTRUE|NEWFALSE|BININT[12]?|LONG1|BINFLOAT|(SHORT_)?BINUNICODE"
    r"|EMPTY_TUPLE|TUPLE[123]?|EMPTY_LIST|APPENDS?|EMPTY_DICT|SETITEMS?|(LONG_)?BINPUT"
    r"|(LONG_)?BINGET|MEMOIZE|GLOBAL|REDUCE|BINPERSID"
)
_DATA_GLOBALS = re.compile(
    r"torch\._utils _rebuild_tensor_v2|collections OrderedDict"
    r"|torch (Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage"
)
_OPERATORS = re.compile(
    r"torch\.ops\.aten\.(?!from_file\b)\w+\.\w+"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|torch\.sym_(int|float|max|min|not|ite|sum)|math\.(ceil|floor|trunc)"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
)
_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIZE_SYMBOL = re.compile(r"[a-z]\d+")
_FORMULA_CALLS = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|(Python)?Mod|(Floor|Clean|IntTrue)Div"
    r"|(Ceil|Floor|Trunc)ToInt|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not"
)
_FORMULA_SYNTAX = (
    ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Constant, ast.BinOp, ast.UnaryOp,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.USub,
)  # fmt: skip
_LARGEST_FORMULA = 2000
_METADATA = frozenset({"stack_trace", "nn_module_stack", "torch_fn"})


def foreign_in_examples(content: bytes) -> str | None:
    """Look through the example inputs, a file of torch.save: plain tensors in tuples and dicts."""
    if not content:
        return None
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        pickles = [name for name in archive.namelist() if name.endswith(".pkl")]
        for name in pickles:
            for opcode, argument, _ in pickletools.genops(archive.read(name)):
                if not _DATA_OPCODES.fullmatch(opcode.name):
                    return f"its example inputs (pickle opcode {opcode.name})"
                if opcode.name == "GLOBAL" and not _DATA_GLOBALS.fullmatch(str(argument)):
                    return f"its example inputs (they call {argument})"
    return None if len(pickles) == 1 else "its example inputs (no single pickle)"


def foreign_in_program(value: Any) -> str | None:
    """Look through the graph's JSON: operators of ATen alone, and formulas of sizes alone."""
    if type(value) is list:
        return next(filter(None, map(foreign_in_program, value)), None)
    if type(value) is not dict:
        return None
    for key, inner in value.items():
        if key in ("target", "as_operator") and type(inner) is str:
            if not _OPERATORS.fullmatch(inner):
                return f"the operator '{inner}'"
        elif key == "as_custom_obj":
            return "an object that is no tensor"
        elif key == "expr_str" and foreign_in_formula(str(inner)):
            return f"the formula {str(inner)[:80]!r}"
        found = foreign_in_program(inner)
        if found:
            return found
    return None


def foreign_in_formula(formula: str) -> str | None:
    """Look through the formula of a symbolic size, such as "Mul(Integer(2), Symbol('s77'))"."""
    if len(formula) > _LARGEST_FORMULA:
        return "its length"
    try:
        tree = ast.parse(formula, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "its syntax"
    for node in ast.walk(tree):
        if not isinstance(node, _FORMULA_SYNTAX):
            return type(node).__name__
        if isinstance(node, ast.Call) and not _is_formula_call(node):
            return "a call"
        if isinstance(node, ast.Constant) and not _is_formula_constant(node.value):
            return repr(node.value)
        if isinstance(node, ast.Name) and not _is_formula_name(node.id):
            return node.id
    return None


def without_code(program: dict[str, Any]) -> dict[str, Any]:
    """Return the graph's JSON without guards, which are Python text, and most metadata."""
    return {**_without_metadata(program), "guards_code": []}


def _without_metadata(value: Any) -> Any:
    if type(value) is list:
        return [_without_metadata(inner) for inner in value]
    if type(value) is not dict:
        return value
    return {
        key: {name: text for name, text in inner.items() if name in _METADATA}
        if key == "metadata" and type(inner) is dict
        else _without_metadata(inner)
        for key, inner in value.items()
    }


def _is_formula_call(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and bool(_FORMULA_CALLS.fullmatch(node.func.id))


def _is_formula_name(name: str) -> bool:
    return bool(_FORMULA_CALLS.fullmatch(name) or _SIZE_SYMBOL.fullmatch(name))


def _is_formula_constant(value: object) -> bool:
    if isinstance(value, str):
        return _SYMBOL.fullmatch(value) is not None
    return isinstance(value, bool | int | float)
