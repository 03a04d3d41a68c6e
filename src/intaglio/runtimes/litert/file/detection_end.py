"""The end of a file that gives boxes: what stands behind the network's own outputs, in float32.

    outputs -> rows of all positions -> softmax or sigmoid, limit of growth -> the op

Nothing of the network itself is written otherwise: its operators and weights are those of a file
without this end, and its outputs are tensors by name, so that a copy of the file can give them
(interpreter/core.py). Softmax, sigmoid and the op are the runtime's, and no twin has their bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flatbuffers import flexbuffers

from intaglio.boxes.postprocess import Level, Part, PostProcess, TwoStage
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.runtimes.litert.file.detection_fit import (
    OP,
    DetectionEnd,
    anchors_of,
    coder_of,
    foreground_of,
    misfit,
    names_of,
    options_of,
)
from intaglio.runtimes.litert.ops.composition import Composition
from intaglio.runtimes.litert.ops.writing import Writing

END = "detection_end"
"""What names of tensors of the end begin with."""
GIVEN = (OP, f"{OP}:1", f"{OP}:2", f"{OP}:3")
"""Names of the file's outputs, as files that others publish have them."""
FROM_XYWH = (1, 0, 3, 2)
"""Where y, x, height, width stand among x, y, width, height."""


def detection_end(
    post: PostProcess | TwoStage | None,
    graph: Graph,
    encodings: Encodings,
    labels: Sequence[str] = (),
) -> DetectionEnd:
    """Return how the file of a lowered graph ends in boxes.

    Args:
        post: What the graph's outputs mean.
        labels: Names of classes, where the network brings none.

    Raises:
        RequestError: If the op cannot stand behind these outputs.
    """
    why = misfit(post, [graph[name].shape for name in graph.outputs])
    if why is not None or not isinstance(post, PostProcess):
        raise RequestError(f"the file cannot end in boxes: {why}")
    core = tuple(
        f"{name}.float" if name in encodings.activations else name for name in graph.outputs
    )
    return DetectionEnd(post, core, names_of(post, labels))


def write_end(end: DetectionEnd, core: Sequence[int], writing: Writing) -> list[int]:
    """Write what stands behind the network's outputs; return the tensors that the file gives.

    Boxes [1, most, 4] (top, left, bottom, right, as parts of the picture), classes [1, most],
    scores [1, most], and how many of these count, [1]; all float32.

    Args:
        core: Tensors of the network's outputs, float32, in order.
    """
    post = end.post
    made = Composition(Node(END, END), writing)
    reading = _Reading(made, core)
    scores = _scores(post, reading)
    boxes = _boxes(post, reading)
    anchors = writing.build.stored(f"{END}.anchors", anchors_of(post))
    shapes = ((1, post.most, 4), (1, post.most), (1, post.most), (1,))
    given = [
        writing.build.tensor(name, shape, "float32")
        for name, shape in zip(GIVEN, shapes, strict=True)
    ]
    writing.build.custom(OP, [boxes, scores, anchors], given, packed_options(options_of(post)))
    return given


def packed_options(options: dict[str, int | float | bool]) -> bytes:
    """Return options as the op reads them: a flexbuffer, one map."""
    build = flexbuffers.Builder()
    with build.Map():
        for name, value in options.items():
            if isinstance(value, bool):
                build.Bool(name, value)
            elif isinstance(value, int):
                build.Int(name, value)
            else:
                build.Float(name, float(np.float32(value)))
    return bytes(build.Finish())


