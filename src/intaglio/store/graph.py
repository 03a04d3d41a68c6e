"""A graph as two files: weights in safetensors, structure in JSON. Nothing is ever unpickled.

    {"format": "intaglio graph", "version": 1, "inputs": [..], "outputs": [..],
     "output_names": [..],
     "nodes": [{"name": .., "op": .., "inputs": [..], "params": {..}, "attrs": {..}, "shape": [..],
                "source": ..}]}

`output_names` is there only where the network gives its outputs names.
JSON lists are the graph's tuples, and infinities are the strings "inf" and "-inf".
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from intaglio.errors import GraphError, IntaglioError, OutputError, WeightsError, cause
from intaglio.host.files import write_file
from intaglio.host.strict_json import read_json
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ir.storage import settled_all
from intaglio.ops import check_node
from intaglio.ops.stored_weights import check_weights
from intaglio.ops.verify import verify

FORMAT, VERSION = "intaglio graph", 1
LARGEST = 2**31 - 1
"""Bound of the elements of one value for one image."""
LARGEST_RANK = 8
LARGEST_STRUCTURE_BYTES = 2**25
INFINITIES = {"inf": math.inf, "-inf": -math.inf}
DTYPES = (torch.float32, torch.float64, torch.int64, torch.int32, torch.bool)


class OpaqueGraphError(GraphError):
    """A graph with an op that intaglio does not know: it holds code, which no file of ours does."""


def save_graph(graph: Graph, path_stem: Path | str) -> None:
    """Write `<path_stem>.safetensors` and `<path_stem>.json`; the same graph gives the same bytes.

    Raises:
        OpaqueGraphError: If the graph has an `opaque` node; names its layer.
        GraphError: If a setting is not plain data (a number, text, None, or tuples of them).
        OutputError: If a file cannot be written.
    """
    for node in graph:
        if node.op == "opaque":
            raise OpaqueGraphError(
                f"cannot save the graph: layer '{node.source or node.name}' calls"
                f" {node.attrs['call']}, an op that intaglio does not know"
            )
    structure = {
        "format": FORMAT,
        "version": VERSION,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        **({"output_names": list(graph.output_names)} if graph.output_names else {}),
        "nodes": [_encode_node(node) for node in graph],
    }
    # safetensors refuses tensors that share memory, as tied weights do
    tensors = {
        key: value.detach().cpu().contiguous().clone() for key, value in graph.params.items()
    }
    try:
        # not save_file, which makes files that nobody else may read
        write_file(Path(f"{path_stem}.safetensors"), save(tensors))
        text = json.dumps(structure, indent=1, allow_nan=False) + "\n"
        write_file(Path(f"{path_stem}.json"), text)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write the graph '{path_stem}': {error}") from error


def load_graph(path_stem: Path | str) -> Graph:
    """Return the graph that `save_graph` wrote. The files are not trusted: everything is checked.

    Raises:
        WeightsError: If a file is missing, damaged, of another version, or does not describe a
            legal graph; names the file.
    """
    structure_path, weights_path = Path(f"{path_stem}.json"), Path(f"{path_stem}.safetensors")
    try:
        graph = _decode(read_json(structure_path, LARGEST_STRUCTURE_BYTES))
    except (IntaglioError, KeyError, TypeError, ValueError, RecursionError, OSError) as error:
        raise _damaged(structure_path, error) from error
    try:
        # at any offset of the mapped file
        graph.params = settled_all(load_file(weights_path))
        for key, tensor in graph.params.items():
            _check(tensor.dtype in DTYPES, f"weight '{key}' is {tensor.dtype}")
        unused = set(graph.params) - {key for node in graph for key in node.params.values()}
        _check(not unused, f"unused weights {sorted(unused)[:3]}")
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise _damaged(weights_path, error) from error
    try:
        verify(graph)
        _check_ends_and_axes(graph)
    except (GraphError, ValueError) as error:
        raise _damaged(structure_path, error) from error
    try:
        check_weights(graph)
    except GraphError as error:
        raise _damaged(weights_path, error) from error
    return graph


def _damaged(path: Path, error: Exception) -> WeightsError:
    if isinstance(error, FileNotFoundError):
        return WeightsError(f"there is no graph file '{path}'")
    reason = cause(error)[:300]
    return WeightsError(f"the graph file '{path}' is damaged: {reason}; write it again")


def _encode_node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "op": node.op,
        "inputs": node.inputs,
        "params": node.params,
        "attrs": {key: _encode(value, node, key) for key, value in node.attrs.items()},
        "shape": list(node.shape),
        "source": node.source,
    }


def _encode(value: Any, node: Node, name: str) -> Any:
    if type(value) is tuple:
        return [_encode(item, node, name) for item in value]
    if type(value) is float and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    is_plain = value is None or type(value) in (bool, int, float, str)
    if not is_plain or value in INFINITIES or value != value:
        raise GraphError(f"node '{node.name}': {name}={value!r} cannot be saved: not plain data")
    return value


def _decode(structure: Any) -> Graph:
    _check(type(structure) is dict and structure.get("format") == FORMAT, "not a graph of intaglio")
    version = structure["version"]
    _check(type(version) is int and version == VERSION, f"version {version!r}, not {VERSION}")
    graph = Graph(
        inputs=_names(structure["inputs"]),
        outputs=_names(structure["outputs"]),
        output_names=tuple(_names(structure.get("output_names", []))),
    )
    _check(type(structure["nodes"]) is list, "nodes is not a list")
    for entry in structure["nodes"]:
        graph.add(_decode_node(entry))
    return graph


def _decode_node(entry: Any) -> Node:
    name, params, attrs = _name(entry["name"]), entry["params"], entry["attrs"]
    _check(type(params) is dict and type(attrs) is dict, f"node '{name}' is not in order")
    node = Node(
        name,
        _name(entry["op"]),
        _names(entry["inputs"]),
        dict(zip(params, _names(list(params.values())), strict=True)),
        {key: _decode_value(value) for key, value in attrs.items()},
        _decode_value(entry["shape"]),
        _name(entry["source"]),
    )
    _check(node.op != "opaque", f"node '{name}' is opaque")
    check_node(node)
    _check_shape(node)
    return node


def _check_shape(node: Node) -> None:
    where = f"node '{node.name}' has the shape {node.shape}"
    _check(type(node.shape) is tuple and len(node.shape) <= LARGEST_RANK, where)
    elements = 1
    for axis, size in enumerate(node.shape):
        _check(type(size) is int and (size >= 1 or (size == BATCH and axis == 0)), where)
        elements *= abs(size)
    _check(elements <= LARGEST, where)


def _check_ends_and_axes(graph: Graph) -> None:
    found = [node.name for node in graph if node.op == "input"]
    _check(len(found) == 1 and found == graph.inputs, f"it has the inputs {found}, not one")
    for node in graph:
        axes = node.attrs.get("axes", (node.attrs.get("axis", 0),))
        rank = min((len(graph[name].shape) for name in node.inputs), default=1)
        where = f"node '{node.name}' ({node.op}) works along axis {max(axes)} of {rank}"
        _check(max(axes) < max(rank, 1), where)


def _decode_value(value: Any) -> Any:
    if type(value) is list:
        return tuple(_decode_value(item) for item in value)
    if type(value) is str:
        return INFINITIES.get(value, value)
    _check(value is None or type(value) in (bool, int, float), f"{value!r} is not plain data")
    return value


def _names(value: Any) -> list[str]:
    _check(type(value) is list, f"{value!r} is not a list of names")
    return [_name(item) for item in value]


def _name(value: Any) -> str:
    _check(type(value) is str, f"{value!r} is not a name")
    return str(value)


def _check(is_right: bool, complaint: str) -> None:
    if not is_right:
        raise ValueError(complaint)
