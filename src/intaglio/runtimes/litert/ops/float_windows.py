"""Layers over height and width that stay in float: pools, resizes, and matrices on each axis."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from intaglio.ir.graph import Node
from intaglio.ops import OPS
from intaglio.ops.padding import padding_word
from intaglio.ops.resize import follows_sizes
from intaglio.runtimes.litert.format.layout import Array, to_file
from intaglio.runtimes.litert.ops.composition import Composition
from intaglio.runtimes.litert.ops.convolution import write_linear
from intaglio.runtimes.litert.ops.pool import write_avg_pool2d, write_max_pool2d
from intaglio.runtimes.litert.ops.resize import write_resize
from intaglio.runtimes.litert.ops.writing import Writing, activation_word, float_op

LOWEST = float("-inf")
LINES_AT_ONCE = 16
"""Lines of an identity matrix that go through a resize together: memory for a few images."""
Ends = tuple[int, int]
"""What is put (before, behind) one axis."""


@float_op("linear")
def write_float_linear(node: Node, writing: Writing) -> None:
    """FULLY_CONNECTED; more than three axes become rows first, in the graph's order."""
    if len(node.shape) <= 3:
        write_linear(node, writing)
        return
    made, graph = Composition(node, writing), writing.graph
    bias = graph.param(node, "bias", torch.zeros(node.shape[-1])).numpy()
    x = made.in_graph_axes(made.inputs[0])
    weight = graph.param(node, "weight").numpy()
    product = _times_matrix(made, x, weight, bias, clamp=activation_word(node))
    made.finish(made.in_file_axes(product))


@float_op("max_pool2d")
def write_float_max_pool2d(node: Node, writing: Writing) -> None:
    """MAX_POOL_2D; paddings without a word are made before it, gaps within windows by slices."""
    attrs = node.attrs
    word = padding_word(writing.graph, node)
    if word is not None and attrs["dilation"] == (1, 1) and not attrs["ceil_mode"]:
        write_max_pool2d(node, writing)
        return
    made = Composition(node, writing)
    top, bottom, left, right = attrs["padding"]
    x = _padded(made, node, ((top, bottom), (left, right)), attrs["dilation"], LOWEST)
    if attrs["dilation"] == (1, 1):
        made.finish(_pool(made, node, "MAX_POOL_2D", x, clamp=activation_word(node)))
        return
    for axis in (1, 2):
        x = _largest_along(made, node, x, axis)
    if attrs["activation"] is not None:
        x = made.apply(activation_word(node), x)
    made.finish(x)


@float_op("avg_pool2d")
def write_float_avg_pool2d(node: Node, writing: Writing) -> None:
    """AVERAGE_POOL_2D of zeros around the image, times what corrects each place's divisor."""
    attrs = node.attrs
    if not any(attrs["padding"]) and not attrs["ceil_mode"] and attrs["divisor"] is None:
        write_avg_pool2d(node, writing)
        return
    made = Composition(node, writing)
    ends = tuple((margin, margin) for margin in attrs["padding"])
    behind = _behind(made, node, ends, (1, 1))
    x = made.padded(made.inputs[0], [(0, 0), *behind, (0, 0)], 0.0)
    mean = _pool(made, node, "AVERAGE_POOL_2D", x)
    ones = torch.ones(1, 1, *writing.graph[node.inputs[0]].shape[2:])
    wanted = OPS[node.op].function(node, [ones], {})
    (top, bottom), (left, right) = behind
    padded = F.pad(ones, (left, right, top, bottom))
    whole = F.avg_pool2d(padded, attrs["kernel"], attrs["stride"])
    made.finish(made.apply("MUL", mean, made.store(to_file(wanted / whole))))


@float_op("adaptive_avg_pool2d")
def write_float_adaptive_avg_pool2d(node: Node, writing: Writing) -> None:
    """A matrix of shares along each axis."""
    _write_by_axes(node, writing)


@float_op("resize")
def write_float_resize(node: Node, writing: Writing) -> None:
    """The runtime's resize; a matrix along each axis where factors do not follow the sizes."""
    if follows_sizes(node, writing.graph[node.inputs[0]].shape):
        write_resize(node, writing)
        return
    _write_by_axes(node, writing)


