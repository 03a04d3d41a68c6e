"""Constants get the rank of the values that they meet; arithmetic with them, up to the file."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures import images
from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.calibrate.encodings import choose_encodings
from intaglio.calibrate.loop import observe_ranges
from intaglio.calibrate.minmax import MinMax
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.lower.align_constants import align_constants, align_values
from intaglio.runtimes.litert.lower.lower import lower
from intaglio.targets.target import Target
from runtimes.litert.checked import check_file

SHAPE = (4, 6, 5)


def constant_shapes(graph: Graph) -> list[tuple[int, ...]]:
    return [node.shape for node in graph if node.op == "constant"]


def assert_same_function(graph: Graph, before: Graph) -> None:
    x = images((1, *SHAPE), 2)
    for found, wanted in zip(run_float(graph, x), run_float(before, x), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    ("shape", "aligned"),
    [((), (1, 1, 1, 1)), ((5,), (1, 1, 1, 5)), ((4, 1, 1), (1, 4, 1, 1)), ((6, 5), (1, 1, 6, 5))],
)
@pytest.mark.parametrize("on_the_left", [False, True])
def test_a_constant_gets_leading_axes(
    shape: tuple[int, ...], aligned: tuple[int, ...], on_the_left: bool
) -> None:
    sketch = Sketch(*SHAPE)
    sketch.constant("c", sketch.random(*shape))
    sketch.add("y", "sub", *(("c", "x") if on_the_left else ("x", "c")))
    graph = sketch.done()
    before = graph.copy()

    assert align_constants(graph) == 1

    assert constant_shapes(graph) == [aligned]
    assert_same_function(graph, before)


def test_a_constant_that_values_of_different_rank_read_is_duplicated() -> None:
    sketch = Sketch(*SHAPE)
    sketch.constant("c", sketch.random(1))
    sketch.add("image", "mul", "x", "c")
    sketch.add("means", "mean", "x", axes=(2, 3), keepdim=False)
    sketch.add("vector", "add", "means", "c")
    graph = sketch.done("image", "vector")
    before = graph.copy()

    assert align_constants(graph) == 2

    assert sorted(constant_shapes(graph)) == [(1, 1), (1, 1, 1, 1)]
    assert_same_function(graph, before)


def test_a_constant_that_is_also_an_output_keeps_its_shape_there() -> None:
    sketch = Sketch(*SHAPE)
    sketch.constant("c", sketch.random(4, 1, 1))
    sketch.add("y", "mul", "x", "c")
    graph = sketch.done("y", "c")
    before = graph.copy()

    assert align_constants(graph) == 1

    assert graph["c"].shape == (4, 1, 1)
    assert_same_function(graph, before)


def test_constants_of_full_rank_and_those_that_are_joined_are_left_alone() -> None:
    sketch = Sketch(*SHAPE)
    sketch.constant("c", sketch.random(1, 4, 1, 1))
    sketch.add("y", "mul", "x", "c")
    graph = sketch.done()

    assert align_constants(graph) == 0
    assert list(graph.nodes) == ["x", "c", "y"]


class Arithmetic(nn.Module):
    """A convolution, arithmetic with constants of every rank, and another convolution."""

    def __init__(self, work: Callable[[Arithmetic, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 1)
        self.scalar = nn.Parameter(torch.randn(()))
        self.channels = nn.Parameter(torch.randn(6, 1, 1))
        self.full = nn.Parameter(torch.randn(1, 6, 1, 1))
        self.columns = nn.Parameter(torch.randn(7))
        self.vector = nn.Parameter(torch.randn(6))
        self.work = work

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.work(self, self.first(x)))


WORK: dict[str, Callable[[Arithmetic, Tensor], Tensor]] = {
    "number minus value": lambda m, x: 1.5 - x,
    "negative": lambda m, x: -x,
    "minus a value, clamped": lambda m, x: F.relu(1 - x),
    "times a negative number": lambda m, x: x * -0.7,
    "plus a scalar": lambda m, x: m.scalar + x,
    "times channels": lambda m, x: x * m.channels,
    "minus channels, clamped": lambda m, x: F.relu6(x - m.channels),
    "channels minus value": lambda m, x: m.channels - x,
    "over channels": lambda m, x: x / (m.channels.abs() + 0.5),
    "plus columns": lambda m, x: x + m.columns,
    "constants of constants": lambda m, x: x * (m.channels + 1.0) + (m.channels + m.full),
    "one constant, two ranks": lambda m, x: (
        x * m.scalar + (x.mean((2, 3)) * m.scalar + m.vector)[:, :, None, None]
    ),
    "value times itself": lambda m, x: x * x,
    "plus almost nothing": lambda m, x: x + 1e-6,
    "gate": lambda m, x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    "silu and tanh": lambda m, x: torch.tanh(x) * F.silu(x),
    "leaky": lambda m, x: F.leaky_relu(x, 0.1),
    "sigmoid beside its input": lambda m, x: torch.cat([torch.sigmoid(x), x], 1)[:, 3:9],
    "sigmoid, every second row": lambda m, x: torch.sigmoid(x)[:, :, ::2],
    "resized": lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "resized, nearest": lambda m, x: F.interpolate(x, size=(5, 20)),
}


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE], ids=lambda target: target.name)
@pytest.mark.parametrize("name", WORK)
def test_arithmetic_from_module_to_file(name: str, target: Target) -> None:
    torch.manual_seed(0)
    module = Arithmetic(WORK[name]).eval()
    x = images((1, 3, 8, 7), 4)

    graph = capture(module, x[:1])
    canonicalize(graph)
    lower(graph)
    with torch.no_grad():
        real = module(x)
    plan = plan_of(graph, target, "w8a8")
    ranges = observe_ranges(graph, plan, [x], calibrator=MinMax)
    encodings = choose_encodings(graph, plan, ranges, target)
    twin = build_twin(graph, encodings, target)
    counts = check_file(write_tflite(graph, encodings, target), twin, [x])

    assert torch.allclose(run_float(graph, x)[0], real, atol=1e-5)
    assert counts.mismatches == 0
    assert counts.values_compared > 0
    assert (twin(x) - real).norm() < 0.06 * real.norm()
    if target is LITERT:
        assert counts.builtin == (["RESIZE_NEAREST_NEIGHBOR"] if "nearest" in name else [])


def test_a_value_of_fewer_axes_gets_them_behind_its_batch():
    graph = Graph(inputs=["x"], outputs=["y"])
    graph.add(Node("x", "input", shape=(BATCH, 3, 5, 5)))
    graph.add(Node("row", "mean", ["x"], {}, {"axes": (1,), "keepdim": False}, (BATCH, 5, 5)))
    graph.add(Node("y", "add", ["x", "row"], {}, {"activation": None}, (BATCH, 3, 5, 5)))

    assert align_values(graph) == 1

    assert graph["y"].inputs == ["x", "y.aligned"]
    assert graph["y.aligned"].shape == (BATCH, 1, 5, 5)
    values = torch.randn(2, 3, 5, 5)
    assert torch.equal(run_float(graph, values)[0], values + values.mean(1, keepdim=True))
    assert align_values(graph) == 0
