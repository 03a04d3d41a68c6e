"""One spelling per meaning, for every target: of pads, divisions, pools and batch norms."""

from __future__ import annotations

from intaglio.ir.edit import bypass, replace
from intaglio.ir.graph import Graph, Node
from intaglio.passes.fold_batch_norm import batch_norm_to_affine, fold_batch_norm
from intaglio.passes.fold_channel_constants import fold_channel_constants
from intaglio.passes.fold_constants import fold_constants
from intaglio.passes.fuse_activation import fuse_activation, hoist_clamp
from intaglio.passes.fuse_functions import fuse_functions
from intaglio.passes.graph_pass import graph_pass
from intaglio.passes.remove_noop import remove_noop

PADDED_WITH = {0.0: "conv2d", float("-inf"): "max_pool2d"}
"""What a layer's own padding is made of."""


def canonicalize(graph: Graph) -> dict[str, int]:
    """Run every target-independent pass until nothing changes.

    The graph computes the same function up to float32 rounding.

    Returns:
        How many changes each pass made, by name.
    """
    passes = (
        remove_noop,
        fold_constants,
        merge_pad,
        divide_by_constant,
        multiply_by_scalar,
        clamp_by_constant,
        explicit_pool,
        global_pool,
        fold_channel_constants,
        fold_batch_norm,
        batch_norm_to_affine,
        fuse_activation,
        hoist_clamp,
        fuse_functions,
    )
    changes: dict[str, int] = {step.__name__: 0 for step in passes}
    while True:
        found = {step.__name__: step(graph) for step in passes}
        for name, count in found.items():
            changes[name] += count
        if not any(found.values()):
            return changes


@graph_pass
def merge_pad(graph: Graph) -> int:
    """Move padding of height and width into the layers that alone read it.

    Convolutions pad with zeros, max pools with minus infinity.
    """
    merged = 0
    for node in graph:
        if node.op != "pad" or node.attrs["value"] not in PADDED_WITH:
            continue
        padding = (*node.attrs["padding"], 0, 0, 0, 0)
        if any(padding[4:]) or node.name in graph.outputs:
            continue
        readers, wanted = graph.readers(node.name), PADDED_WITH[node.attrs["value"]]
        if not readers or any(reader.op != wanted for reader in readers):
            continue
        if any(reader.attrs.get("ceil_mode") for reader in readers):
            continue
        left, right, top, bottom = padding[:4]
        for reader in readers:
            old = reader.attrs["padding"]
            reader.attrs["padding"] = (
                old[0] + top,
                old[1] + bottom,
                old[2] + left,
                old[3] + right,
            )
        bypass(graph, node)
        merged += 1
    return merged


@graph_pass
def divide_by_constant(graph: Graph) -> int:
    """x / c becomes x * (1 / c)."""
    changed = 0
    for node in graph:
        if node.op != "div" or graph[node.inputs[1]].op != "constant":
            continue
        divisor = graph[node.inputs[1]]
        inverse = Node(
            graph.unique_name(f"{node.name}.reciprocal"),
            "constant",
            shape=divisor.shape,
            source=divisor.source,
        )
        graph.add(inverse)
        graph.set_param(inverse, "value", (1.0 / graph.param(divisor, "value").double()).float())
        graph.reorder([inverse.name, *(name for name in graph.nodes if name != inverse.name)])
        replace(
            graph,
            node,
            Node(
                node.name,
                "mul",
                [node.inputs[0], inverse.name],
                {},
                {"activation": None},
                node.shape,
                node.source,
            ),
        )
        changed += 1
    graph.drop_unused()
    return changed


@graph_pass
def multiply_by_scalar(graph: Graph) -> int:
    """x * c with one constant c > 0 and no activation becomes `rescale`, which costs nothing."""
    changed = 0
    for node in graph:
        if node.op != "mul" or node.attrs["activation"] is not None:
            continue
        for value, other in (node.inputs, node.inputs[::-1]):
            maker = graph[other]
            if maker.op != "constant" or graph[value].op == "constant":
                continue
            constant = graph.param(maker, "value")
            if constant.numel() != 1 or not constant.item() > 0 or graph[value].shape != node.shape:
                continue
            factor = {"factor": float(constant.item())}
            replace(
                graph,
                node,
                Node(node.name, "rescale", [value], {}, factor, node.shape, node.source),
            )
            changed += 1
            break
    graph.drop_unused()
    return changed


