"""Equalization: ranges meet, the function stays, clamps bind as before, statistics follow."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from architectures import captured, images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.ir.text import text
from intaglio.methods.structure.equalize import equalize, equalizing_scales, largest_values
from intaglio.methods.structure.fold_dead_channels import fold_dead_channels, settled_statistics
from intaglio.numerics.normal import Normal
from intaglio.passes.canonicalize import canonicalize
from intaglio.run.float import run_float
from passes.same_function import assert_same_function
from passes.statistics import statistics_of
from passes.trained import mobilenet_v2

RELU = (0.0, float("inf"))
RELU6 = (0.0, 6.0)
X = images((1, 3, 8, 8), 2)
UNEQUAL = torch.tensor([0.05, 0.3, 4.0, 20.0])
POSITIVE = st.floats(1e-3, 1e3)


def spread(graph: Graph, layer: str) -> None:
    """Make the channels of a layer unequal, as a folded batch norm may."""
    for role in ("weight", "bias"):
        value = graph.params[f"{layer}.{role}"]
        graph.params[f"{layer}.{role}"] = value * UNEQUAL.reshape(-1, *[1] * (value.ndim - 1))


def rows(graph: Graph, layer: str) -> Tensor:
    return graph.param(graph[layer], "weight").abs().flatten(1).amax(1)


def columns(graph: Graph, layer: str) -> Tensor:
    return graph.param(graph[layer], "weight").abs().transpose(0, 1).flatten(1).amax(1)


def pair(activation, *, channels: int = 4) -> Graph:
    sketch = Sketch(3, 8, 8)
    sketch.conv("first", "x", channels, activation=activation)
    sketch.conv("second", "first", 5)
    graph = sketch.done()
    spread(graph, "first")
    return graph


def normal(means: list[float], stds: list[float]) -> Normal:
    return Normal(*(torch.tensor(x, dtype=torch.float64) for x in (means, stds)))


def assert_proportional(first: Tensor, second: Tensor) -> None:
    ratio = first / second
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=2e-3, atol=0)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=8))
def test_the_scales_of_a_pair_are_the_published_formula(ranges):
    first, second = torch.tensor(ranges, dtype=torch.float64).T

    (scale,) = equalizing_scales(first, second)

    torch.testing.assert_close(scale, (first * second).sqrt() / second, rtol=1e-9, atol=0)


@given(st.lists(st.tuples(POSITIVE, POSITIVE, POSITIVE), min_size=1, max_size=8))
def test_the_scales_of_a_depthwise_triple_are_the_published_formula(ranges):
    first, middle, last = torch.tensor(ranges, dtype=torch.float64).T
    root = (first * middle * last) ** (1 / 3)

    before, behind = equalizing_scales(first, middle, last)

    torch.testing.assert_close(before, first / root, rtol=1e-9, atol=0)
    torch.testing.assert_close(behind, root / last, rtol=1e-9, atol=0)


def test_a_dead_channel_gets_the_scale_1():
    (scale,) = equalizing_scales(torch.tensor([0.0, 4.0, 4.0]), torch.tensor([1.0, 0.0, 1.0]))

    assert scale.tolist() == [1.0, 1.0, pytest.approx(2.0)]


@pytest.mark.parametrize("activation", [None, RELU])
def test_a_pair_gets_equal_ranges_and_keeps_its_function(activation):
    graph = pair(activation)
    before = graph.copy()

    equalize(graph, {})

    assert_proportional(rows(graph, "first"), columns(graph, "second"))
    assert float(rows(before, "first").max() / rows(before, "first").min()) > 100
    assert_same_function(graph, before, X)


def test_a_depthwise_triple_ends_where_its_closed_form_is():
    sketch = Sketch(3, 8, 8)
    sketch.conv("expand", "x", 4, kernel=1, activation=RELU)
    sketch.conv("depthwise", "expand", 4, groups=4, padding=(1, 1, 1, 1), activation=RELU)
    sketch.conv("project", "depthwise", 2, kernel=1)
    graph = sketch.done()
    spread(graph, "depthwise")
    before = graph.copy()
    ranges = [rows(before, "expand"), rows(before, "depthwise"), columns(before, "project")]
    geometric_mean = torch.stack(ranges).log().mean(0).exp()

    equalize(graph, {})

    for found in (rows(graph, "expand"), rows(graph, "depthwise"), columns(graph, "project")):
        assert_proportional(found, geometric_mean)
    assert_same_function(graph, before, X)


def residual(activation=None) -> Graph:
    """Conv -> conv -> conv, added to the first's value, twice, read by a convolution and a mean."""
    sketch = Sketch(3, 8, 8)
    sketch.conv("start", "x", 4, activation=activation)
    for index, source in enumerate(("start", "sum0")):
        sketch.conv(f"inner{index}", source, 4, padding=(1, 1, 1, 1), activation=RELU)
        sketch.conv(f"branch{index}", f"inner{index}", 4, kernel=1)
        sketch.add(f"sum{index}", "add", source, f"branch{index}", activation=activation)
    sketch.conv("behind", "sum1", 3)
    sketch.add("pooled", "mean", "sum1", axes=(2, 3), keepdim=True)
    sketch.conv("beside", "pooled", 3, kernel=1)
    graph = sketch.done("behind", "beside")
    for name in ("start", "branch0", "branch1"):
        spread(graph, name)
    return graph


