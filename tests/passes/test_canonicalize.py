"""The target-independent passes: same function, one spelling, nothing left to do."""

from __future__ import annotations

import pytest
import torch

from architectures import architectures, captured, images
from architectures.sketch import Sketch
from intaglio.ir.text import text
from intaglio.passes.canonicalize import (
    canonicalize,
    divide_by_constant,
    explicit_pool,
    global_pool,
    merge_pad,
    multiply_by_scalar,
)
from intaglio.run.float import infer_shapes, run_float
from passes.same_function import assert_same_function

NAMES = list(architectures())
# Folding rounds each weight once more (relative 2**-24), and errors of 50 layers add up.
RELATIVE = 2.0**-24 * 128


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max())


def lines(*parts: str) -> str:
    return "\n".join(parts) + "\n"


def same_function(graph, before, shape) -> bool:
    x = images((1, *shape), 2)
    pairs = zip(run_float(graph, x), run_float(before, x), strict=True)
    return all(torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.fixture(scope="module")
def canonical():
    """Each architecture's canonical graph, made once."""
    made = {}

    def get(name):
        if name not in made:
            graph = captured(name).graph
            made[name] = (graph, canonicalize(graph))
        return made[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_a_canonical_graph_computes_what_the_module_computes(name, canonical):
    network, (graph, _) = captured(name), canonical(name)
    x = images(network.input_shape, 2, seed=1)

    ours = run_float(graph, x)

    for our, their in zip(ours, network.outputs(x), strict=True):
        assert our.shape == their.shape
        if their.is_floating_point():
            assert relative_error(our, their) < RELATIVE


@pytest.mark.parametrize("name", NAMES)
def test_canonicalize_finds_nothing_to_do_in_its_own_result(name, canonical):
    graph = canonical(name)[0].copy()
    before, params = text(graph), dict(graph.params)

    assert not any(canonicalize(graph).values())

    assert text(graph) == before
    assert all(graph.params[key] is value for key, value in params.items())


@pytest.mark.parametrize("name", NAMES)
def test_a_canonical_graph_has_right_shapes_and_no_batch_norm(name, canonical):
    graph = canonical(name)[0].copy()
    before = {node.name: node.shape for node in graph}

    infer_shapes(graph)

    assert {node.name: node.shape for node in graph} == before
    assert not [node.name for node in graph if node.op == "batch_norm"]


@pytest.mark.parametrize("name", ["reused", "nasnet", "unet", "zoo.mobilenet_v2"])
def test_canonicalize_leaves_the_captured_graph_and_the_module_alone(name, canonical):
    network = captured(name)
    before = text(network.source)
    weights = {key: value.clone() for key, value in network.source.params.items()}

    canonicalize(network.graph)

    assert text(network.source) == before
    assert all(torch.equal(network.source.params[key], value) for key, value in weights.items())


def test_zero_padding_moves_into_every_convolution_that_reads_it():
    sketch = Sketch(3, 8, 8)
    sketch.add("pad", "pad", "x", padding=(0, 1, 2, 3))
    sketch.conv("a", "pad", 4, padding=(1, 1, 1, 1))
    sketch.conv("b", "pad", 4)
    graph = sketch.done("a", "b")
    before = graph.copy()

    assert merge_pad(graph) == 1

    assert text(graph) == lines(
        "x = input() -> [N,3,8,8]",
        "a = conv2d(x) {padding=(3,4,1,2)} -> [N,4,13,9]",
        "b = conv2d(x) {padding=(2,3,0,1)} -> [N,4,11,7]",
        "return a, b",
    )
    x = images((1, 3, 8, 8), 2)
    for ours, theirs in zip(run_float(graph, x), run_float(before, x), strict=True):
        assert relative_error(ours, theirs) < RELATIVE  # other padding, other kernel


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": (1, 1, 1, 1), "value": 0.5},
        {"padding": (0, 0, 0, 0, 1, 1), "value": 0.0},
    ],
)
def test_other_padding_stays(settings):
    sketch = Sketch(3, 8, 8)
    sketch.add("pad", "pad", "x", **settings)
    sketch.conv("conv", "pad", 4)

    assert merge_pad(sketch.done()) == 0


def test_padding_stays_where_something_else_reads_it_too():
    sketch = Sketch(3, 8, 8)
    sketch.add("pad", "pad", "x", padding=(1, 1, 1, 1))
    sketch.conv("conv", "pad", 4)
    output = sketch.graph.copy()
    sketch.add("pool", "max_pool2d", "pad", kernel=(2, 2))
    output.outputs = ["pad", "conv"]

    assert merge_pad(sketch.done("conv", "pool")) == 0
    assert merge_pad(output) == 0


def test_division_by_constants_becomes_multiplication():
    sketch = Sketch(3, 2, 2)
    sketch.constant("c", torch.tensor([[[2.0]], [[4.0]], [[0.5]]]))
    sketch.add("div", "div", "x", "c")
    graph = sketch.done()
    before = graph.copy()

    assert divide_by_constant(graph) == 1

    assert text(graph) == lines(
        "div.reciprocal = constant() -> [3,1,1]",
        "x = input() -> [N,3,2,2]",
        "div = mul(x, div.reciprocal) -> [N,3,2,2]",
        "return div",
    )
    assert same_function(graph, before, (3, 2, 2))  # powers of two: no rounding at all


