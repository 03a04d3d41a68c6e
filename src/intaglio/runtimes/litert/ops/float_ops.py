"""Ops that stay in float, where float32 is written otherwise than integers, or is all there is.

What has the same operators in both forms is written by its own family's writer.
"""

from __future__ import annotations

import math

import numpy as np

from intaglio.ir.graph import Node
from intaglio.runtimes.litert.format.layout import file_axis
from intaglio.runtimes.litert.ops.composition import Composition
from intaglio.runtimes.litert.ops.float_functions import FLOAT_FUNCTIONS, write_float_function
from intaglio.runtimes.litert.ops.writing import Writing, activation_word, float_op

RELATION_WORDS = {
    "equal": "EQUAL",
    "not_equal": "NOT_EQUAL",
    "less": "LESS",
    "less_equal": "LESS_EQUAL",
    "greater": "GREATER",
    "greater_equal": "GREATER_EQUAL",
}
float_op("function")(write_float_function)


@float_op("add")
@float_op("sub")
@float_op("mul")
@float_op("div")
@float_op("maximum")
@float_op("minimum")
def write_float_pair(node: Node, writing: Writing) -> None:
    """The operator of the op's own name, of values with the same number of axes."""
    made = Composition(node, writing)
    values = made.merged(made.aligned())
    made.finish(made.apply(node.op.upper(), *values, clamp=activation_word(node)))


@float_op("clamp")
def write_float_clamp(node: Node, writing: Writing) -> None:
    """RELU and its like; MAXIMUM and MINIMUM with stored bounds for any others."""
    made = Composition(node, writing)
    flat = made.flat_where_wide(made.inputs[0])
    made.finish(FLOAT_FUNCTIONS["clamp"](made, flat, *node.attrs["activation"]))


@float_op("rescale")
def write_float_rescale(node: Node, writing: Writing) -> None:
    """MUL by a stored number."""
    made = Composition(node, writing)
    flat = made.flat_where_wide(made.inputs[0])
    made.finish(FLOAT_FUNCTIONS["mul"](made, flat, node.attrs["factor"]))


@float_op("affine")
def write_float_affine(node: Node, writing: Writing) -> None:
    """MUL and ADD with stored values, one for each channel."""
    made = Composition(node, writing)
    gain, shift = made.by_channel("weight"), made.by_channel("bias")
    x, gain, shift = made.merged([made.inputs[0], gain, shift])
    scaled = made.apply("MUL", x, gain)
    made.finish(made.apply("ADD", scaled, shift, clamp=activation_word(node)))


@float_op("prelu")
def write_float_prelu(node: Node, writing: Writing) -> None:
    """max(x, 0) + slope min(x, 0)."""
    made = Composition(node, writing)
    slope = made.by_channel("weight")
    x, slope = made.merged([made.inputs[0], slope])
    zero = made.number(0.0, len(made.shape(x)))
    below = made.apply("MUL", made.apply("MINIMUM", x, zero), slope)
    made.finish(made.apply("ADD", made.apply("RELU", x), below))


@float_op("compare")
def write_float_compare(node: Node, writing: Writing) -> None:
    """GREATER and its like; CAST makes 1 of yes and 0 of no."""
    made = Composition(node, writing)
    first, second = made.merged(made.aligned())
    asked = made.question(RELATION_WORDS[node.attrs["relation"]], first, second)
    chosen = writing.build.options("CastOptions", inDataType="bool", outDataType="float32")
    made.finish(made.apply("CAST", asked, options=chosen))


@float_op("where")
def write_float_where(node: Node, writing: Writing) -> None:
    """SELECT_V2 by what is not 0."""
    made = Composition(node, writing)
    condition, yes, no = made.merged(made.aligned())
    zero = made.number(0.0, len(made.shape(condition)))
    made.finish(made.choose(made.question("NOT_EQUAL", condition, zero), yes, no))


@float_op("softmax")
def write_float_softmax(node: Node, writing: Writing) -> None:
    """SOFTMAX, between transposes where its axis is not the last of the file's."""
    made, rank = Composition(node, writing), len(node.shape)
    axis = file_axis(node.attrs["axis"], rank)
    order = [one for one in range(rank) if one != axis] + [axis]
    turned = made.turned(made.inputs[0], order)
    shape = made.shape(turned)
    rows = made.reshaped(turned, (math.prod(shape[:-1]), shape[-1])) if rank > 4 else turned
    chosen = writing.build.options("SoftmaxOptions", beta=1.0)
    found = made.reshaped(made.apply("SOFTMAX", rows, options=chosen), shape)
    made.finish(made.turned(found, [order.index(one) for one in range(rank)]))


@float_op("matmul")
def write_float_matmul(node: Node, writing: Writing) -> None:
    """BATCH_MATMUL over the last two axes, between transposes where the file has channels there."""
    made = Composition(node, writing)
    first, second = (made.in_graph_axes(index) for index in made.inputs)
    transposed = bool(node.attrs["transposed"])
    rows, columns = made.shape(first)[:-1], made.shape(second)[-2 if transposed else -1]
    chosen = writing.build.options("BatchMatMulOptions", adjX=False, adjY=transposed)
    product = made.made("BATCH_MATMUL", [first, second], (*rows, columns), chosen)
    made.finish(made.in_file_axes(product))


@float_op("reduce_max")
def write_float_reduce_max(node: Node, writing: Writing) -> None:
    """REDUCE_MAX; the axes that are left are then put in the order of the result."""
    made = Composition(node, writing)
    shape = made.shape(made.inputs[0])
    axes = sorted(file_axis(axis, len(shape)) for axis in node.attrs["axes"])
    left = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    index = made.store(np.asarray(axes, np.int32))
    chosen = writing.build.options("ReducerOptions", keepDims=True)
    largest = made.made("REDUCE_MAX", [made.inputs[0], index], left, chosen)
    made.finish_with(made.in_graph_axes(largest))


@float_op("take")
def write_float_take(node: Node, writing: Writing) -> None:
    """GATHER along one axis."""
    made, rank = Composition(node, writing), len(node.shape)
    axis, indices = file_axis(node.attrs["axis"], rank), node.attrs["indices"]
    before = made.shape(made.inputs[0])
    shape = (*before[:axis], len(indices), *before[axis + 1 :])
    index = made.store(np.asarray(indices, np.int32))
    chosen = writing.build.options("GatherOptions", axis=axis)
    made.finish(made.made("GATHER", [made.inputs[0], index], shape, chosen))


@float_op("pad")
def write_float_pad(node: Node, writing: Writing) -> None:
    """PAD, or PADV2 with another number than 0; what is cut off is a SLICE before it."""
    made, rank = Composition(node, writing), len(node.shape)
    table = [(0, 0)] * rank
    padding = node.attrs["padding"]
    for position in range(len(padding) // 2):
        axis = file_axis(rank - 1 - position, rank)
        table[axis] = (padding[2 * position], padding[2 * position + 1])
    made.finish(made.padded(made.inputs[0], table, node.attrs["value"]))
