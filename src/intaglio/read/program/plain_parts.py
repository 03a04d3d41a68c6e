"""Which parts of a saved `.pt2` program are plain data: looked through as text, nothing is run.

torch unpickles the example inputs of an archive, and while it reads the graph it looks operators
up by dotted names in the torch module and hands the formulas of symbolic sizes to SymPy, which
evaluates them as Python. Each function `foreign_...` returns what it finds beyond the forms that
torch 2.13 writes for plain tensors, or None.
"""

from __future__ import annotations

import io
import json
import keyword
import pickletools
import re
import zipfile
from typing import Any

from intaglio.read.program.plain_formula import foreign_in_formula

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
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|torch\.sym_(int|float|max|min|not|ite|sum)|math\.(ceil|floor|trunc)"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
)
_NAME = re.compile(r"[A-Za-z_]\w{0,499}", re.ASCII)
_KEY = re.compile(r"[^\x00-\x1f\x7f\"\\\\]{0,1000}")
_RANGED_SYMBOL = re.compile(r"[a-z]{1,4}\d{1,4}", re.ASCII)
_METADATA = frozenset({"stack_trace", "nn_module_stack", "torch_fn"})
_NAMES = frozenset({"name", "as_name"})
_KEYS = frozenset(
    {"parameter_name", "buffer_name", "tensor_constant_name", "custom_obj_name", "fqn"}
    | {"user_input_name", "as_device"}
)
_NAMED_VALUES = frozenset(
    {"tensor_values", "sym_int_values", "sym_float_values", "sym_bool_values", "custom_obj_values"}
)
_CONTAINERS = frozenset({"builtins.tuple", "builtins.list", "builtins.dict"})
LARGEST_PROGRAM_BYTES = 2**25
MOST_CALLS = 20_000
"""torch takes about a millisecond for each."""
LONGEST_FORMULAS, MOST_FORMULAS = 2**21, 200
"""Characters of all formulas, and how many different ones: SymPy takes 0.3 s for the worst seen."""
DEEPEST_JSON = 60
LONGEST_SPEC = 100_000


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


def foreign_in_program(program: Any) -> str | None:
    """Look through the graph's JSON: operators of ATen alone, and formulas of sizes alone.

    Names too: torch writes them into a Python function that it compiles. And how much there is, as
    torch's own work on it has no bound: the constants above say how much.
    """
    found = _foreign_in_ranges(program["range_constraints"])
    waiting: list[tuple[str, Any, int]] = [("", program, 0)]
    calls, formulas = 0, list[str]()
    while waiting and not found:
        key, value, depth = waiting.pop()
        if depth > DEEPEST_JSON:
            return "its depth"
        calls += key == "target"
        if key == "expr_str":
            formulas.append(str(value))
        found = _foreign_value(key, value)
        if type(value) is dict:
            waiting += [(inner, value[inner], depth + 1) for inner in value]
        elif type(value) is list:
            waiting += [("", inner, depth + 1) for inner in value]
    if calls > MOST_CALLS:
        return f"its size ({calls} calls)"
    if sum(map(len, formulas)) > LONGEST_FORMULAS or len(set(formulas)) > MOST_FORMULAS:
        return f"its size ({len(formulas)} formulas)"
    return found


def _foreign_value(key: str, value: Any) -> str | None:
    """Return what is foreign in the value of one key, but for what is inside it."""
    if key == "as_custom_obj":
        return "an object that is no tensor"
    if key == "expr_str" and (found := foreign_in_formula(str(value))):
        return f"the formula {str(value)[:80]!r} ({found})"
    if key in ("in_spec", "out_spec") and type(value) is str and not is_plain_spec(value):
        return "the structure of its inputs or outputs"
    if key in _NAMED_VALUES and type(value) is dict:
        return next((f"the name {name[:40]!r}" for name in value if not _is_name(name)), None)
    if key == "forward_arg_names" and type(value) is list:
        return None if all(map(_is_name, value)) else "the name of an input"
    if type(value) is not str:
        return None
    if key in ("target", "as_operator") and not _OPERATORS.fullmatch(value):
        return f"the operator '{value[:80]}'"
    if key in _NAMES and not _is_name(value):
        return f"the name {value[:40]!r}"
    return f"the name {value[:40]!r}" if key in _KEYS and not _KEY.fullmatch(value) else None


def _is_name(value: object) -> bool:
    """Whether a value can stand in a Python function as a name and as nothing else."""
    return value == "" or (
        type(value) is str and _NAME.fullmatch(value) is not None and not keyword.iskeyword(value)
    )


def _foreign_in_ranges(ranges: dict[str, Any]) -> str | None:
    """Look through the bounds of symbols: torch counts up to the number in a symbol's name."""
    for symbol, bounds in ranges.items():
        limits = [bounds["min_val"], bounds["max_val"]]
        is_plain = all(x is None or (type(x) is int and abs(x) < 2**63) for x in limits)
        if not is_plain or not _RANGED_SYMBOL.fullmatch(symbol):
            return f"the bounds of '{symbol[:40]}'"
    return None


def is_plain_spec(text: str) -> bool:
    """Whether a structure of inputs or outputs is of tuples, lists and dicts with plain keys."""
    if len(text) > LONGEST_SPEC:
        return False
    version, tree = json.loads(text)
    waiting = [(tree, 0)]
    while waiting:
        part, depth = waiting.pop()
        keys = json.loads(part["context"] or "null")
        is_plain = part["type"] is None or part["type"] in _CONTAINERS
        if depth > DEEPEST_JSON or not is_plain or not all(map(_is_spec_key, keys or ())):
            return False
        waiting += [(child, depth + 1) for child in part["children_spec"]]
    return bool(version == 1)


def _is_spec_key(key: object) -> bool:
    return type(key) is int or _is_name(key)


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
