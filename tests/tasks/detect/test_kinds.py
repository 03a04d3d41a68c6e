"""Which channels of a last layer are boxes and which are scores, whatever the layout."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from architectures.sketch import Sketch
from intaglio.boxes.anchors import yolo_grids
from intaglio.boxes.heads import Heads, packed
from intaglio.boxes.postprocess import PostProcess
from intaglio.boxes.yolo import yolov3
from intaglio.ir.graph import Graph
from intaglio.tasks.detect.kinds import kinds_of_channels

ANCHORS, CLASSES = 2, 3
WIDTH = 5 + CLASSES
SIZE = (8, 16)
BOXES = [0, 1, 2, 3, 8, 9, 10, 11]
SCORES = [4, 5, 6, 7, 12, 13, 14, 15]  # objectness is one of them


def post(layout: str, strides: Sequence[int] = (4,), heads: Heads | None = None) -> PostProcess:
    """Return YOLOv3's with maps of 2 x 4 and 1 x 2 cells."""
    anchors = [[(4.0, 4.0), (8.0, 8.0)]] * len(strides)
    grids = yolo_grids(SIZE, strides, anchors)
    heads = heads or packed(len(strides), objectness=True, layout=layout)
    return yolov3(SIZE, grids, classes=CLASSES, heads=heads)


def head(layout: str) -> Graph:
    """Return a graph that ends in one convolution, its numbers moved to a layout."""
    sketch = Sketch(3, 2, 4)
    last = sketch.conv("head", "x", ANCHORS * WIDTH, 1)
    if layout == "map-last":
        last = sketch.add("last", "transpose", last, order=(0, 2, 3, 1))
    if layout in ("anchor-maps", "rows", "columns"):
        last = sketch.add("apart", "reshape", last, shape=(-1, ANCHORS, WIDTH, 2, 4))
    if layout == "anchor-maps":
        last = sketch.add("last", "transpose", last, order=(0, 1, 3, 4, 2))
    if layout in ("rows", "columns"):
        last = sketch.add("cells", "transpose", last, order=(0, 3, 4, 1, 2))
        last = sketch.add("rows", "reshape", last, shape=(-1, 8 * ANCHORS, WIDTH))
    if layout == "columns":
        last = sketch.add("columns", "transpose", last, order=(0, 2, 1))
    return sketch.done(last)


@pytest.mark.parametrize("layout", ["map", "map-last", "anchor-maps", "rows", "columns"])
def test_channels_are_found_through_whatever_moves_them_to_a_layout(layout: str) -> None:
    found = kinds_of_channels(head(layout), post(layout))

    assert found == {"head": {"boxes": BOXES, "scores": SCORES}}


def test_levels_that_are_joined_in_one_output_are_each_their_layers() -> None:
    sketch = Sketch(3, 2, 4)
    for name, source in (("fine", "x"), ("coarse", sketch.conv("down", "x", 4, 1, stride=(2, 2)))):
        sketch.conv(name, source, ANCHORS * WIDTH, 1)
        cells = sketch.graph[name].shape[2] * sketch.graph[name].shape[3]
        sketch.add(f"{name}.last", "transpose", name, order=(0, 2, 3, 1))
        rows = (-1, cells * ANCHORS, WIDTH)
        sketch.add(f"{name}.rows", "reshape", f"{name}.last", shape=rows)
    graph = sketch.done(sketch.add("joined", "concat", "fine.rows", "coarse.rows", axis=1))
    heads = Heads((0,), (0,), (0,), "rows")

    found = kinds_of_channels(graph, post("rows", (4, 8), heads))

    kinds = {"boxes": BOXES, "scores": SCORES}
    assert found == {"fine": kinds, "coarse": kinds}


def test_layers_of_one_kind_are_none_of_them() -> None:
    sketch = Sketch(3, 2, 4)
    for name, count in (("boxes", 4), ("scores", CLASSES), ("objectness", 1)):
        sketch.conv(name, "x", ANCHORS * count, 1)
    graph = sketch.done("boxes", "scores", "objectness")

    assert kinds_of_channels(graph, post("map", heads=Heads((0,), (1,), (2,), "map"))) == {}


def test_channels_that_nothing_is_read_of_are_a_kind_of_their_own() -> None:
    sketch = Sketch(3, 2, 4)
    sketch.conv("head", "x", 20, 1)
    sketch.add("read", "slice", "head", axis=1, start=0, stop=ANCHORS * WIDTH)
    graph = sketch.done("read")

    found = kinds_of_channels(graph, post("map"))

    assert found == {"head": {"boxes": BOXES, "scores": SCORES, "others": [16, 17, 18, 19]}}


@pytest.mark.parametrize("op", ["sigmoid", "max_pool2d", "pad"])
def test_a_layer_whose_values_are_more_than_moved_is_none(op: str) -> None:
    settings: dict[str, dict[str, object]] = {
        "max_pool2d": {"kernel": (1, 1)},
        "pad": {"padding": (0, 0, 0, 0)},
        "sigmoid": {},
    }
    sketch = Sketch(3, 2, 4)
    sketch.conv("head", "x", ANCHORS * WIDTH, 1)
    graph = sketch.done(sketch.add("last", op, "head", **settings[op]))

    assert kinds_of_channels(graph, post("map")) == {}


def test_a_layer_that_the_network_goes_on_with_is_none() -> None:
    sketch = Sketch(3, 2, 4)
    sketch.conv("head", "x", ANCHORS * WIDTH, 1)
    graph = sketch.done("head", sketch.add("more", "tanh", "head"))

    assert kinds_of_channels(graph, post("map")) == {}


def test_outputs_that_are_not_what_is_read_say_nothing() -> None:
    assert kinds_of_channels(head("map"), post("map-last")) == {}
    assert kinds_of_channels(head("map"), post("map", (4, 8))) == {}  # a second output is missing


def test_rows_that_no_such_layer_made_are_no_channels() -> None:
    sketch = Sketch(3, 2, 4)
    sketch.conv("head", "x", ANCHORS * WIDTH, 1)
    sketch.add("half", "slice", "head", axis=2, start=0, stop=1)
    sketch.add("other", "tanh", "x")
    sketch.conv("tail", "other", ANCHORS * WIDTH, 1)
    sketch.add("tanh", "tanh", "tail")
    sketch.add("rest", "slice", "tanh", axis=2, start=1, stop=2)
    graph = sketch.done(sketch.add("joined", "concat", "half", "rest", axis=2))

    assert kinds_of_channels(graph, post("map")) == {"head": {"boxes": BOXES, "scores": SCORES}}
