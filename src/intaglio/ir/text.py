"""A graph as text, one line a node: for golden tests, diffs and bug reports."""

from __future__ import annotations

from typing import Any

from intaglio.ir.graph import BATCH, Graph, Node

DEFAULTS: dict[str, tuple[Any, ...]] = {
    "stride": ((1, 1),),
    "padding": ((0, 0), (0, 0, 0, 0)),
    "output_padding": ((0, 0),),
    "dilation": ((1, 1),),
    "groups": (1,),
    "activation": (None,),
    "ceil_mode": (False,),
    "count_include_pad": (True,),
    "divisor": (None,),
    "keepdim": (False,),
    "step": (1,),
    "align_corners": (False,),
    "scales": (None,),
    "output": (None,),
    "kwargs": ({},),
}
"""Settings that are not shown when they have one of these values."""

ACTIVATIONS = {(0.0, float("inf")): "relu", (0.0, 6.0): "relu6"}


def text(graph: Graph) -> str:
    """Return the graph as lines `name = op(inputs) {settings} -> [N,32,112,112]`.

    Settings stand in alphabetical order, without those that have their usual value; N is the batch.
    The last line names the outputs. The text depends on nothing but the structure: weights are not
    in it.
    """
    lines = [_line(node) for node in graph]
    named = zip(graph.output_names, graph.outputs, strict=True) if graph.output_names else ()
    ends = [f"{name}={value}" for name, value in named] or graph.outputs
    return "\n".join([*lines, f"return {', '.join(ends)}", ""])


def _line(node: Node) -> str:
    shown = [
        f"{name}={_setting(name, value)}"
        for name, value in sorted(node.attrs.items())
        if value not in DEFAULTS.get(name, ())
    ]
    settings = f" {{{', '.join(shown)}}}" if shown else ""
    shape = ",".join("N" if size == BATCH else str(size) for size in node.shape)
    return f"{node.name} = {node.op}({', '.join(node.inputs)}){settings} -> [{shape}]"


def _setting(name: str, value: Any) -> str:
    if name == "activation":
        return ACTIVATIONS.get(value) or f"clamp{_plain(value)}"
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"({','.join(_plain(item) for item in value)})"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)
