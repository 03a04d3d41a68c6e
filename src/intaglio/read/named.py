"""From the command line's MODEL to a network: `mobilenet_v1(width=0.5)`, `package.module:name`."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType

import torch
from torch import nn

from intaglio.data.preprocess import Preprocess
from intaglio.errors import RequestError, UnknownName, cause
from intaglio.zoo.catalog import ZOO

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


@dataclass(frozen=True)
class BuiltModel:
    """A network and what is known about its input.

    Attributes:
        module: The network, in evaluation mode, with random weights unless its factory loads some.
        preprocess: What its images need, or None when nothing tells it.
        input_shape: [1, C, H, W], or None when nothing tells it.
        name: The request's name, without its arguments.
    """

    module: nn.Module
    preprocess: Preprocess | None
    input_shape: tuple[int, ...] | None
    name: str


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


def build_model(request: ModelRequest, seed: int = 0) -> BuiltModel:
    """Return the network that `request` names, in evaluation mode.

    The same seed gives the same random weights; PyTorch's own random state is left as it was.
    A `package.module:factory` is imported from the Python path or the current directory.

    Raises:
        UnknownName: If the name is neither in the zoo nor `package.module:factory`.
        RequestError: If the module or factory is not found, a keyword is wrong, the factory fails,
            or its result is no nn.Module.
    """
    with torch.random.fork_rng(devices=[]):
        if ":" in request.name:
            with _current_directory_importable():
                factory = _imported_factory(request.name)
                module = _call(factory, request, seed)
            return BuiltModel(module, None, None, request.name)
        if request.name not in ZOO and "." in request.name:
            raise _unknown_dotted_name(request.name)
        entry = ZOO[request.name].with_arguments(request.arguments)
        module = _call(entry.build, request, seed)
        return BuiltModel(module, entry.preprocess, entry.input_shape, entry.name)


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
    return literal


def _shown(value: ast.expr) -> str:
    """Return the text of an argument, as far as it can be written again."""
    try:
        return ast.unparse(value)[:LONGEST_SHOWN]
    except (RecursionError, ValueError):  # deeper than Python can follow; a number too long
        return "..."


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    """Put the current directory first on the import path, as `python -m` does, for a while."""
    directory = os.getcwd()
    sys.path.insert(0, directory)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(directory)


def _imported_factory(name: str) -> Callable[..., object]:
    module_name, _, factory_name = name.partition(":")
    if not all(map(str.isidentifier, [*module_name.split("."), *factory_name.split(".")])):
        raise RequestError(f"cannot read the model {name!r}: write package.module:factory")
    found: object = _imported_module(module_name, asked_as=name)
    for part in factory_name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise RequestError(f"module '{module_name}' has no factory '{factory_name}'{hint}")
        found = getattr(found, part)
    if isinstance(found, nn.Module) or not callable(found):
        raise RequestError(
            f"'{name}' is a {type(found).__name__}, not a factory: name a function or class that"
            " returns the nn.Module when it is called"
        )
    factory: Callable[..., object] = found
    return factory


def _imported_module(module_name: str, asked_as: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except Exception as error:  # the user's code may raise anything while it is imported
        missing = isinstance(error, ModuleNotFoundError) and error.name is not None
        if missing and f"{module_name}.".startswith(f"{error.name}."):  # type: ignore[attr-defined]
            raise RequestError(
                f"no module '{module_name}' for the model '{asked_as}' on the Python path or in the"
                f" current directory {os.getcwd()}"
            ) from error
        raise RequestError(f"importing '{module_name}' failed: {cause(error)}") from error


def _call(factory: Callable[..., object], request: ModelRequest, seed: int) -> nn.Module:
    _check_keywords(factory, request)
    torch.manual_seed(seed)
    try:
        module = factory(**request.arguments)
    except RequestError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise RequestError(f"building '{request}' failed: {cause(error)}") from error
    if not isinstance(module, nn.Module):
        raise RequestError(
            f"'{request}' gave a {type(module).__name__}, not an nn.Module: name a factory that"
            " returns the network"
        )
    return module.eval()


def _check_keywords(factory: Callable[..., object], request: ModelRequest) -> None:
    """Raise RequestError when the factory's signature, where it has one, refuses the arguments."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # some classes written in C have none
        return
    try:
        signature.bind(**request.arguments)
    except TypeError as error:
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        accepted = [p.name for p in signature.parameters.values() if p.kind in kinds]
        raise RequestError(
            f"'{request}': {error}; {request.name} takes {', '.join(accepted) or 'no arguments'}"
        ) from error


def _unknown_dotted_name(name: str) -> UnknownName:
    head, _, tail = name.rpartition(".")
    return UnknownName(
        f"unknown model '{name}': neither in the zoo ({', '.join(ZOO)}) nor package.module:factory;"
        f" did you mean {head}:{tail}?"
    )