def test_a_divisor_that_is_computed_stays():
    sketch = Sketch(3, 2, 2)
    sketch.constant("c", torch.tensor(2.0))
    sketch.add("div", "div", "c", "x")

    assert divide_by_constant(sketch.done()) == 0


@pytest.mark.parametrize("order", [("x", "c"), ("c", "x")])
def test_a_positive_factor_becomes_rescale(order):
    sketch = Sketch(3, 2, 2)
    sketch.constant("c", torch.tensor([0.75]))
    sketch.add("mul", "mul", *order)
    graph = sketch.done()

    assert multiply_by_scalar(graph) == 1

    assert text(graph) == lines(
        "x = input() -> [N,3,2,2]", "mul = rescale(x) {factor=0.75} -> [N,3,2,2]", "return mul"
    )


@pytest.mark.parametrize(
    ("constant", "activation"),
    [
        (torch.tensor(-2.0), None),
        (torch.tensor(0.0), None),
        (torch.tensor([[[1.0]], [[2.0]], [[3.0]]]), None),
        (torch.tensor(2.0), (0.0, 6.0)),
    ],
)
def test_other_products_stay(constant, activation):
    sketch = Sketch(3, 2, 2)
    sketch.constant("c", constant)
    sketch.add("mul", "mul", "x", "c", activation=activation)

    assert multiply_by_scalar(sketch.done()) == 0


@pytest.mark.parametrize("height", range(5, 13))
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [(2, 2, 0, 1), (3, 2, 1, 1), (3, 3, 0, 1), (2, 3, 1, 2)],
)
def test_ceil_mode_becomes_padding_at_the_end(height, kernel, stride, padding, dilation):
    sketch = Sketch(2, height, 7)
    sketch.add(
        "pool",
        "max_pool2d",
        "x",
        kernel=(kernel, kernel),
        stride=(stride, stride),
        padding=(padding, padding, padding, padding),
        dilation=(dilation, dilation),
        ceil_mode=True,
    )
    graph = sketch.done()
    before = graph.copy()

    assert explicit_pool(graph) == 1

    assert not graph["pool"].attrs["ceil_mode"]
    assert same_function(graph, before, (2, height, 7))


@pytest.mark.parametrize(("height", "changed"), [(6, 1), (7, 0)])
def test_an_average_pool_loses_ceil_mode_only_where_it_does_nothing(height, changed):
    sketch = Sketch(2, height, 6)
    sketch.add("pool", "avg_pool2d", "x", kernel=(2, 2), stride=(2, 2), ceil_mode=True)
    graph = sketch.done()
    before = graph.copy()

    assert explicit_pool(graph) == changed

    assert same_function(graph, before, (2, height, 6))


def test_adaptive_pooling_with_equal_windows_becomes_plain():
    sketch = Sketch(2, 6, 8)
    sketch.add("even", "adaptive_avg_pool2d", "x", size=(3, 2))
    sketch.add("uneven", "adaptive_avg_pool2d", "x", size=(4, 2))
    graph = sketch.done("even", "uneven")
    before = graph.copy()

    assert explicit_pool(graph) == 1

    assert text(graph) == lines(
        "x = input() -> [N,2,6,8]",
        "even = avg_pool2d(x) {kernel=(2,4), stride=(2,4)} -> [N,2,3,2]",
        "uneven = adaptive_avg_pool2d(x) {size=(4,2)} -> [N,2,4,2]",
        "return even, uneven",
    )
    x = images((1, 2, 6, 8), 2)
    for ours, theirs in zip(run_float(graph, x), run_float(before, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)  # eight terms, other order


def test_a_pool_over_everything_becomes_mean():
    sketch = Sketch(2, 6, 8)
    sketch.add("all", "avg_pool2d", "x", kernel=(6, 8), stride=(6, 8))
    sketch.add("rows", "avg_pool2d", "x", kernel=(6, 4), stride=(6, 4))
    sketch.add("own", "avg_pool2d", "x", kernel=(6, 8), divisor=7)
    graph = sketch.done("all", "rows", "own")

    assert global_pool(graph) == 1

    assert "all = mean(x) {axes=(2,3), keepdim=True} -> [N,2,1,1]" in text(graph)


def test_a_constant_as_first_input_is_no_obstacle():
    sketch = Sketch(2, 4, 4)
    sketch.constant("three", torch.tensor(3.0))
    sketch.add("sub", "sub", "three", "x")
    graph = sketch.done()
    before = graph.copy()

    assert not any(canonicalize(graph).values())

    assert same_function(graph, before, (2, 4, 4))


@pytest.mark.parametrize(("value", "merged"), [(float("-inf"), 1), (0.0, 0), (-1e4, 0)])
def test_padding_with_minus_infinity_moves_into_max_pools(value, merged):
    sketch = Sketch(4, 8, 8)
    sketch.add("padded", "pad", "x", padding=(1, 0, 2, 1), value=value)
    sketch.add("pool", "max_pool2d", "padded", kernel=(4, 3), padding=(0, 1, 0, 0))
    graph = sketch.done()
    before = graph.copy()

    assert merge_pad(graph) == merged

    assert graph["pool"].attrs["padding"] == ((2, 2, 1, 0) if merged else (0, 1, 0, 0))
    assert_same_function(graph, before, images((1, 4, 8, 8), 2), exact=True)
