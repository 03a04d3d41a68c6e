"""Constants behind a layer become its weights: the same function, and only where they may."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.ir.text import text
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.fold_channel_constants import fold_channel_constants
from intaglio.run.float import run_float
from passes.same_function import assert_same_function, nodes

X = images((1, 4, 6, 6), 3)
SHAPES = ((), (1,), (8, 1, 1), (1, 8, 1, 1), (1, 1, 1, 1))
"""Of constants that are one number for each of eight channels, or for all."""
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["add", "sub", "mul", "div"]),
        st.booleans(),
        st.sampled_from(SHAPES),
    ),
    min_size=1,
    max_size=4,
)
"""(Op, whether the constant is its first operand, shape), one behind the other."""
LAYERS = {"conv2d": lambda groups: (8, 4 // groups, 3, 3)}
LAYERS["conv_transpose2d"] = lambda groups: (4, 8 // groups, 3, 3)


def layer(sketch: Sketch, op: str, groups: int, *, has_bias: bool) -> str:
    """Append a layer of eight channels that reads four."""
    weights = {"weight": sketch.random(*LAYERS[op](groups))}
    if has_bias:
        weights["bias"] = sketch.random(8)
    return sketch.weighted("layer", op, "x", weights, groups=groups)


def behind(sketch: Sketch, value: str, op: str, numbers: Tensor, *, is_first: bool = False) -> str:
    """Append an op with a constant behind a value."""
    name = f"{op}{len(sketch.graph.nodes)}"
    constant = sketch.constant(f"{name}.constant", numbers)
    return sketch.add(name, op, *((constant, value) if is_first else (value, constant)))


def slow_line(kind: str, numbers: Tensor, value: Tensor, *, is_first: bool) -> Tensor:
    """Return what one op with a constant does to [N, C, H, W] float64, channel by channel."""
    made = value.clone()
    for channel in range(value.shape[1]):
        flat = numbers.double().flatten()
        number = float(flat[channel if len(flat) > 1 else 0])
        one = value[:, channel]
        made[:, channel] = {
            "add": one + number,
            "sub": number - one if is_first else one - number,
            "mul": one * number,
            "div": one / number,
        }[kind]
    return made


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(LAYERS)), st.sampled_from([1, 2, 4]), st.booleans(), ROWS)
def test_any_row_of_constants_folds_and_keeps_the_function(op, groups, has_bias, row):
    sketch = Sketch(4, 6, 6, seed=len(row))
    value = layer(sketch, op, groups, has_bias=has_bias)
    alone = sketch.graph.copy()
    alone.outputs = [value]
    expected = run_float(doubled(alone), X.double())[0]
    largest = float(expected.abs().max())
    for kind, wish, shape in row:
        is_first = wish and kind != "div"  # a constant over a value is no line
        numbers = sketch.random(*shape)
        if kind == "div":  # by no less than a half, which would blow up what was rounded before
            numbers = numbers.sign() * (numbers.abs() + 0.5)
        value = behind(sketch, value, kind, numbers, is_first=is_first)
        expected = slow_line(kind, numbers, expected, is_first=is_first)
        largest = 3.0 * max(largest, float(expected.abs().max()))
    graph = sketch.done()

    assert fold_channel_constants(graph) == len(row)

    assert [node.name for node in graph] == ["x", "layer"]
    assert graph.outputs == ["layer"]
    # One rounding of each weight and of the bias, of the largest value on the way (sums cancel),
    # which up to 36 products of numbers of up to 4 add up.
    error = (run_float(doubled(graph), X.double())[0] - expected).abs().max()
    assert error <= 2.0**-24 * 16 * largest
    assert fold_channel_constants(graph) == 0


def doubled(graph: Graph) -> Graph:
    """Return a graph whose weights are float64."""
    copy = graph.copy()
    copy.params = {key: value.double() for key, value in copy.params.items()}
    return copy


def test_folding_is_the_formula_rounded_once():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 2, kernel=1)
    gain, offset = torch.tensor([0.3, -1.7]), torch.tensor([0.9, 0.1])
    value = behind(sketch, "conv", "mul", gain.reshape(1, 2, 1, 1))
    behind(sketch, value, "add", offset.reshape(1, 2, 1, 1))
    graph = sketch.done()
    weight, bias = (graph.params[f"conv.{role}"].double() for role in ("weight", "bias"))

    fold_channel_constants(graph)

    wanted = (weight * gain.double().reshape(2, 1, 1, 1)).float()
    assert torch.equal(graph.params["conv.weight"], wanted)
    assert torch.equal(graph.params["conv.bias"], (bias * gain.double() + offset.double()).float())


@pytest.mark.parametrize("rows", [(), (7,)])
@pytest.mark.parametrize("shape", [(3,), (1, 3), ()])
def test_a_linear_layer_takes_what_stands_along_its_last_axis(rows, shape):
    sketch = Sketch(*rows, 5)
    sketch.weighted("linear", "linear", "x", {"weight": sketch.random(3, 5)})
    value = behind(sketch, "linear", "mul", sketch.random(*shape))
    behind(sketch, value, "sub", sketch.random(*shape), is_first=True)
    graph = sketch.done()
    before = graph.copy()

    assert fold_channel_constants(graph) == 2

    assert set(graph["linear"].params) == {"weight", "bias"}
    assert_same_function(graph, before, images((1, *rows, 5), 4))


def test_a_linear_layer_leaves_what_stands_along_another_axis():
    sketch = Sketch(3, 5)
    sketch.weighted("linear", "linear", "x", {"weight": sketch.random(3, 5)})
    behind(sketch, "linear", "mul", sketch.random(3, 1))

    assert fold_channel_constants(sketch.done()) == 0


def test_gains_may_be_zero_or_negative():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 3)
    behind(sketch, "conv", "mul", torch.tensor([[[0.0]], [[-2.0]], [[0.5]]]))
    graph = sketch.done()
    before = graph.copy()

    assert fold_channel_constants(graph) == 1

    assert graph.params["conv.weight"][0].eq(0).all()
    assert_same_function(graph, before, X, exact=True)  # powers of two: no rounding at all


def test_the_padding_of_the_layer_behind_stays_zeros():
    sketch = Sketch(4, 6, 6)
    sketch.conv("first", "x", 4)
    value = behind(sketch, "first", "add", sketch.random(4, 1, 1))
    sketch.conv("second", value, 2, padding=(1, 1, 1, 1))
    graph = sketch.done()
    before = graph.copy()

    assert fold_channel_constants(graph) == 1

    assert_same_function(graph, before, X)


def test_an_activation_of_the_last_one_becomes_the_layers_and_ends_the_row():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.constant("c", sketch.random(4, 1, 1))
    sketch.add("sum", "add", "conv", "c", activation=(0.0, 6.0))
    sketch.add("product", "mul", "sum", "c")
    graph = sketch.done()
    before = graph.copy()

    assert [fold_channel_constants(graph) for _ in range(2)] == [1, 0]

    assert nodes(graph) == [
        "conv = conv2d(x) {activation=relu6}",
        "c = constant()",
        "product = mul(conv, c)",
    ]
    assert_same_function(graph, before, X)


def test_a_layer_with_an_activation_is_left_alone():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4, activation=(0.0, float("inf")))
    behind(sketch, "conv", "mul", sketch.random(4, 1, 1))

    assert_left_alone(sketch.done())


def assert_left_alone(graph: Graph) -> None:
    before, params = text(graph), dict(graph.params)

    assert fold_channel_constants(graph) == 0

    assert text(graph) == before
    assert all(graph.params[key] is value for key, value in params.items())


def test_a_layer_that_is_an_output_or_read_elsewhere_is_left_alone():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    product = behind(sketch, "conv", "mul", sketch.random(4, 1, 1))
    output = sketch.graph.copy()
    output.outputs = [product, "conv"]
    sketch.add("both", "add", "conv", product)

    assert_left_alone(output)
    assert_left_alone(sketch.done())


def test_of_a_row_only_what_nothing_else_reads_is_folded():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    first = behind(sketch, "conv", "mul", sketch.random(4, 1, 1))
    second = behind(sketch, first, "add", sketch.random(4, 1, 1))
    graph = sketch.done(first, second)
    before = graph.copy()

    assert fold_channel_constants(graph) == 1

    assert graph.outputs == ["conv", second]
    assert_same_function(graph, before, X)


@pytest.mark.parametrize(
    ("shape", "side"),
    [
        ((1, 1, 4, 4), 6),  # another number at each place
        ((4, 4, 4), 6),
        ((4,), 6),  # along the width
        ((4, 1), 6),  # along the height
        ((4, 4, 4), 3),  # one place becomes sixteen
    ],
)
@pytest.mark.parametrize("op", ["add", "mul"])
def test_constants_that_are_not_one_number_for_a_channel_stay(op, shape, side):
    sketch = Sketch(4, side, side)
    sketch.conv("conv", "x", 4)
    behind(sketch, "conv", op, sketch.random(*shape))

    assert_left_alone(sketch.done())


def test_a_constant_with_a_number_for_each_image_stays():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    behind(sketch, "conv", "mul", sketch.random(1, 1, 1, 1))
    graph = sketch.done()
    (constant,) = (node for node in graph if node.op == "constant")
    graph.set_param(constant, "value", torch.ones(3, 1, 1, 1))  # no network is captured so

    assert_left_alone(graph)


def test_one_channel_is_not_repeated_by_a_constant_of_several():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 1)
    behind(sketch, "conv", "mul", sketch.random(5, 1, 1))

    assert_left_alone(sketch.done())


def test_a_constant_over_a_value_and_a_computed_operand_stay():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    behind(sketch, "conv", "div", sketch.random(4, 1, 1), is_first=True)
    graph = sketch.graph.copy()
    graph.outputs = [list(graph.nodes)[-1]]
    other = Sketch(4, 6, 6)
    other.conv("a", "x", 4)
    other.add("gate", "sigmoid", other.conv("b", "x", 4))
    other.add("product", "mul", "a", "gate")
    square = Sketch(4, 6, 6)
    square.add("square", "mul", *[square.conv("conv", "x", 4)] * 2)

    assert_left_alone(graph)
    assert_left_alone(other.done())
    assert_left_alone(square.done())


@pytest.mark.parametrize(
    ("op", "number"), [("div", 0.0), ("mul", 3e38), ("add", float("inf")), ("mul", float("nan"))]
)
def test_what_would_make_a_weight_infinite_stays(op, number):
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4)
    sketch.graph.params["conv.weight"] *= 100
    behind(sketch, "conv", op, torch.tensor([1.0, number, 1.0, 1.0]).reshape(4, 1, 1))

    assert_left_alone(sketch.done())


def test_a_factor_alone_makes_no_bias_and_a_sum_alone_no_weight():
    sketch = Sketch(4, 6, 6)
    weight = {"weight": sketch.random(4, 4, 1, 1)}
    sketch.weighted("first", "conv2d", "x", weight)
    product = behind(sketch, "first", "mul", sketch.random(4, 1, 1))
    sketch.weighted("second", "conv2d", product, dict(weight))
    behind(sketch, "second", "add", sketch.random(4, 1, 1))
    graph = sketch.done()
    second = graph.params["second.weight"]

    assert fold_channel_constants(graph) == 2

    assert set(graph["first"].params) == {"weight"}
    assert graph.param(graph["second"], "weight") is second


def test_a_weight_that_calls_share_is_never_scaled_twice():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4, padding=(1, 1, 1, 1))
    first = behind(sketch, "conv", "mul", sketch.random(4, 1, 1))
    sketch.conv("again", first, 4, padding=(1, 1, 1, 1))
    sketch.graph["again"].params = dict(sketch.graph["conv"].params)
    behind(sketch, "again", "mul", sketch.random(4, 1, 1))
    graph = sketch.done()
    graph.drop_unused()
    before = graph.copy()

    assert fold_channel_constants(graph) == 2

    assert graph["conv"].params["weight"] != graph["again"].params["weight"]
    assert_same_function(graph, before, X)


@pytest.mark.parametrize("norm_is_first", [True, False])
def test_canonicalize_leaves_no_constant_before_or_behind_a_batch_norm(norm_is_first):
    sketch = Sketch(4, 6, 6)
    value = sketch.conv("conv", "x", 4)
    if norm_is_first:
        value = sketch.norm("norm", value)
    value = behind(sketch, value, "mul", sketch.random(4, 1, 1))
    value = behind(sketch, value, "add", sketch.random(4, 1, 1), is_first=True)
    if not norm_is_first:
        value = sketch.norm("norm", value)
    sketch.clamp("relu", value)
    graph = sketch.done()
    before = graph.copy()

    changes = canonicalize(graph)

    assert (changes["fold_channel_constants"], changes["fold_batch_norm"]) == (2, 1)
    assert nodes(graph) == ["conv = conv2d(x) {activation=relu}"]
    assert_same_function(graph, before, X)
    assert not any(canonicalize(graph).values())
