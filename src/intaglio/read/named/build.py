"""From a request to a network: out of the zoo, or by the factory that it names."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import nn

from intaglio.data.preprocess import Preprocess
from intaglio.errors import RequestError, UnknownName, cause
from intaglio.read.named.request import ModelRequest, is_factory_name
from intaglio.zoo.catalog import ZOO


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
    if not is_factory_name(name):
        raise RequestError(f"cannot read the model {name!r}: write package.module:factory")
    module_name, _, factory_name = name.partition(":")
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
