"""Dead and constant channels leave the weights; the function stays."""

from __future__ import annotations

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.text import text
from intaglio.methods.structure.fold_dead_channels import fold_dead_channels, settled_statistics
from intaglio.numerics.metrics import sqnr_db
from intaglio.numerics.normal import Normal
from intaglio.run.float import run_float
from passes.same_function import assert_same_function
from passes.statistics import statistics_of as captured_statistics
from passes.trained import mobilenet_v2

RELU = (0.0, float("inf"))
RELU6 = (0.0, 6.0)
X = images((1, 3, 8, 8), 2)


def normal(means: list[float], stds: list[float]) -> Normal:
    return Normal(*(torch.tensor(x, dtype=torch.float64) for x in (means, stds)))


def block(first, constants: dict[int, float], *, padding=(0, 0, 0, 0), groups=1):
    """Conv -> conv, with channels of the first that do not depend on the image."""
    sketch = Sketch(3, 8, 8)
    sketch.conv("first", "x", 4, activation=first)
    sketch.conv("second", "first", 4, padding=padding, groups=groups)
    graph = sketch.done()
    for channel, value in constants.items():
        graph.params["first.weight"][channel] = 0.0
        graph.params["first.bias"][channel] = value
    return graph


def statistics_of(constants: dict[int, float]) -> dict[str, Normal]:
    means = [constants.get(channel, 0.0) for channel in range(4)]
    return {"first": normal(means, [0.0 if c in constants else 1.0 for c in range(4)])}