@graph_pass
def clamp_by_constant(graph: Graph) -> int:
    """max(x, c) and min(x, c) with one constant c become clamps."""
    changed = 0
    for node in graph:
        if node.op not in ("maximum", "minimum"):
            continue
        for value, other in (node.inputs, node.inputs[::-1]):
            if graph[other].op != "constant" or graph[value].shape != node.shape:
                continue
            constant = graph.param(graph[other], "value")
            if constant.numel() != 1 or graph[value].op == "constant":
                continue
            bound, infinite = float(constant.item()), float("inf")
            bounds = (bound, infinite) if node.op == "maximum" else (-infinite, bound)
            attrs, source = {"activation": bounds}, node.source
            replace(graph, node, Node(node.name, "clamp", [value], {}, attrs, node.shape, source))
            changed += 1
            break
    graph.drop_unused()
    return changed


@graph_pass
def explicit_pool(graph: Graph) -> int:
    """Pooling without ceil_mode (padding at the end instead), and adaptive pooling as plain."""
    changed = 0
    for node in graph:
        if node.op == "max_pool2d" and node.attrs["ceil_mode"]:
            _pad_instead_of_ceil(graph, node)
            changed += 1
        elif node.op == "avg_pool2d" and node.attrs["ceil_mode"] and _ceil_is_floor(graph, node):
            node.attrs["ceil_mode"] = False
            changed += 1
        elif node.op == "adaptive_avg_pool2d":
            changed += _plain_average_pool(graph, node)
    return changed


def _pad_instead_of_ceil(graph: Graph, node: Node) -> None:
    top, _, left, _ = node.attrs["padding"]
    sizes = graph[node.inputs[0]].shape[-2:]
    bottom, right = (
        _end_padding(size, start, out, axis)
        for size, start, out, axis in zip(
            sizes, (top, left), node.shape[-2:], _axes(node), strict=True
        )
    )
    node.attrs.update(ceil_mode=False, padding=(top, bottom, left, right))


def _plain_average_pool(graph: Graph, node: Node) -> bool:
    """Rewrite adaptive pooling whose windows are all equal; return whether it was."""
    height, width = graph[node.inputs[0]].shape[-2:]
    out_height, out_width = node.attrs["size"]
    if height % out_height or width % out_width:
        return False
    kernel = (height // out_height, width // out_width)
    node.op = "avg_pool2d"
    node.attrs = {
        "kernel": kernel,
        "stride": kernel,
        "padding": (0, 0),
        "ceil_mode": False,
        "count_include_pad": True,
        "divisor": None,
    }
    return True


def _ceil_is_floor(graph: Graph, node: Node) -> bool:
    """Whether an average pool has no window that reaches past the (padded) end."""
    attrs = node.attrs
    sizes = graph[node.inputs[0]].shape[-2:]
    rest = [
        (size + 2 * padding - kernel) % stride
        for size, padding, kernel, stride in zip(
            sizes, attrs["padding"], attrs["kernel"], attrs["stride"], strict=True
        )
    ]
    return not any(rest)


def _axes(node: Node) -> list[tuple[int, int, int]]:
    attrs = node.attrs
    return list(zip(attrs["kernel"], attrs["stride"], attrs["dilation"], strict=True))


def _end_padding(size: int, start: int, out: int, axis: tuple[int, int, int]) -> int:
    kernel, stride, dilation = axis
    return max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - size - start)


@graph_pass
def global_pool(graph: Graph) -> int:
    """Average pooling over the whole height and width becomes `mean`."""
    changed = 0
    for node in graph:
        if node.op != "avg_pool2d" or node.attrs["divisor"] is not None:
            continue
        size = graph[node.inputs[0]].shape[-2:]
        if node.attrs["kernel"] == size and not any(node.attrs["padding"]):
            node.op, node.attrs = "mean", {"axes": (2, 3), "keepdim": True}
            changed += 1
    return changed
