"""Ranges of a graph's values on data: what is seen, what is refused, and what is held in memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from architectures import images
from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.calibrate import CALIBRATORS, observe_ranges
from intaglio.calibrate.minmax import MinMax
from intaglio.calibrate.moving_average import MovingAverage
from intaglio.errors import DataError, NonFiniteError
from intaglio.ir.graph import Graph
from intaglio.numerics.spec import QuantSpec
from intaglio.run.float import run_float
from intaglio.runtimes import LITERT

SHAPE = (3, 8, 8)
X = images((1, *SHAPE), 10)


def network() -> Graph:
    sketch = Sketch(*SHAPE)
    sketch.conv("first", "x", 4, activation=(0.0, 6.0))
    sketch.conv("second", "first", 4, kernel=1)
    sketch.add("sum", "add", "first", "second")
    return sketch.done()


def ranges_of(graph: Graph, batches, calibrator=MinMax):
    plan = plan_of(graph, LITERT, "w8a8")
    found = observe_ranges(graph, plan, batches, calibrator=calibrator)
    return {name: (low.item(), high.item()) for name, (low, high) in found.items()}


def test_ranges_are_those_of_the_float_network():
    graph = network()
    expected = {}

    def tap(node, value):
        expected[node.name] = (value.min().item(), value.max().item())

    run_float(graph, X, tap=tap)

    found = ranges_of(graph, [X])
    assert set(found) == set(expected)
    for name, bounds in expected.items():
        # float32 sums in another order: batches and layout differ
        assert found[name] == pytest.approx(bounds, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("calibrator", [MinMax, MovingAverage])
@pytest.mark.parametrize("size", [1, 3, 10])
def test_the_batch_size_does_not_matter(calibrator, size):
    graph = network()

    found = ranges_of(graph, X.split(size), calibrator)

    for name, bounds in ranges_of(graph, [X], calibrator).items():
        # a convolution of fewer images may add in another order
        assert found[name] == pytest.approx(bounds, rel=1e-5, abs=1e-5)


def test_channels_last_images_give_the_same():
    graph = network()
    last = X.contiguous(memory_format=torch.channels_last)

    assert ranges_of(graph, [last]) == ranges_of(graph, [X])


def test_each_value_gets_a_calibrator_for_its_own_grid():
    graph = network()
    plan = plan_of(graph, LITERT, "w8a8")
    coarse = QuantSpec(bits=4)
    plan = replace(plan, activations={**plan.activations, "first": coarse})
    asked = []

    def calibrator(spec: QuantSpec) -> MinMax:
        asked.append(spec)
        return MinMax(spec)

    observe_ranges(graph, plan, [X], calibrator=calibrator)

    assert sorted(spec.bits for spec in asked) == [4, 8, 8]  # not the output's


class Nothing(MinMax):
    """A calibrator that clips everything."""

    def range(self) -> tuple[Tensor, Tensor]:
        return torch.zeros(()), torch.zeros(())


def clipped(graph: Graph) -> set[str]:
    full = ranges_of(graph, [X])
    return {name for name, found in ranges_of(graph, [X], Nothing).items() if found != full[name]}


def test_outputs_are_never_clipped_and_all_else_is():
    assert clipped(network()) == {"x", "first", "second"}


@pytest.mark.parametrize(
    ("op", "settings"), [("rescale", {"factor": 0.5}), ("reshape", {"shape": (-1, 256)})]
)
def test_neither_is_what_an_output_only_moves_or_rescales(op, settings):
    sketch = Sketch(*SHAPE)
    sketch.conv("first", "x", 4, kernel=1)
    sketch.conv("second", "first", 4, kernel=1)
    sketch.add("last", op, "second", **settings)

    assert clipped(sketch.done()) == {"x", "first"}


def test_neither_is_what_a_softmax_at_the_end_reads():
    sketch = Sketch(*SHAPE)
    sketch.conv("first", "x", 4, kernel=1)
    sketch.add("flat", "reshape", "first", shape=(-1, 256))
    sketch.add("softmax", "softmax", "flat", axis=1)

    assert clipped(sketch.done()) == {"x"}


def test_of_several_outputs_none_is_clipped():
    sketch = Sketch(*SHAPE)
    sketch.conv("first", "x", 4)
    sketch.conv("second", "first", 4)
    sketch.conv("third", "first", 4)

    assert clipped(sketch.done("second", "third")) == {"x", "first"}


def test_moving_averages_lie_within_min_max():
    graph = network()

    inner, outer = ranges_of(graph, [X], MovingAverage), ranges_of(graph, [X], MinMax)

    for name, (low, high) in inner.items():
        assert outer[name][0] <= low <= high <= outer[name][1]
    assert inner["x"] != outer["x"]
    assert inner["sum"] == outer["sum"]


def test_constants_have_their_own_range_and_are_not_observed():
    sketch = Sketch(*SHAPE)
    sketch.constant("c", torch.tensor([[[[-3.0]], [[0.5]], [[2.0]]]]))
    sketch.add("sum", "add", "x", "c")

    assert ranges_of(sketch.done(), [X])["c"] == (-3.0, 2.0)


def broken_at(*, bad: float) -> Graph:
    """Return a chain of four convolutions whose second one has a weight that is not finite."""
    sketch = Sketch(*SHAPE)
    sketch.conv("a", "x", 4, kernel=1)
    for before, name in ("ab", "bc", "cd"):
        sketch.conv(name, before, 4, kernel=1)
    graph = sketch.done()
    graph.params["b.weight"][0, 0] = bad
    return graph


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("calibrator", list(CALIBRATORS))
def test_nan_and_infinity_are_refused_naming_the_first_layer(bad, calibrator):
    with pytest.raises(NonFiniteError, match=r"'layer\.b' \(conv2d\)"):
        ranges_of(broken_at(bad=bad), [X], CALIBRATORS[calibrator])


def test_nan_in_an_image_is_refused_at_the_input():
    spoilt = X.clone()
    spoilt[7, 1, 2, 3] = float("nan")

    with pytest.raises(NonFiniteError, match=r"'x' \(input\)"):
        ranges_of(network(), [spoilt])


@pytest.mark.parametrize("batches", [[], [X[:0]], [X[:0], X[:0]]])
def test_no_image_at_all_is_refused(batches):
    with pytest.raises(DataError, match="empty"):
        ranges_of(network(), batches)


def test_an_empty_batch_among_others_changes_nothing():
    graph = network()

    assert ranges_of(graph, [X[:0], X, X[:0]]) == ranges_of(graph, [X])


def test_only_one_batch_is_alive_at_a_time():
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    def stream() -> Iterator[Tensor]:
        nonlocal most
        for seed in range(20):
            batch = images((1, *SHAPE), 4, seed)
            alive.append(weakref.ref(batch))
            most = max(most, sum(reference() is not None for reference in alive))
            yield batch
            del batch

    ranges_of(network(), stream())

    assert most <= 2  # the one just made, and the one that the loop has in its hands


def test_the_graph_is_left_as_it_was():
    graph = network()
    before = {key: (value, value.stride()) for key, value in graph.params.items()}

    ranges_of(graph, [X])

    for key, (value, stride) in before.items():
        assert graph.params[key] is value
        assert value.stride() == stride
