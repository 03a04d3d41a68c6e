"""Ops that move integers and compute nothing; input and output share one grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import BATCH, Node
from intaglio.numerics.affine import quantize
from intaglio.numerics.spec import QuantParams
from intaglio.ops import OPS
from intaglio.runtimes.litert.format.layout import (
    TO_NCHW,
    TO_NHWC,
    file_axis,
    file_shape,
    needs_transpose,
)
from intaglio.runtimes.litert.ops.site import LitertSite, integer_kernel
from intaglio.runtimes.litert.ops.writing import Writing, reshape, tflite_op, transpose
from intaglio.targets.site import Kernel, refuse_other_grid


@integer_kernel("concat")
@integer_kernel("reshape")
@integer_kernel("transpose")
@integer_kernel("slice")
@integer_kernel("depth_to_space")
@integer_kernel("take")
def prepare_move(site: LitertSite) -> Kernel:
    """The op's float function moves centered integers as well."""
    function, node = OPS[site.node.op].function, site.node
    refuse_other_grid(site)

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        """Return the integers in their new places."""
        return function(node, inputs, {})

    return kernel


@integer_kernel("pad")
def prepare_pad(site: LitertSite) -> Kernel:
    """Padding with the integer nearest to the value; an infinite one is the grid's end."""
    refuse_other_grid(site)
    padding = site.node.attrs["padding"]
    filling = float(filling_integer(site.node.attrs["value"], site.output) - site.output.zero)
    return lambda inputs: F.pad(inputs[0], padding, value=filling)


def filling_integer(value: float, grid: QuantParams) -> int:
    """Return the raw integer of a grid that is nearest to a number, which may be infinite."""
    return int(quantize(torch.tensor(value, dtype=torch.float32), grid))


@tflite_op("concat")
def write_concat(node: Node, writing: Writing) -> None:
    """CONCATENATION."""
    axis = file_axis(node.attrs["axis"], len(node.shape))
    _write_joined(writing, writing.inputs(node), writing.output(node), axis)


@tflite_op("pad")
def write_pad(node: Node, writing: Writing) -> None:
    """PAD, with the zero point; other values are constants beside, CONCATENATION of each axis."""
    rank, padding = len(node.shape), node.attrs["padding"]
    if min(padding) < 0:
        raise writing.refuse(node, f"padding by {min(padding)}", "Use a slice to cut values off")
    margins = {
        file_axis(rank - 1 - position, rank): padding[2 * position : 2 * position + 2]
        for position in range(len(padding) // 2)
    }
    margins = {axis: ends for axis, ends in margins.items() if any(ends)}
    if node.attrs["value"] == 0.0 or not margins:
        _write_zeros(node, writing, margins)
        return
    write_filled(node, writing, margins, node.attrs["value"], last=writing.output)


def write_filled(
    node: Node,
    writing: Writing,
    margins: Mapping[int, tuple[int, int]],
    value: float,
    *,
    last: Callable[[Node], int] | None = None,
) -> int:
    """Write a node's input with constants around it; return the tensor, on the grid of the node.

    Args:
        margins: By axis of the file, how many entries come (before, behind), not both zero.
        value: Of the entries; an infinite one is the end of the grid.
        last: Makes the last tensor; None: one between the node's input and its result.
    """
    index, shape = writing.inputs(node)[0], list(file_shape(writing.graph[node.inputs[0]].shape))
    for number, (axis, ends) in enumerate(sorted(margins.items())):
        parts = [index]
        for position, count in zip((0, len(parts) + 1), ends, strict=True):
            if count:
                size = (*shape[:axis], count, *shape[axis + 1 :])
                name = f"{node.name}.filling.{axis}.{position}"
                parts.insert(position, _stored_filling(node, writing, value, size, name=name))
        shape[axis] += sum(ends)
        if last is not None and number == len(margins) - 1:
            index = last(node)
        else:
            index = writing.scratch(node, f"axis.{axis}", tuple(shape))
        _write_joined(writing, parts, index, axis)
    return index


def _write_zeros(node: Node, writing: Writing, margins: Mapping[int, tuple[int, int]]) -> None:
    table = [list(margins.get(axis, (0, 0))) for axis in range(len(node.shape))]
    index = writing.build.stored(f"{node.name}.padding", np.asarray(table, np.int32))
    inputs, output = [*writing.inputs(node), index], [writing.output(node)]
    options = writing.build.options("PadOptions")
    writing.build.operator("PAD", inputs, output, version=2, options=options)


def _stored_filling(
    node: Node, writing: Writing, value: float, size: tuple[int, ...], *, name: str
) -> int:
    """Store a block of one number, on the grid of a node; return its tensor."""
    if writing.is_float(node.name):
        return writing.build.stored(name, np.full(size, value, np.float32))
    grid = writing.grid(node.name)
    return writing.build.stored(name, np.full(size, filling_integer(value, grid), np.int8), grid)


def _write_joined(writing: Writing, inputs: list[int], output: int, axis: int) -> None:
    made = writing.build.options("ConcatenationOptions", axis=axis, fusedActivationFunction="NONE")
    writing.build.operator("CONCATENATION", inputs, [output], version=2, options=made)


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
        made = writing.build.options("SliceOptions")
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
    made = writing.build.options("StridedSliceOptions")
    writing.build.operator("STRIDED_SLICE", inputs, output, version=2, options=made)


@tflite_op("take")
def write_take(node: Node, writing: Writing) -> None:
    """GATHER, in a built-in kernel."""
    axis = file_axis(node.attrs["axis"], len(node.shape))
    index = writing.integers(f"{node.name}.indices", list(node.attrs["indices"]))
    made = writing.build.options("GatherOptions", axis=axis)
    inputs, output = [*writing.inputs(node), index], [writing.output(node)]
    writing.build.operator("GATHER", inputs, output, version=2, options=made)


@tflite_op("transpose")
def write_transpose(node: Node, writing: Writing) -> None:
    """TRANSPOSE; four axes are permuted in the file's layout."""
    rank, order = len(node.shape), node.attrs["order"]
    if rank == 4:
        order = tuple(TO_NHWC.index(order[axis]) for axis in TO_NHWC)
    transpose(writing, writing.inputs(node)[0], writing.output(node), order, node.name)


@tflite_op("reshape")
def write_reshape(node: Node, writing: Writing) -> None:
    """RESHAPE, between transposes where the order of elements differs between the layouts."""
    source = writing.graph[node.inputs[0]].shape
    index = writing.inputs(node)[0]
    if len(source) == len(node.shape) == 4 and source[1] == node.shape[1]:
        reshape(writing, index, writing.output(node), node.name)  # channels stay the last axis
        return
    if needs_transpose(source):
        nchw = tuple(1 if size == BATCH else size for size in source)
        turned = writing.scratch(node, "nchw", nchw)
        transpose(writing, index, turned, TO_NCHW, f"{node.name}.nchw")
        index = turned
    if not needs_transpose(node.shape):
        reshape(writing, index, writing.output(node), node.name)
        return
    nchw = tuple(1 if size == BATCH else size for size in node.shape)
    flat = writing.scratch(node, "reshaped", nchw)
    reshape(writing, index, flat, node.name)
    transpose(writing, flat, writing.output(node), TO_NHWC, f"{node.name}.nhwc")


@tflite_op("depth_to_space")
def write_depth_to_space(node: Node, writing: Writing) -> None:
    """DEPTH_TO_SPACE."""
    made = writing.build.options("DepthToSpaceOptions", blockSize=node.attrs["block"])
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("DEPTH_TO_SPACE", inputs, output, version=1, options=made)
