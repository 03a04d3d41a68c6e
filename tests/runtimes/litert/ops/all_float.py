"""A network whose every layer stays in float, written, and run by the runtime itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.numerics.encodings import Encodings
from intaglio.run.float import run_float
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.format.layout import from_file, to_file
from intaglio.runtimes.litert.format.verify import verify
from intaglio.runtimes.litert.interpreter.runner import InProcess
from intaglio.targets.target import Target


def one_op(shape: tuple[int, ...], op: str, /, **attrs: Any) -> Graph:
    """Return a graph of a single op of the image."""
    sketch = Sketch(*shape)
    sketch.add("y", op, "x", **attrs)
    return sketch.done()


def in_the_runtime(graph: Graph, images: Tensor, target: Target) -> list[Tensor]:
    """Return the outputs of the graph's file, in the graph's axes."""
    data = write_tflite(graph, Encodings({}, {}), target)
    verify(data, "the written file")
    opened = InProcess(target).open(data)
    found = [opened.run(to_file(image)) for image in images.split(1)]
    return [
        torch.cat([torch.from_numpy(from_file(part)) for part in parts])
        for parts in zip(*found, strict=True)
    ]


def largest_error(graph: Graph, images: Tensor, target: Target) -> float:
    """Return the largest difference of the file from torch, over max(1, |value|)."""
    found, expected = in_the_runtime(graph, images, target), run_float(graph, images)
    assert [value.shape for value in found] == [value.shape for value in expected]
    return max(
        float(((a - b).abs() / b.abs().clamp(min=1.0)).max())
        for a, b in zip(found, expected, strict=True)
    )