@pytest.mark.parametrize("activation", [None, RELU])
def test_a_residual_stream_is_scaled_as_one(activation):
    graph = residual(activation)
    before = graph.copy()

    equalize(graph, {})

    scale = before.params["start.bias"] / graph.params["start.bias"]
    for name in ("branch0", "branch1"):
        found = before.params[f"{name}.bias"] / graph.params[f"{name}.bias"]
        torch.testing.assert_close(found, scale, rtol=1e-5, atol=0)
    assert float(scale.max() / scale.min()) > 5
    assert_same_function(graph, before, X)


@pytest.mark.parametrize("hurdle", ["output", "product", "sigmoid", "concat", "relu6"])
def test_a_stream_that_leads_elsewhere_is_left_alone(hurdle):
    sketch = Sketch(3, 8, 8)
    sketch.conv("a", "x", 4)
    sketch.conv("b", "x", 4)
    relu6 = RELU6 if hurdle == "relu6" else None
    sketch.add("sum", "add", "a", "b", activation=relu6)
    sketch.conv("reader", "sum", 3)
    outputs = ["reader"]
    if hurdle == "output":
        outputs.append("sum")
    elif hurdle == "product":
        outputs.append(sketch.add("other", "mul", "a", "b"))
    elif hurdle == "sigmoid":
        outputs.append(sketch.add("other", "sigmoid", "b"))
    elif hurdle == "concat":
        outputs.append(sketch.add("other", "concat", "b", "a", axis=1))
    graph = sketch.done(*outputs)
    before = graph.copy()

    equalize(graph, {})

    assert {key: id(value) for key, value in graph.params.items()} == {
        key: id(value) for key, value in before.params.items()
    }


def test_channels_of_the_input_are_not_scaled():
    graph = pair(RELU)
    before = columns(graph, "first") / rows(graph, "first").max()

    equalize(graph, {})

    assert not torch.equal(before, columns(graph, "first"))
    assert graph.inputs == ["x"]
    assert_same_function(graph, pair(RELU), X)


def test_relu6_without_statistics_is_left_alone():
    graph = pair(RELU6)
    before = dict(graph.params)

    assert equalize(graph, {}) == {}

    assert all(graph.params[key] is value for key, value in before.items())


def test_relu6_never_binds_in_the_bound_after_equalization():
    graph = pair(RELU6)
    statistics = {"first": normal([0.1, 1.0, 2.0, 0.0], [0.01, 0.5, 2.0, 0.1])}

    found = equalize(graph, statistics)["first"]

    upper = found.upper(6.0)
    assert float(upper[2]) == 14.0  # it bound before: untouched
    assert float(upper[[0, 1, 3]].max()) <= 6.0 * (1 + 1e-12)
    assert (upper[[0, 1, 3]] > 5.99).any()  # and the bound is used where it is in the way


def test_relu6_keeps_its_function_within_the_statistics():
    graph = pair(RELU6)
    spans = graph.copy()
    spans.outputs = ["first"]
    spans["first"].attrs["activation"] = None
    value = run_float(spans, X)[0].transpose(0, 1).flatten(1).double()
    low, high = value.amin(1), value.amax(1)
    # bounds that this input's values truly have: mean +- 6 std reach the extremes
    statistics = {"first": Normal((low + high) / 2, (high - low) / 12)}
    before = graph.copy()

    equalize(graph, statistics)

    assert float(high.max()) > 6.0 > float(high.min())  # some clamps bind and some do not
    assert not torch.equal(graph.params["first.weight"], before.params["first.weight"])
    assert_same_function(graph, before, X)


def test_what_images_showed_counts_instead_of_statistics():
    graph = pair(RELU6)
    before = graph.copy()
    largest = largest_values(graph, [X[:1], X[1:]])
    tapped = graph.copy()
    tapped.outputs = ["first"]
    expected = run_float(tapped, X)[0].amax((0, 2, 3))

    equalize(graph, {}, largest=largest)

    # one image at a time and two at once: 27 products may be added in another order
    torch.testing.assert_close(largest["first"], expected, rtol=1e-5, atol=1e-6)
    scale = before.params["first.bias"] / graph.params["first.bias"]
    binds = expected >= 6.0
    assert binds.any()
    assert not binds.all()
    assert torch.equal(scale[binds], torch.ones(int(binds.sum())))
    assert (scale[~binds] >= 1.25 * expected[~binds] / 6.0 * (1 - 1e-6)).all()
    assert_same_function(graph, before, X)