@dataclass(frozen=True, eq=False)
class _Reading:
    """The network's outputs, read part by part.

    Attributes:
        made: What the tensors are added by.
        core: The outputs' tensors.
    """

    made: Composition
    core: Sequence[int]

    def rows(self, levels: Sequence[tuple[Level, tuple[Part, ...]]]) -> int:
        """Return [1, P, n]: the numbers of parts of each level, side by side, level by level."""
        joined = [
            self.joined([self._numbers(part, count) for part in parts], 2)
            for parts, count in _runs(levels)
        ]
        return self.joined(joined, 1)

    def joined(self, pieces: Sequence[int], axis: int) -> int:
        """Return tensors put one behind the other along an axis."""
        if len(pieces) == 1:
            return pieces[0]
        shape = list(self.made.shape(pieces[0]))
        shape[axis] = sum(self.made.shape(piece)[axis] for piece in pieces)
        chosen = self.made.writing.build.options(
            "ConcatenationOptions", axis=axis, fusedActivationFunction="NONE"
        )
        return self.made.made("CONCATENATION", list(pieces), shape, chosen)

    def _numbers(self, part: Part, positions: int) -> int:
        """Return [1, positions, part.count]."""
        made, index = self.made, self.core[part.output]
        if part.layout == "map-last":
            index = made.in_graph_axes(index)  # [1, H, W, A * width]
        elif part.layout == "anchor-maps":
            index = made.turned(index, (0, 2, 3, 1, 4))  # [1, H, W, A, width]
        elif part.layout == "columns":
            index = made.turned(index, (0, 2, 1))  # [1, positions, width]
        # a "map" lies in the file with its channels last: [1, H, W, A * width]
        all_rows = int(np.prod(made.shape(index))) // part.width
        rows = made.reshaped(index, (1, all_rows, part.width))
        rows = made.sliced(rows, 1, part.start, positions)
        return made.sliced(rows, 2, part.first, part.count)


def _runs(
    levels: Sequence[tuple[Level, tuple[Part, ...]]],
) -> list[tuple[tuple[Part, ...], int]]:
    """Return parts and how many positions they are read at; levels in one go where rows go on."""
    runs: list[tuple[tuple[Part, ...], int]] = []
    for level, parts in levels:
        if runs and _goes_on(*runs[-1], parts):
            runs[-1] = (runs[-1][0], runs[-1][1] + level.places.count)
        else:
            runs.append((parts, level.places.count))
    return runs


def _goes_on(before: tuple[Part, ...], count: int, parts: tuple[Part, ...]) -> bool:
    """Whether parts are the same columns of the same outputs, from the next row on."""
    return len(before) == len(parts) and all(
        own.layout in ("rows", "columns")
        and own.start == one.start + count
        and (own.output, own.layout, own.width, own.first, own.count)
        == (one.output, one.layout, one.width, one.first, one.count)
        for one, own in zip(before, parts, strict=True)
    )


def _scores(post: PostProcess, reading: _Reading) -> int:
    """Return [1, P, classes], a background first or none."""
    made = reading.made
    scores = reading.rows([(level, (level.scores,)) for level in post.levels])
    if post.activation == "softmax":
        chosen = made.writing.build.options("SoftmaxOptions", beta=1.0)
        scores = made.apply("SOFTMAX", scores, options=chosen)
    elif post.activation == "sigmoid":
        scores = made.apply("LOGISTIC", scores)
    if post.background in (None, 0):
        return scores
    return made.sliced(scores, 2, 0, foreground_of(post))


def _boxes(post: PostProcess, reading: _Reading) -> int:
    """Return [1, P, 4]: y, x, height, width, growth held below the coder's limit."""
    made, coder = reading.made, coder_of(post)
    boxes = reading.rows([(level, level.boxes) for level in post.levels])
    if coder.limit is not None:
        _, _, width, height = coder.weights
        growth = (height, width) if coder.order == "yxhw" else (width, height)
        most = [np.inf, np.inf, *(coder.limit * weight for weight in growth)]
        boxes = made.apply("MINIMUM", boxes, made.store(np.asarray([[most]], np.float32)))
    if coder.order == "yxhw":
        return boxes
    # the delegate has no GATHER: it stands last, and the network stays one partition
    order = made.store(np.asarray(FROM_XYWH, np.int32))
    chosen = made.writing.build.options("GatherOptions", axis=2)
    return made.made("GATHER", [boxes, order], made.shape(boxes), chosen)
