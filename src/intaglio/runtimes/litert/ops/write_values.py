"""Writers of ops without weights."""

from __future__ import annotations

import numpy as np

from intaglio.ir.graph import BATCH, Node
from intaglio.ops.padding import padding_word
from intaglio.run.weights import integer_weight
from intaglio.runtimes.litert.format.layout import (
    TO_NCHW,
    TO_NHWC,
    file_axis,
    file_shape,
    needs_transpose,
    to_file,
)
from intaglio.runtimes.litert.ops.elementwise import unit_constant
from intaglio.runtimes.litert.ops.pool import UNEVEN_WINDOWS
from intaglio.runtimes.litert.ops.writing import (
    PADDING,
    Writing,
    activation_word,
    options,
    tflite_op,
)


@tflite_op("constant")
def write_constant(node: Node, writing: Writing) -> None:
    """A stored tensor, int8; float32 where layers in float read it."""
    value = writing.graph.param(node, "value")
    if writing.is_float(node.name):
        writing.index[node.name] = writing.build.stored(node.name, to_file(value))
        return
    grid = writing.grid(node.name)
    array = to_file(integer_weight(value, grid)).astype(np.int8)
    writing.index[node.name] = writing.build.stored(node.name, array, grid)


@tflite_op("quantize")
def write_quantize(node: Node, writing: Writing) -> None:
    """QUANTIZE, from float32 to int8."""
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("QUANTIZE", inputs, output, version=1)


def _binary(word: str, kind: str, node: Node, writing: Writing, inputs: list[int]) -> None:
    if any(len(writing.graph[name].shape) != len(node.shape) for name in node.inputs):
        raise writing.refuse(
            node,
            "operands with different numbers of axes",
            "Give both the same number with reshape or unsqueeze",
        )
    made = options(kind, fusedActivationFunction=activation_word(node))
    output = [writing.output(node)]
    writing.build.operator(word, inputs, output, version=2, options=made)


@tflite_op("add")
def write_add(node: Node, writing: Writing) -> None:
    """ADD."""
    _binary("ADD", "AddOptions", node, writing, writing.inputs(node))


@tflite_op("sub")
def write_sub(node: Node, writing: Writing) -> None:
    """SUB."""
    _binary("SUB", "SubOptions", node, writing, writing.inputs(node))


@tflite_op("mul")
def write_mul(node: Node, writing: Writing) -> None:
    """MUL."""
    _binary("MUL", "MulOptions", node, writing, writing.inputs(node))


@tflite_op("div")
def write_div(node: Node, writing: Writing) -> None:
    """DIV, in float32."""
    writing.refuse_integers(node)
    _binary("DIV", "DivOptions", node, writing, writing.inputs(node))


@tflite_op("rescale")
def write_rescale(node: Node, writing: Writing) -> None:
    """MUL by the integer 1 with scale `factor`."""
    _multiply_by_unit(node, writing, node.attrs["factor"])


@tflite_op("clamp")
def write_clamp(node: Node, writing: Writing) -> None:
    """MUL by the integer 1 with scale 1 and a fused activation: RELU alone is not delegated."""
    _multiply_by_unit(node, writing, 1.0)


def _multiply_by_unit(node: Node, writing: Writing, factor: float) -> None:
    shape = (1,) * len(node.shape)
    if writing.is_float(node.name):
        index = writing.build.stored(f"{node.name}.unit", np.full(shape, factor, np.float32))
    else:
        one = np.ones(shape, np.int8)
        index = writing.build.stored(f"{node.name}.unit", one, unit_constant(factor))
    _binary("MUL", "MulOptions", node, writing, [*writing.inputs(node), index])


@tflite_op("mean")
def write_mean(node: Node, writing: Writing) -> None:
    """MEAN, and a TRANSPOSE where what is left of the file's axes is not in the result's order."""
    shape, keepdim = writing.graph[node.inputs[0]].shape, node.attrs["keepdim"]
    axes = sorted(file_axis(axis, len(shape)) for axis in node.attrs["axes"])
    order = None if keepdim else _order_after_mean(len(shape), node.attrs["axes"])
    index = writing.integers(f"{node.name}.axes", axes)
    made = options("ReducerOptions", keepDims=keepdim)
    inputs = [*writing.inputs(node), index]
    if order is None:
        output = [writing.output(node)]
        writing.build.operator("MEAN", inputs, output, version=2, options=made)
        return
    sizes = file_shape(shape)
    left = tuple(size for axis, size in enumerate(sizes) if axis not in axes)
    reduced = writing.scratch(node, "reduced", left)
    writing.build.operator("MEAN", inputs, [reduced], version=2, options=made)
    _transpose(writing, reduced, writing.output(node), order, node.name)


