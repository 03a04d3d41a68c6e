"""One op in float32 as several of the runtime's own: the tensors and operators between.

    x = Composition(node, writing)
    square = x.apply("SQUARE", x.inputs[0])
    x.finish(x.apply("ADD", square, x.number(1.0)))

Nothing here has a grid: it serves layers that stay in float alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intaglio.ir.graph import BATCH, Node
from intaglio.runtimes.litert.format.layout import (
    TO_NCHW,
    TO_NHWC,
    Array,
    file_axis,
    file_shape,
    needs_transpose,
)
from intaglio.runtimes.litert.ops.writing import Writing, reshape, transpose

OPTIONS = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
}
"""Operators that may have a fused activation, and their record in the schema."""
VERSIONS = {"ADD": 2, "SUB": 2, "MUL": 2, "DIV": 2, "PADV2": 1}
BROADCAST_RANK = 4
"""Axes up to which every kernel of two operands broadcasts."""


@dataclass
class Composition:
    """The operators that make one node's value; tensors are named after it.

    Attributes:
        node: The node.
        writing: The file that it is written into.
        inputs: Its inputs' tensors, float32.
    """

    node: Node
    writing: Writing
    inputs: list[int] = field(default_factory=list)
    _numbers: dict[tuple[float, int], int] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        self.inputs = self.writing.inputs(self.node)

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of a tensor of the file."""
        return tuple(int(size) for size in self.writing.build.tensors[index].shape)

    def number(self, value: float, rank: int | None = None) -> int:
        """Return a stored number that broadcasts with values of `rank` axes; the node's if None."""
        axes = len(self.node.shape) if rank is None else rank
        if (value, axes) not in self._numbers:
            stored = np.full((1,) * axes, value, np.float32)
            self._numbers[value, axes] = self.store(stored)
        return self._numbers[value, axes]

    def store(self, values: Array) -> int:
        """Return a stored tensor."""
        return self.writing.build.stored(self._name("stored"), np.ascontiguousarray(values))

    def apply(self, word: str, *inputs: int, clamp: str = "NONE", options: Any = None) -> int:
        """Add an operator of values that broadcast; return the tensor that it makes.

        Args:
            clamp: The file's word for a fused activation.
            options: The operator's options, where it needs more than the activation.
        """
        shape = tuple(np.broadcast_shapes(*map(self.shape, inputs)))
        made = self.writing.build.tensor(self._name(word.lower()), shape, "float32")
        chosen = options
        if word in OPTIONS:
            chosen = self.writing.build.options(OPTIONS[word], fusedActivationFunction=clamp)
        version = VERSIONS.get(word, 1)
        self.writing.build.operator(word, list(inputs), [made], version=version, options=chosen)
        return made

    def made(
        self, word: str, inputs: list[int], shape: Sequence[int], options: Any, version: int = 1
    ) -> int:
        """Add an operator whose result has a shape of its own; return the tensor."""
        index = self.writing.build.tensor(self._name(word.lower()), tuple(shape), "float32")
        self.writing.build.operator(word, inputs, [index], version=version, options=options)
        return index

    def question(self, word: str, first: int, second: int) -> int:
        """Add a comparison ("GREATER"); return its tensor of yes and no."""
        shape = tuple(np.broadcast_shapes(self.shape(first), self.shape(second)))
        made = self.writing.build.tensor(self._name(word.lower()), shape, "bool")
        self.writing.build.operator(word, [first, second], [made], version=1)
        return made

    def choose(self, asked: int, yes: int, no: int) -> int:
        """Add SELECT_V2: `yes` where the question's answer is yes, else `no`; return the tensor."""
        return self.apply("SELECT_V2", asked, yes, no)

    def reshaped(self, index: int, shape: Sequence[int]) -> int:
        """Return a tensor in another shape, itself where it has it."""
        if self.shape(index) == tuple(shape):
            return index
        made = self.writing.build.tensor(self._name("reshaped"), tuple(shape), "float32")
        reshape(self.writing, index, made, self._name("to"))
        return made

    def turned(self, index: int, order: Sequence[int]) -> int:
        """Return a tensor with its axes in another order, itself where that is no other."""
        if tuple(order) == tuple(range(len(order))):
            return index
        before = self.shape(index)
        shape = tuple(before[axis] for axis in order)
        moved = [axis for axis in order if before[axis] != 1]
        if moved == sorted(moved):  # no value changes its place
            return self.reshaped(index, shape)
        made = self.writing.build.tensor(self._name("turned"), shape, "float32")
        transpose(self.writing, index, made, tuple(order), self._name("by"))
        return made

    def in_graph_axes(self, index: int) -> int:
        """Return a value with its axes as the graph has them: of four, channels first."""
        return self.turned(index, TO_NCHW) if len(self.shape(index)) == 4 else index

    def in_file_axes(self, index: int) -> int:
        """Return a value whose axes are as the graph has them with those of the file."""
        return self.turned(index, TO_NHWC) if len(self.shape(index)) == 4 else index

    def aligned(self) -> list[int]:
        """Return the node's inputs with as many axes as its result, as broadcasting adds them."""
        rank = len(self.node.shape)
        return [
            self._widened(index, self.writing.graph[name].shape, rank)
            for index, name in zip(self.inputs, self.node.inputs, strict=True)
        ]

    def _widened(self, index: int, shape: tuple[int, ...], rank: int) -> int:
        if len(shape) == rank:
            return index
        sizes = (1,) * (rank - len(shape)) + tuple(1 if size == BATCH else size for size in shape)
        turned = self.in_graph_axes(index) if needs_transpose(shape) else index
        plain = self.reshaped(turned, sizes)
        return self.in_file_axes(plain)

    def merged(self, indices: Sequence[int]) -> list[int]:
        """Return values with axes that broadcast alike made one, where there are too many axes."""
        shapes = [self.shape(index) for index in indices]
        if len(shapes[0]) <= BROADCAST_RANK:
            return list(indices)
        groups: list[list[int]] = []
        for axis in range(len(shapes[0])):
            sizes = [shape[axis] for shape in shapes]
            alike = groups and _alike(shapes, groups[-1], axis)
            if (max(sizes) == 1 and groups) or alike:
                groups[-1].append(axis)
            else:
                groups.append([axis])
        return [
            self.reshaped(
                index,
                [math.prod(shape[axis] for axis in group) for group in groups],
            )
            for index, shape in zip(indices, shapes, strict=True)
        ]

    def flat_where_wide(self, index: int) -> int:
        """Return a value as one row where it has more axes than kernels of two operands take."""
        shape = self.shape(index)
        if len(shape) <= BROADCAST_RANK:
            return index
        return self.reshaped(index, (1, math.prod(shape)))

    def param(self, role: str, values: Array) -> int:
        """Return a parameter of the node, stored as the file lays it out."""
        return self.writing.stored_real(self.node, role, values, self._name("stored"))

    def by_channel(self, role: str) -> int:
        """Return a parameter of the node, [C], stored to broadcast along the node's channels."""
        values, rank = self.writing.graph.param(self.node, role).numpy(), len(self.node.shape)
        shape = [1] * rank
        shape[file_axis(1, rank)] = len(values)
        return self.param(role, values.reshape(shape))

    def sliced(self, index: int, axis: int, start: int, count: int, step: int = 1) -> int:
        """Return `count` entries of one axis of the file, every `step`-th from `start` on."""
        before = self.shape(index)
        shape = (*before[:axis], count, *before[axis + 1 :])
        if shape == before:
            return index
        begin, end, steps = [0] * len(before), list(before), [1] * len(before)
        begin[axis], steps[axis] = start, step
        end[axis] = start + (count - 1) * step + 1
        if step == 1:
            inputs = [index, self._integers(begin), self._integers(shape)]
            return self.made("SLICE", inputs, shape, self.writing.build.options("SliceOptions"))
        inputs = [index, *(self._integers(each) for each in (begin, end, steps))]
        chosen = self.writing.build.options("StridedSliceOptions")
        return self.made("STRIDED_SLICE", inputs, shape, chosen)

    def padded(self, index: int, table: Sequence[tuple[int, int]], value: float) -> int:
        """Return a tensor with `value` put (before, behind) each axis of the file.

        Negative numbers cut off.
        """
        for axis, (before, behind) in enumerate(table):
            kept = self.shape(index)[axis] + min(before, 0) + min(behind, 0)
            index = self.sliced(index, axis, max(-before, 0), kept)
        added = [(max(before, 0), max(behind, 0)) for before, behind in table]
        if not any(map(any, added)):
            return index
        shape = [size + sum(ends) for size, ends in zip(self.shape(index), added, strict=True)]
        margins = self.store(np.asarray(added, np.int32))
        if value == 0.0:
            chosen = self.writing.build.options("PadOptions")
            return self.made("PAD", [index, margins], shape, chosen)
        with_value = [index, margins, self.store(np.asarray([value], np.float32))]
        return self.made("PADV2", with_value, shape, self.writing.build.options("PadV2Options"))

    def finish_with(self, index: int) -> None:
        """Let a tensor with the graph's axes, some of size 1 too many, be the node's value."""
        sizes = tuple(1 if size == BATCH else size for size in self.node.shape)
        self.finish(self.in_file_axes(self.reshaped(index, sizes)))

    def finish(self, index: int) -> None:
        """Let a tensor that was made here be the node's value."""
        shape = file_shape(self.node.shape)
        if self.shape(index) != shape or index in self.inputs or index in self._numbers.values():
            made = self.writing.output(self.node)
            reshape(self.writing, index, made, self.node.name)
            return
        self.writing.build.tensors[index].name = self.node.name
        self.writing.index[self.node.name] = index

    def _integers(self, values: Sequence[int]) -> int:
        return self.writing.integers(self._name("integers"), list(values))

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{self.node.name}.{what}{self._count}"


def _alike(shapes: list[tuple[int, ...]], group: list[int], axis: int) -> bool:
    """Whether every operand either has, or repeats, both the axes of a group and one more."""
    for shape in shapes:
        whole = [shape[one] == max(other[one] for other in shapes) for one in (*group, axis)]
        if len(set(whole)) > 1:
            return False
    return True