def test_other_bounded_clamps_are_kept_from_binding_at_both_ends():
    graph = pair((-2.0, 6.0))
    statistics = {"first": normal([0.0, -1.0, 0.0, -1.9], [0.01, 0.01, 2.0, 0.01])}

    found = equalize(graph, statistics)["first"]

    assert (found.lower(6.0)[[0, 1, 3]] >= -2.0 - 1e-12).all()
    assert (found.mean[2], found.std[2]) == (0.0, 2.0)


def test_the_statistics_follow_their_channels():
    graph = pair(RELU)
    before = graph.copy()
    statistics = {"first": normal([1.0, -2.0, 3.0, 0.0], [1.0, 2.0, 0.0, 4.0])}
    other = {"elsewhere": normal([1.0], [1.0])}

    found = equalize(graph, {**statistics, **other})

    scale = (before.params["first.bias"] / graph.params["first.bias"]).double()
    torch.testing.assert_close(
        found["first"].mean, statistics["first"].mean / scale, rtol=1e-5, atol=0
    )
    torch.testing.assert_close(
        found["first"].std, statistics["first"].std / scale, rtol=1e-5, atol=0
    )
    assert found["elsewhere"] is other["elsewhere"]
    assert statistics["first"].mean[0] == 1.0


def test_a_dead_row_is_left_alone():
    graph = pair(RELU)
    graph.params["first.weight"][1] = 0.0
    before = graph.copy()

    equalize(graph, {})

    assert graph.params["first.bias"][1] == before.params["first.bias"][1]
    old, new = (g.params["second.weight"][:, 1] for g in (before, graph))
    assert torch.equal(old, new)


def test_equalizing_twice_changes_little():
    graph = pair(RELU)
    equalize(graph, {})
    once = rows(graph, "first")

    equalize(graph, {})

    torch.testing.assert_close(rows(graph, "first"), once, rtol=1e-3, atol=0)


def test_a_layer_inside_its_own_stream_settles():
    sketch = Sketch(3, 8, 8)
    sketch.conv("start", "x", 4)
    sketch.conv("depthwise", "start", 4, groups=4, padding=(1, 1, 1, 1))
    sketch.conv("dense", "start", 4, padding=(1, 1, 1, 1))
    sketch.add("sum", "add", "start", "depthwise")
    sketch.add("sums", "add", "sum", "dense")
    sketch.conv("end", "sums", 3)
    graph = sketch.done()
    spread(graph, "start")
    before = graph.copy()

    equalize(graph, {})

    scale = before.params["start.bias"] / graph.params["start.bias"]
    assert float(scale.max() / scale.min()) < 1e4
    assert torch.allclose(graph.params["depthwise.weight"], before.params["depthwise.weight"])
    assert_same_function(graph, before, X)


def test_depthwise_averages_stay_averages():
    sketch = Sketch(3, 8, 8)
    sketch.conv("first", "x", 4, activation=RELU)
    mean = {"weight": torch.full((4, 1, 2, 2), 0.25)}
    sketch.weighted("average", "conv2d", "first", mean, groups=4, stride=(2, 2))
    sketch.conv("second", "average", 5, kernel=1)
    graph = sketch.done()
    spread(graph, "first")
    before = graph.copy()

    equalize(graph, {})

    assert graph.params["average.weight"] is before.params["average.weight"]
    assert_proportional(rows(graph, "first"), columns(graph, "second"))
    assert_same_function(graph, before, X)


@pytest.mark.parametrize("name", ["reused", "shufflenet_v2", "ghostnet", "densenet"])
def test_all_kinds_of_networks_keep_their_function(name):
    network = captured(name)
    graph = network.graph
    canonicalize(graph)
    before = graph.copy()

    equalize(graph, {})

    assert text(graph) == text(before)
    x = images(network.input_shape, 2)
    for ours, theirs in zip(run_float(graph, x), run_float(before, x), strict=True):
        assert float((ours - theirs).abs().max()) <= 1e-4 * float(theirs.abs().max())


@pytest.mark.slow
def test_a_trained_network_is_equalized_without_harm(data_pack):
    network = mobilenet_v2(data_pack, images=8)
    graph, statistics = network.graph, statistics_of(network.captured)
    reference = graph.copy()
    fold_dead_channels(graph, statistics)
    unequal = rows(graph, "features.3.conv.1.0")

    equalize(
        graph,
        settled_statistics(graph, statistics),
        largest=largest_values(graph, [network.images]),
    )

    expected, found = (run_float(g, network.images)[0] for g in (reference, graph))
    assert torch.equal(found.argmax(1), expected.argmax(1))
    noise = (found - expected).square().sum() / expected.square().sum()
    assert -10 * math.log10(float(noise)) > 45  # on the images whose values bound the scales
    equal = rows(graph, "features.3.conv.1.0")

    def imbalance(ranges: Tensor) -> Tensor:
        return ranges.max() / ranges[ranges > 0].median()

    assert imbalance(equal) < imbalance(unequal) / 2