def _order_after_mean(rank: int, axes: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the order from what is left of a file's axes to the result's; None if it is the same.

    A mean over H leaves [N, W, C] of [N, H, W, C], where the graph has [N, C, W].
    """
    made = TO_NHWC if rank == 4 else tuple(range(rank))
    made = tuple(axis for axis in made if axis not in axes)
    wanted = tuple(axis for axis in range(rank) if axis not in axes)
    if len(wanted) == 4:
        wanted = tuple(wanted[axis] for axis in TO_NHWC)
    order = tuple(made.index(axis) for axis in wanted)
    return None if order == tuple(range(len(order))) else order


@tflite_op("max_pool2d")
def write_max_pool2d(node: Node, writing: Writing) -> None:
    """MAX_POOL_2D."""
    attrs, word = node.attrs, padding_word(writing.graph, node)
    if word is None or attrs["dilation"] != (1, 1) or attrs["ceil_mode"]:
        raise writing.refuse(
            node,
            "max pooling with dilation, or with padding that SAME and VALID cannot say, of values"
            " that may be negative",
            "Put a ReLU before the pool, or choose padding=0",
        )
    _write_pool(node, writing, "MAX_POOL_2D", word)


@tflite_op("avg_pool2d")
def write_avg_pool2d(node: Node, writing: Writing) -> None:
    """AVERAGE_POOL_2D, in a built-in kernel: the delegate does not take it in int8."""
    attrs = node.attrs
    if any(attrs["padding"]) or attrs["ceil_mode"] or attrs["divisor"] is not None:
        raise writing.refuse(node, *UNEVEN_WINDOWS)
    _write_pool(node, writing, "AVERAGE_POOL_2D", "VALID")


def _write_pool(node: Node, writing: Writing, operator: str, word: str) -> None:
    attrs = node.attrs
    made = options(
        "Pool2DOptions",
        padding=PADDING[word],
        strideH=attrs["stride"][0],
        strideW=attrs["stride"][1],
        filterHeight=attrs["kernel"][0],
        filterWidth=attrs["kernel"][1],
        fusedActivationFunction=activation_word(node),
    )
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator(operator, inputs, output, version=2, options=made)


@tflite_op("concat")
def write_concat(node: Node, writing: Writing) -> None:
    """CONCATENATION."""
    axis = file_axis(node.attrs["axis"], len(node.shape))
    made = options("ConcatenationOptions", axis=axis, fusedActivationFunction=0)
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("CONCATENATION", inputs, output, version=2, options=made)


@tflite_op("pad")
def write_pad(node: Node, writing: Writing) -> None:
    """PAD, with the zero point."""
    rank, padding = len(node.shape), node.attrs["padding"]
    if node.attrs["value"] != 0.0:
        raise writing.refuse(node, f"padding with {node.attrs['value']:g}", "Pad with zeros")
    if min(padding) < 0:
        raise writing.refuse(node, f"padding by {min(padding)}", "Use a slice to cut values off")
    table = [[0, 0] for _ in range(rank)]
    for position in range(len(padding) // 2):
        axis = file_axis(rank - 1 - position, rank)
        table[axis] = [padding[2 * position], padding[2 * position + 1]]
    index = writing.build.stored(f"{node.name}.padding", np.asarray(table, np.int32))
    inputs, output = [*writing.inputs(node), index], [writing.output(node)]
    writing.build.operator("PAD", inputs, output, version=2, options=options("PadOptions"))


@tflite_op("slice")
def write_slice(node: Node, writing: Writing) -> None:
    """SLICE, or STRIDED_SLICE where the step is not 1 (a built-in kernel then)."""
    attrs, rank = node.attrs, len(node.shape)
    axis = file_axis(attrs["axis"], rank)
    begin, size = [0] * rank, list(file_shape(node.shape))
    begin[axis] = attrs["start"]
    output = [writing.output(node)]
    first = writing.integers(f"{node.name}.begin", begin)
    if attrs["step"] == 1:
        inputs = [*writing.inputs(node), first, writing.integers(f"{node.name}.size", size)]
        made = options("SliceOptions")
        writing.build.operator("SLICE", inputs, output, version=2, options=made)
        return
    end, steps = list(size), [1] * rank
    end[axis], steps[axis] = attrs["stop"], attrs["step"]
    inputs = [
        *writing.inputs(node),
        first,
        writing.integers(f"{node.name}.end", end),
        writing.integers(f"{node.name}.steps", steps),
    ]
    made = options("StridedSliceOptions")
    writing.build.operator("STRIDED_SLICE", inputs, output, version=2, options=made)


@tflite_op("transpose")
def write_transpose(node: Node, writing: Writing) -> None:
    """TRANSPOSE; four axes are permuted in the file's layout."""
    rank, order = len(node.shape), node.attrs["order"]
    if rank == 4:
        order = tuple(TO_NHWC.index(order[axis]) for axis in TO_NHWC)
    _transpose(writing, writing.inputs(node)[0], writing.output(node), order, node.name)


@tflite_op("reshape")
def write_reshape(node: Node, writing: Writing) -> None:
    """RESHAPE, between transposes where the order of elements differs between the layouts."""
    source = writing.graph[node.inputs[0]].shape
    index = writing.inputs(node)[0]
    if needs_transpose(source):
        nchw = tuple(1 if size == BATCH else size for size in source)
        turned = writing.scratch(node, "nchw", nchw)
        _transpose(writing, index, turned, TO_NCHW, f"{node.name}.nchw")
        index = turned
    if not needs_transpose(node.shape):
        _reshape(writing, index, writing.output(node), node.name)
        return
    nchw = tuple(1 if size == BATCH else size for size in node.shape)
    flat = writing.scratch(node, "reshaped", nchw)
    _reshape(writing, index, flat, node.name)
    _transpose(writing, flat, writing.output(node), TO_NHWC, f"{node.name}.nhwc")


def _transpose(writing: Writing, source: int, made: int, order: tuple[int, ...], name: str) -> None:
    index = writing.integers(f"{name}.order", list(order))
    writing.build.operator(
        "TRANSPOSE", [source, index], [made], version=2, options=options("TransposeOptions")
    )


def _reshape(writing: Writing, source: int, made: int, name: str) -> None:
    shape = [int(size) for size in writing.build.tensors[made].shape]
    index = writing.integers(f"{name}.shape", shape)
    chosen = options("ReshapeOptions", newShape=shape)
    writing.build.operator("RESHAPE", [source, index], [made], version=1, options=chosen)


@tflite_op("depth_to_space")
def write_depth_to_space(node: Node, writing: Writing) -> None:
    """DEPTH_TO_SPACE."""
    made = options("DepthToSpaceOptions", blockSize=node.attrs["block"])
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("DEPTH_TO_SPACE", inputs, output, version=1, options=made)