def _write_by_axes(node: Node, writing: Writing) -> None:
    """Write an op that is a matrix on the rows and one on the columns, [1, H, W, C] in the file."""
    made = Composition(node, writing)
    height, width = writing.graph[node.inputs[0]].shape[2:]
    rows, columns = _matrix(node, height, width, axis=2), _matrix(node, height, width, axis=3)
    wide = _times_matrix(made, made.turned(made.inputs[0], (0, 1, 3, 2)), columns)  # [1, H, C, W']
    high = _times_matrix(made, made.turned(wide, (0, 2, 3, 1)), rows)  # [1, C, W', H']
    made.finish(made.turned(high, (0, 3, 2, 1)))


def _matrix(node: Node, height: int, width: int, *, axis: int) -> Array:
    """Return [out, in]: what a separable op makes of each line along an axis, by running it."""
    size = height if axis == 2 else width
    parts = []
    for lines in torch.eye(size).split(LINES_AT_ONCE):  # type: ignore[no-untyped-call]
        shape = (1, len(lines), size, 1) if axis == 2 else (1, len(lines), 1, size)
        images = lines.reshape(shape).expand(1, len(lines), height, width)
        made = OPS[node.op].function(node, [images.contiguous()], {})
        parts.append(made[0, :, :, 0] if axis == 2 else made[0, :, 0, :])
    return np.ascontiguousarray(torch.cat(parts).T.numpy())


def _times_matrix(
    made: Composition, x: int, matrix: Array, bias: Array | None = None, clamp: str = "NONE"
) -> int:
    """Return FULLY_CONNECTED over the last axis, of all others as rows.

    Args:
        bias: Of a layer, whose own weight the matrix then is; None: the matrix is made here.
    """
    shape = made.shape(x)
    rows = made.reshaped(x, (math.prod(shape[:-1]), shape[-1]))
    if bias is None:
        weight = made.store(matrix.astype(np.float32))
        shift = made.store(np.zeros(len(matrix), np.float32))
    else:
        weight, shift = made.param("weight", matrix), made.param("bias", bias)
    chosen = made.writing.build.options("FullyConnectedOptions", fusedActivationFunction=clamp)
    sizes = (made.shape(rows)[0], len(matrix))
    product = made.made("FULLY_CONNECTED", [rows, weight, shift], sizes, chosen, version=9)
    return made.reshaped(product, (*shape[:-1], len(matrix)))


def _behind(
    made: Composition, node: Node, ends: tuple[Ends, ...], dilation: tuple[int, int]
) -> tuple[Ends, Ends]:
    """Return the margins of both axes with which windows of the result fit exactly."""
    found = []
    for axis in range(2):
        size = made.shape(made.inputs[0])[1 + axis]
        kernel, stride = node.attrs["kernel"][axis], node.attrs["stride"][axis]
        reached = (node.shape[2 + axis] - 1) * stride + (kernel - 1) * dilation[axis] + 1
        before = ends[axis][0]
        found.append((before, reached - size - before))  # negative: the rest is never read
    return found[0], found[1]


def _padded(
    made: Composition, node: Node, ends: tuple[Ends, Ends], dilation: tuple[int, int], value: float
) -> int:
    behind = _behind(made, node, ends, dilation)
    return made.padded(made.inputs[0], [(0, 0), *behind, (0, 0)], value)


def _pool(made: Composition, node: Node, word: str, x: int, clamp: str = "NONE") -> int:
    """Return a pool over whole windows."""
    attrs = node.attrs
    chosen = made.writing.build.options(
        "Pool2DOptions",
        padding="VALID",
        strideH=attrs["stride"][0],
        strideW=attrs["stride"][1],
        filterHeight=attrs["kernel"][0],
        filterWidth=attrs["kernel"][1],
        fusedActivationFunction=clamp,
    )
    shape = (1, *node.shape[2:], node.shape[1])
    return made.made(word, [x], shape, chosen, version=2)


def _largest_along(made: Composition, node: Node, x: int, axis: int) -> int:
    """Return the largest value of each window along one axis of the file, by slices."""
    kernel, stride = node.attrs["kernel"][axis - 1], node.attrs["stride"][axis - 1]
    dilation, count = node.attrs["dilation"][axis - 1], node.shape[1 + axis]
    largest = None
    for place in range(kernel):
        part = made.sliced(x, axis, place * dilation, count, stride)
        largest = part if largest is None else made.apply("MAXIMUM", largest, part)
    assert largest is not None, "a window has places"
    return largest
