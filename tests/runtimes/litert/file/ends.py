"""Files that hold nothing but the end of a detector: what its network would give is put in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from intaglio.boxes import anchors, families
from intaglio.boxes.anchors import around
from intaglio.boxes.detections import Detections
from intaglio.boxes.given import given_detections
from intaglio.boxes.heads import Heads, per_level, together
from intaglio.boxes.postprocess import Grid, PostProcess
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.detection_end import detection_end
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.format.layout import TO_NHWC
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter
from intaglio.targets.target import Target

Floats = NDArray[np.float32]
SIZE = (60, 80)
ONE = Grid(1, 1, 60, 80, 30, 40, (around(20, 10),))
"""A single anchor in the middle of the picture."""


def grids() -> tuple[Grid, ...]:
    """Two levels: 5 x 6 and 2 x 3 cells of four anchors, 144 positions."""
    return anchors.default_boxes(SIZE, ((5, 6), (2, 3)), ratios=((2.0,),) * 2)


def detector(layout: str, family: str = "ssd", *, classes: int = 4, **settings: Any) -> PostProcess:
    """Return the post-processing of a detector of two levels."""
    places = grids()
    each = per_level(2, layout=layout)
    heads: Heads = together(layout=layout) if layout in ("rows", "columns") else each
    made = getattr(families, family)
    return made(SIZE, places, classes=classes, heads=heads, **settings)


def shapes_of(post: PostProcess) -> list[tuple[int, ...]]:
    """Return the shapes of the outputs that a detector of `detector` reads, for one picture."""
    shapes: dict[int, tuple[int, ...]] = {}
    total = sum(level.places.count for level in post.levels)
    for level in post.levels:
        grid = level.places
        assert isinstance(grid, Grid)
        count, cells = len(grid.anchors), (grid.rows, grid.columns)
        for part in level.parts:
            shapes[part.output] = {
                "map": (1, count * part.width, *cells),
                "map-last": (1, *cells, count * part.width),
                "anchor-maps": (1, count, *cells, part.width),
                "rows": (1, total, part.width),
                "columns": (1, part.width, total),
            }[part.layout]
    return [shapes[number] for number in range(len(shapes))]


def random_outputs(post: PostProcess, seed: int, spread: float = 2.0) -> list[Floats]:
    """Return normal numbers in the shapes that a detector reads."""
    draw = np.random.default_rng(seed)
    return [(spread * draw.standard_normal(shape)).astype(np.float32) for shape in shapes_of(post)]


def end_file(post: PostProcess, shapes: Sequence[tuple[int, ...]]) -> bytes:
    """Return a file whose inputs are outputs of these shapes, and which ends in boxes."""
    names = [f"given{number}" for number in range(len(shapes))]
    graph = Graph(inputs=names, outputs=list(names))
    for name, shape in zip(names, shapes, strict=True):
        graph.add(Node(name, "input", shape=(BATCH, *shape[1:])))
    nothing = Encodings({}, {})
    end = detection_end(post, graph, nothing)
    return write_tflite(graph, nothing, LITERT, end=end)


def ended(post: PostProcess, outputs: Sequence[Floats], target: Target = LITERT) -> Detections:
    """Return what the runtime finds in outputs [1, ...], as a file that ends in boxes gives it."""
    content = end_file(post, [output.shape for output in outputs])
    interpreter = open_interpreter(content, target)
    places = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
    for number, output in enumerate(outputs):
        laid = output.transpose(TO_NHWC) if output.ndim == 4 else output
        interpreter.set_tensor(places[f"given{number}.float"], np.ascontiguousarray(laid))
    interpreter.invoke()
    details = interpreter.get_output_details()
    return given_detections(post, [interpreter.get_tensor(one["index"]) for one in details])


def reference_end(data_pack: Path) -> tuple[dict[str, Any], Floats, float]:
    """Return options, anchors [P, 4] and the anchors' step of a published file's last operator."""
    content = (data_pack / "tflite" / "ssd_mobilenet_v1_coco_300_qat_uint8.tflite").read_bytes()
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    graph = model.subgraphs[0]
    last = graph.operators[-1]
    anchors = graph.tensors[last.inputs[2]]
    steps = np.asarray(model.buffers[anchors.buffer].data, np.uint8).reshape(-1, 4)
    scale, zero = float(anchors.quantization.scale[0]), int(anchors.quantization.zeroPoint[0])
    options = flexbuffers.Loads(bytes(bytearray(last.customOptions)))
    return options, ((steps.astype(np.float32) - zero) * scale), scale
