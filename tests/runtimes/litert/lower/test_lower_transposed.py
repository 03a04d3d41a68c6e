"""Transposed convolutions in one group, cut by slices where the file's padding cannot."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import intaglio
from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.ops.padding import transposed_padding_word
from intaglio.run.float import run_float
from intaglio.runtimes.litert.lower.lower_transposed import crop_transposed
from passes.same_function import assert_same_function, nodes, ops

PAIR = st.tuples(st.integers(1, 4), st.integers(1, 4))


def transposed(channels=4, size=(5, 6), kernel=(3, 3), groups=1, **attrs) -> Graph:
    sketch = Sketch(channels, *size)
    weight = sketch.random(channels, 4 // groups, *kernel)
    weights = {"weight": weight, "bias": sketch.random(4)}
    sketch.weighted("up", "conv_transpose2d", "x", weights, groups=groups, **attrs)
    return sketch.done()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(PAIR, PAIR, st.data(), st.sampled_from([1, 2, 4]), PAIR)
def test_the_result_is_torchs(kernel, stride, data, groups, size):
    padding = tuple(data.draw(st.integers(0, extent - 1)) for extent in kernel)
    output_padding = tuple(data.draw(st.integers(0, step - 1)) for step in stride)
    geometry = zip(size, stride, padding, kernel, output_padding, strict=True)
    assume(all((n - 1) * s - 2 * p + k + o > 0 for n, s, p, k, o in geometry))
    attrs = {"stride": stride, "padding": padding, "output_padding": output_padding}
    graph = transposed(size=size, kernel=kernel, groups=groups, **attrs)
    weight, bias = graph.params["up.weight"], graph.params["up.bias"]
    x = images((1, 4, *size), 2)

    crop_transposed(graph)

    expected = F.conv_transpose2d(x, weight, bias, stride, padding, output_padding, groups)
    (found,) = run_float(graph, x)
    assert found.shape == expected.shape
    # sums of up to 64 products in another order, and with the zeros between groups
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    layer = next(node for node in graph if node.op == "conv_transpose2d")
    assert layer.attrs["groups"] == 1
    assert transposed_padding_word(graph, layer) is not None


@pytest.mark.parametrize(
    ("attrs", "word"),
    [
        ({"kernel": (2, 2), "stride": (2, 2)}, "VALID"),
        ({"kernel": (3, 3)}, "VALID"),
        ({"kernel": (3, 3), "padding": (1, 1)}, "SAME"),
        ({"kernel": (4, 4), "stride": (2, 2), "padding": (1, 1)}, "SAME"),
        ({"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}, "SAME"),
        ({"kernel": (3, 3), "stride": (4, 4), "padding": (1, 1)}, None),  # gaps between patches
        # one row more than torch's usual crop, at the end: half of 1 rounded down is 0
        ({"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "output_padding": (1, 1)}, None),
        ({"kernel": (5, 5), "stride": (2, 2), "padding": (1, 1)}, None),
        ({"kernel": (4, 4), "stride": (2, 2), "padding": (1, 0)}, None),
    ],
)
def test_only_what_same_and_valid_cannot_say_is_cropped(attrs, word):
    graph = transposed(**attrs)
    before = graph.copy()

    assert transposed_padding_word(graph, graph["up"]) == word
    assert crop_transposed(graph) == (word is None)

    assert ops(graph) == (["conv_transpose2d"] if word else ["conv_transpose2d", "slice", "slice"])
    assert_same_function(graph, before, images((1, 4, 5, 6), 2), exact=word is not None)


def test_the_crop_is_two_slices_of_the_whole_result():
    graph = transposed(stride=(2, 2), padding=(1, 0), output_padding=(1, 0))

    crop_transposed(graph)

    assert nodes(graph) == [
        "up.full = conv_transpose2d(x) {stride=(2,2)}",
        "up.rows = slice(up.full) {axis=2, start=1, stop=11}",
        "up = slice(up.rows) {axis=3, start=0, stop=13}",
    ]


def test_an_activation_stays_in_the_layer():
    graph = transposed(stride=(2, 2), padding=(0, 1), activation=(0.0, 6.0))
    before = graph.copy()

    crop_transposed(graph)

    assert graph["up.full"].attrs["activation"] == (0.0, 6.0)
    assert_same_function(graph, before, images((1, 4, 5, 6), 2))


def test_groups_become_one_with_zeros_between_them():
    graph = transposed(groups=2, kernel=(2, 2), stride=(2, 2))
    weight = graph.params["up.weight"]

    assert crop_transposed(graph) == 1

    wide = graph.param(graph["up"], "weight")
    assert wide.shape == (4, 4, 2, 2)
    assert torch.equal(wide[:2, :2], weight[:2])
    assert torch.equal(wide[2:, 2:], weight[2:])
    assert wide[:2, 2:].abs().sum() == wide[2:, :2].abs().sum() == 0


@pytest.mark.parametrize(
    "attrs",
    [
        {"dilation": (2, 2), "padding": (1, 1)},
        {"kernel": (2, 2), "stride": (3, 3), "output_padding": (1, 1)},
    ],
)
def test_dilation_and_results_beyond_the_scatter_are_zeros_of_the_weight(attrs):
    graph = transposed(**attrs)
    before, own = graph.copy(), float(graph.params["up.weight"].abs().sum())

    assert crop_transposed(graph) > 0

    layer = next(node for node in graph if node.op == "conv_transpose2d")
    assert layer.attrs["dilation"] == (1, 1)
    assert transposed_padding_word(graph, layer) is not None
    assert float(graph.param(layer, "weight").abs().sum()) == pytest.approx(own, rel=1e-6)
    assert_same_function(graph, before, images((1, 4, 5, 6), 2))


def test_other_layers_are_left_alone():
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4, groups=2)

    assert crop_transposed(sketch.done()) == 0


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose2d(4, 6, (4, 3), stride=(2, 1), padding=1, groups=2),
        nn.ConvTranspose2d(4, 4, 5, stride=3, padding=(0, 2)),
    ],
)
def test_the_file_computes_the_cropped_layer_bit_for_bit(layer):
    data = images((1, 4, 5, 6), 4)

    result = intaglio.compress(layer.eval(), data[:1], data=data)

    assert result.report.check.mismatches == 0
    expected = layer(data).detach()
    error = (result.twin(data) - expected).square().mean() / expected.square().mean()
    assert error < 1e-3  # 30 dB: one int8 layer has about 40
