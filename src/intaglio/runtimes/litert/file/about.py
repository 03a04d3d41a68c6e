"""What a .tflite file says of itself, read back: the buffer that file/metadata.py writes."""

from __future__ import annotations

import json
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from intaglio.data.preprocess import Preprocess
from intaglio.errors import IntaglioError, RequestError
from intaglio.runtimes.litert.file.metadata import CORE_KEY, JSON_NAME
from intaglio.runtimes.litert.format.schema_facts import names_of
from intaglio.targets.runtime import About

SHOWN_LETTERS = 80
OPERATORS = names_of(schema.BuiltinOperator)


def input_shape(content: bytes) -> tuple[int, ...]:
    """Return the shape that a file says it takes, in the file's layout, without running it.

    Args:
        content: What `verify` has passed.
    """
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    taken = graph.Tensors(graph.Inputs(0))
    return tuple(int(taken.Shape(axis)) for axis in range(taken.ShapeLength()))


def stored_about(content: bytes, where: str) -> About:
    """Return what a file says of its images and its scheme; nothing where it says nothing.

    Args:
        content: What `verify` has passed.
        where: The file's name, for messages.

    Raises:
        RequestError: If what it says makes no sense.
    """
    text = _metadata(content)
    if text is None:
        return About()
    try:
        stored = json.loads(text)
        said = stored["preprocess"]
        preprocess = None
        if said is not None:
            preprocess = Preprocess(
                resize=said["resize"],
                crop=said["crop"],
                mean=tuple(said["mean"] or ()),
                std=tuple(said["std"] or ()),
                fit=said.get("fit"),
            )
        return About(preprocess, scheme=str(stored.get("scheme", "")))
    except (ValueError, KeyError, TypeError, AttributeError, IntaglioError) as error:
        raise RequestError(f"{where}: its preprocessing cannot be read ({error})") from error


def core_outputs(content: bytes, where: str) -> tuple[int, ...]:
    """Return the tensors that are the network's own outputs, of a file that ends in boxes.

    () of any other file, whose own outputs they are.

    Args:
        content: What `verify` has passed, or what this process has written.
        where: The file's name, for messages.

    Raises:
        RequestError: If the file names tensors that its operators do not make.
    """
    text = _metadata(content)
    if text is None:
        return ()
    try:
        names = [str(name) for name in json.loads(text).get(CORE_KEY, ())]
    except (ValueError, TypeError, AttributeError) as error:
        raise RequestError(f"{where}: what it says of itself cannot be read ({error})") from error
    made = _made(content) if names else {}
    for name in names:
        if len(made.get(name, ())) != 1:
            raise RequestError(
                f"{where}: '{name[:SHOWN_LETTERS]}' is said to be an output of its network, and"
                f" {len(made.get(name, ()))} tensors that its operators make are called so: it is"
                " damaged"
            )
    return tuple(made[name][0] for name in names)


def end_operators(content: bytes) -> list[str]:
    """Return names of the operators behind those that make a file's outputs, in order.

    Of a copy of a file that ends in boxes, which gives its network's outputs, they are that end.
    """
    model = schema.Model.GetRootAs(content, 0)
    graph, names = model.Subgraphs(0), list[str]()
    outputs = {int(graph.Outputs(place)) for place in range(graph.OutputsLength())}
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        made = {int(operator.Outputs(place)) for place in range(operator.OutputsLength())}
        if made & outputs:
            names = []
        else:
            names.append(_operator_name(model.OperatorCodes(operator.OpcodeIndex())))
    return names


def _operator_name(code: Any) -> str:
    """Return how an interpreter calls an operator."""
    custom = code.CustomCode()
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    return str(OPERATORS[number]) if custom is None else str(custom.decode("utf-8", "replace"))


def _made(content: bytes) -> dict[str, list[int]]:
    """Return the tensors that operators make, by name."""
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    found: dict[str, list[int]] = {}
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        for place in range(operator.OutputsLength()):
            index = int(operator.Outputs(place))
            name = (graph.Tensors(index).Name() or b"").decode("utf-8", "replace")
            found.setdefault(name, []).append(index)
    return found


def _metadata(content: bytes) -> bytes | None:
    """Return the named buffer that intaglio writes; None where the file has none."""
    model = schema.Model.GetRootAs(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == JSON_NAME.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
    return None
