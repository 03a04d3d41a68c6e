"""The end of a file that gives the class of each pixel: what stands behind a network's scores.

    rule "highest"     scores [1, h, w, classes] -> ARG_MAX -> CAST                   [1, h, w]
    rule "threshold"   score [1, h, w, 1] -> CAST -> GREATER -> RESHAPE -> CAST       [1, h, w]

uint8: a quarter of what ARG_MAX gives, which is int32 at least. Scores are compared as the network
makes them, in integers where it computes in integers: one grid serves all classes, so the highest
integer is the highest real, and a device need not turn 21 numbers a pixel into floats. What the
file gives is `maps.class_map.own_classes` of the twin's outputs, bit for bit; of equal scores the
first class wins. Integers tie where floats do not: that is a loss of the integer network, whatever
runs it.

Source: tensorflow/lite/kernels/arg_min_max.cc, cast.cc, comparisons.cc. GREATER of int8 brings both
sides to a common grid by its own rounding; of int32 it compares, which is why a CAST comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.maps.limit import score_limit
from intaglio.maps.postprocess import MapPostProcess
from intaglio.numerics.spec import QuantParams
from intaglio.runtimes.litert.format.layout import Array
from intaglio.runtimes.litert.ops.writing import Writing, reshape

END = "map_end"
"""What names of tensors of the end begin with."""
GIVEN = "category_mask"
"""Name of the file's output."""
CHANNELS = 3
"""Axis of the channels in the file."""
LOWEST, HIGHEST = -128, 127
"""Of an int8 score."""


@dataclass(frozen=True)
class MapEnd:
    """How a file ends in the class of each pixel.

    Attributes:
        post: What the outputs of the network in it mean; it fits.
        core: Tensors of the file that are those outputs, by name; `post.output` says which is read.
        names: Of the classes; () where unknown.
    """

    post: MapPostProcess
    core: tuple[str, ...]
    names: tuple[str, ...] = ()


def map_misfit(post: MapPostProcess, shapes: Sequence[tuple[int, ...]]) -> str | None:
    """Return why a file cannot give classes of pixels from outputs of these shapes; None: it can.

    Args:
        shapes: Of the network's outputs, [N, ...] each.
    """
    if post.rule == "index":
        return "the network's own output is the class of each pixel already"
    if post.output >= len(shapes):
        return f"output {post.output} is read, and the network has {len(shapes)}"
    given = tuple(shapes[post.output][1:])
    if len(given) != CHANNELS or given[0] != post.channels:
        scores = "1 score" if post.channels == 1 else f"{post.channels} scores"
        return (
            f"output {post.output} is {list(given)} for a picture, which does not hold {scores} of"
            " each pixel"
        )
    return None


def map_differences(post: MapPostProcess) -> tuple[str, ...]:
    """Return how classes of the file differ from those of `maps.class_map`, in sentences."""
    return (
        "a class is chosen for each place of the network's output; beside it scores are first"
        " brought to the picture's size, so that edges are finer",
    )


def map_end(post: MapPostProcess, graph: Graph, labels: Sequence[str] = ()) -> MapEnd:
    """Return how the file of a lowered graph ends in classes of pixels.

    Args:
        labels: Names of classes, where the network brings none.

    Raises:
        RequestError: If they cannot come of the graph's outputs.
    """
    why = map_misfit(post, [graph[name].shape for name in graph.outputs])
    if why is not None:
        raise RequestError(f"the file cannot end in classes of pixels: {why}")
    known = (names for names in (post.names, tuple(labels)) if len(names) == post.classes)
    return MapEnd(post, tuple(graph.outputs), next(known, ()))


def write_map_end(end: MapEnd, writing: Writing) -> list[int]:
    """Write what stands behind the scores; return the tensor that the file gives.

    It is [1, h, w] uint8. Other outputs of the network are computed, and not given: a library of
    segmenters wants one tensor, and `core` says where they are.
    """
    name = end.core[end.post.output]
    if end.post.rule == "highest":
        classes, kind = _highest(name, writing), "int32"
    else:
        classes, kind = _above(name, score_limit(end.post), writing), "bool"
    return [_cast(classes, (kind, "uint8"), GIVEN, writing)]


def integer_limit(grid: QuantParams, limit: np.float32) -> int:
    """Return the integer above which a score of a grid is above a real limit.

    One below the lowest integer where all of them are. Reals are those that DEQUANTIZE makes, in
    float32; they grow with their integers.
    """
    integers = np.arange(LOWEST, HIGHEST + 1)
    reals = (integers - grid.zero).astype(np.float32) * np.float32(grid.scale.item())
    return LOWEST - 1 + int((reals <= limit).sum())


def _highest(name: str, writing: Writing) -> int:
    """Return [1, h, w] int32: the first of the channels with the highest score."""
    build, scores = writing.build, writing.index[name]
    axis = build.stored(f"{END}.axis", np.asarray(CHANNELS, np.int32))
    made = build.tensor(f"{END}.highest", _shape(scores, writing)[:CHANNELS], "int32")
    chosen = build.options("ArgMaxOptions", outputType="int32")
    version = 1 if writing.is_float(name) else 2
    build.operator("ARG_MAX", [scores, axis], [made], version=version, options=chosen)
    return made


def _above(name: str, limit: np.float32, writing: Writing) -> int:
    """Return [1, h, w] bool: whether the only channel is above a real limit."""
    build, scores = writing.build, writing.index[name]
    shape = _shape(scores, writing)
    stored: Array = np.asarray([limit], np.float32)
    if not writing.is_float(name):
        stored = np.asarray([integer_limit(writing.grid(name), limit)], np.int32)
        scores = _cast(scores, ("int8", "int32"), f"{END}.wide", writing)
    asked = build.tensor(f"{END}.greater", shape, "bool")
    build.operator("GREATER", [scores, build.stored(f"{END}.limit", stored)], [asked], version=1)
    made = build.tensor(f"{END}.above", shape[:CHANNELS], "bool")
    reshape(writing, asked, made, f"{END}.to")
    return made


def _cast(source: int, kinds: tuple[str, str], name: str, writing: Writing) -> int:
    """Write CAST from one kind of number to another; return the tensor that it makes."""
    build = writing.build
    made = build.tensor(name, _shape(source, writing), kinds[1])
    chosen = build.options("CastOptions", inDataType=kinds[0], outDataType=kinds[1])
    build.operator("CAST", [source], [made], version=1, options=chosen)
    return made


def _shape(tensor: int, writing: Writing) -> tuple[int, ...]:
    return tuple(int(size) for size in writing.build.tensors[tensor].shape)