def blown_up(graph, channels):
    """Give the constant rows kernels that see nothing: the input's fourth channel is always 0."""
    weight = graph.params["first.weight"]
    wide = torch.cat([weight, torch.zeros_like(weight[:, :1])], 1)
    wide[list(channels), 3] = 100.0
    graph.params["first.weight"] = wide
    graph["x"].shape = (-1, 4, 8, 8)
    return torch.cat([X, torch.zeros_like(X[:, :1])], 1)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_dead_channel_leaves_both_weights_and_the_function_stays(groups):
    graph = block(RELU, {1: -2.0}, padding=(1, 1, 1, 1), groups=groups)
    x = blown_up(graph, [1])
    before = graph.copy()

    folded = fold_dead_channels(graph, statistics_of({1: -2.0}))

    assert folded["first"] == [1]
    assert not graph.params["first.weight"][1].any()
    assert graph.params["first.bias"][1] == 0.0
    column = graph.params["second.weight"].reshape(groups, 4 // groups, 4 // groups, -1)
    assert not column[1 * groups // 4, :, 1 % (4 // groups)].any()
    assert_same_function(graph, before, x)


def test_a_constant_moves_into_the_next_bias_and_the_row_is_cleared():
    graph = block(RELU6, {0: 2.5, 2: 9.0})
    x = blown_up(graph, [0, 2])
    before = graph.copy()

    folded = fold_dead_channels(graph, statistics_of({0: 2.5, 2: 9.0}))

    assert folded == {"first": [0, 2]}
    shift = before.params["second.weight"].sum((2, 3)) @ torch.tensor([2.5, 0.0, 6.0, 0.0])
    expected = before.params["second.bias"] + shift
    torch.testing.assert_close(graph.params["second.bias"], expected, rtol=1e-5, atol=1e-5)
    assert graph.params["first.bias"][[0, 2]].tolist() == [0.0, 0.0]
    assert_same_function(graph, before, x)


def test_a_constant_stays_where_the_reader_pads_with_zeros():
    graph = block(RELU, {0: 2.5}, padding=(1, 0, 0, 0))
    x = blown_up(graph, [0])
    before = graph.copy()

    assert fold_dead_channels(graph, statistics_of({0: 2.5})) == {"first": [0]}

    assert not graph.params["first.weight"][0].any()  # the kernel goes, the constant is its bias
    assert graph.params["first.bias"][0] == 2.5
    assert torch.equal(graph.params["second.weight"], before.params["second.weight"])
    assert_same_function(graph, before, x)


def test_behind_a_dead_channel_a_depthwise_channel_is_constant_in_turn():
    sketch = Sketch(3, 8, 8)
    sketch.conv("expand", "x", 4, activation=RELU6)
    depthwise = {"padding": (1, 1, 1, 1), "groups": 4, "activation": RELU6}
    sketch.conv("depthwise", "expand", 4, **depthwise)
    sketch.conv("project", "depthwise", 2, kernel=1)
    graph = sketch.done()
    graph.params["expand.weight"][3] = 0.0
    graph.params["expand.bias"][3] = -1.0
    graph.params["depthwise.bias"][3] = 4.0
    before = graph.copy()

    folded = fold_dead_channels(graph, {"expand": normal([0, 0, 0, -1], [1, 1, 1, 0])})

    assert folded == {"depthwise": [3]}
    assert not graph.params["project.weight"][:, 3].any()
    assert graph.params["depthwise.bias"][3] == 0.0
    assert_same_function(graph, before, images((1, 3, 8, 8), 2))


def test_what_only_a_dead_channel_reads_is_dead_as_well():
    sketch = Sketch(3, 8, 8)
    sketch.conv("expand", "x", 4, activation=RELU6)
    sketch.conv("depthwise", "expand", 4, groups=4, activation=RELU)
    sketch.conv("project", "depthwise", 2, kernel=1)
    graph = sketch.done()
    graph.params["depthwise.bias"][1] = -1e3
    before = graph.copy()

    folded = fold_dead_channels(graph, {"depthwise": normal([0, -1e3, 0, 0], [1, 1, 1, 1])})

    assert folded == {"expand": [1], "depthwise": [1]}
    assert_same_function(graph, before, images((1, 3, 8, 8), 2))


@pytest.mark.parametrize(("mean", "dead"), [(-10.0, True), (-9.9, False), (16.0, True)])
def test_ten_deviations_beyond_the_clamp_are_certain(mean, dead):
    graph = block(RELU6, {})

    folded = fold_dead_channels(graph, {"first": normal([mean, 0, 0, 0], [1.0] * 4)})

    assert ("first" in folded) == dead


def test_without_a_clamp_a_low_mean_is_no_reason():
    graph = block(None, {})

    assert fold_dead_channels(graph, {"first": normal([-50.0, 0, 0, 0], [1.0] * 4)}) == {}


def test_small_channels_of_a_small_layer_are_alive():
    graph = block(RELU, {})
    before = text(graph)

    assert fold_dead_channels(graph, {"first": normal([0.0] * 4, [1e-6, 2e-6, 1e-6, 3e-6])}) == {}

    assert text(graph) == before


def test_channels_of_an_output_are_not_unread():
    graph = block(RELU, {})
    graph.outputs.append("first")
    graph.params["second.weight"][:] = 0.0

    assert fold_dead_channels(graph, {}) == {}


def test_a_constant_crosses_pooling_into_the_classifier():
    sketch = Sketch(3, 8, 8)
    sketch.conv("conv", "x", 4, activation=RELU6)
    sketch.add("pooled", "mean", "conv", axes=(2, 3), keepdim=True)
    sketch.add("flat", "reshape", "pooled", shape=(-1, 4))
    sketch.weighted("linear", "linear", "flat", {"weight": sketch.random(5, 4)})
    graph = sketch.done()
    graph.params["conv.weight"][2] = 0.0
    graph.params["conv.bias"][2] = 3.0
    before = graph.copy()

    fold_dead_channels(graph, {})

    assert not graph.params["linear.weight"][:, 2].any()
    assert_same_function(graph, before, images((1, 3, 8, 8), 2))


def test_weights_that_calls_share_are_not_written():
    graph = block(RELU, {1: -2.0})
    graph.params["first.weight"][1] = 7.0
    before = {key: value.clone() for key, value in graph.params.items()}
    copy = graph.copy()

    fold_dead_channels(graph, statistics_of({1: -2.0}))

    assert all(torch.equal(copy.params[key], value) for key, value in before.items())


def test_settled_statistics_say_what_cleared_rows_are():
    graph = block(RELU, {1: -2.0, 2: 3.0}, padding=(1, 1, 1, 1))
    statistics = statistics_of({1: -2.0, 2: 3.0})
    fold_dead_channels(graph, statistics)

    settled = settled_statistics(graph, statistics)["first"]

    assert settled.mean.tolist() == [0.0, 0.0, 3.0, 0.0]
    assert settled.std.tolist() == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.slow
def test_a_trained_network_loses_its_outliers_and_keeps_its_answers(data_pack):
    network = mobilenet_v2(data_pack, images=8)
    graph, before = network.graph, network.graph.copy()

    folded = fold_dead_channels(graph, captured_statistics(network.captured))

    expected, found = (run_float(g, network.images)[0] for g in (before, graph))
    assert folded["features.3.conv.1.0"] == [130]
    assert sum(map(len, folded.values())) == 19
    depthwise = graph.param(graph["features.1.conv.0.0"], "weight")
    assert float(depthwise.abs().max()) == pytest.approx(6.3, abs=0.05)  # 56.4 before
    assert torch.equal(found.argmax(1), expected.argmax(1))
    noise = float((found - expected).square().sum())
    assert sqnr_db(float(expected.square().sum()), noise) > 45.0
