"""What MODEL asks for by name: `mobilenet_v1(width=0.5)`, `package.module:factory`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from intaglio.errors import RequestError

_NAME_AND_ARGUMENTS = re.compile(r"(?P<name>[^()]+)(?:\((?P<arguments>.*)\))?", re.DOTALL)

LONGEST_TEXT = 20_000
LONGEST_SHOWN = 200
"""Letters of an argument in a message."""


@dataclass(frozen=True)
class ModelRequest:
    """Which network is asked for.

    Attributes:
        name: A zoo name, or `package.module:factory`.
        arguments: Keyword arguments for the factory, Python literals.
    """

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the text that parses to this request."""
        if not self.arguments:
            return self.name
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"{self.name}({arguments})"


def parse_model(text: str) -> ModelRequest:
    """Return the request that `text` spells: a name, and literal keyword arguments in brackets.

    Nothing is evaluated or imported, and the name is not looked up yet.

    Raises:
        RequestError: If the brackets hold anything but `keyword=literal`, or the name is empty.
    """
    if len(text) > LONGEST_TEXT:
        raise RequestError(f"the model has {len(text)} letters, {LONGEST_TEXT} at most are read")
    match = _NAME_AND_ARGUMENTS.fullmatch(text.strip())
    if match is None:
        raise RequestError(
            f"cannot read the model {text!r}: write a name, or a name and keyword arguments in"
            " brackets at its end, such as mobilenet_v1_tf(width=0.25)"
        )
    return ModelRequest(match["name"].strip(), _literal_arguments(match["arguments"] or "", text))


def is_factory_name(name: str) -> bool:
    """Whether a name has the form `package.module:factory`."""
    module_name, _, factory_name = name.partition(":")
    return all(map(str.isidentifier, [*module_name.split("."), *factory_name.split(".")]))


def _literal_arguments(inside: str, text: str) -> dict[str, object]:
    try:
        call = ast.parse(f"f({inside})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise RequestError(f"cannot read the arguments of the model {text!r}: {reason}") from error
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise RequestError(
            f"cannot read the arguments of the model {text!r}: only one pair of brackets is allowed"
        )
    if call.args:
        raise RequestError(
            f"the model {text!r} has an argument without a keyword, {_shown(call.args[0])}:"
            " write it as keyword=value"
        )
    arguments: dict[str, object] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            what = "** arguments" if keyword.arg is None else f"'{keyword.arg}' twice"
            raise RequestError(f"the model {text!r} has {what}: write each keyword=value once")
        arguments[keyword.arg] = _literal(keyword.value, keyword.arg, text)
    return arguments


def _literal(value: ast.expr, keyword: str, text: str) -> object:
    try:
        literal: object = ast.literal_eval(value)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise RequestError(
            f"the model {text!r} has '{keyword}={_shown(value)}', which is not a literal:"
            " only numbers, quoted text, True, False, None and tuples, lists or dicts of them are"
        ) from error
    try:
        repr(literal)
    except ValueError:  # of a number that is written in hexadecimal; no message could hold it
        raise RequestError(
            f"the model {text[:LONGEST_SHOWN]!r} has a '{keyword}' with a number too long to show"
        ) from None
    return literal


def _shown(value: ast.expr) -> str:
    """Return the text of an argument, as far as it can be written again."""
    try:
        return ast.unparse(value)[:LONGEST_SHOWN]
    except (RecursionError, ValueError):  # deeper than Python can follow; a number too long
        return "..."
