"""Bias correction: every channel's mean is the float network's again."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from intaglio.calibrate.encodings import Encodings
from intaglio.ir.graph import Node
from intaglio.methods.bias.channel_means import mean_image, result_means
from intaglio.methods.bias.correct_bias import PRIOR, CorrectBias, corrected_bias
from intaglio.methods.bias.correct_bias_analytic import CorrectBiasAnalytic
from intaglio.methods.steps.paired_walk import Layer, tune_layers
from intaglio.numerics.affine import fake_quantize
from intaglio.numerics.normal import Normal
from intaglio.numerics.spec import INT8_WEIGHT, QuantParams
from intaglio.ops import OPS
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from methods.quantized import calibrated, random_images, separable


def test_the_mean_of_results_is_the_result_of_the_mean_image():
    state, context = calibrated()
    checked = []

    def look(layer: Layer) -> None:
        plain = dataclasses.replace(layer.node, attrs={**layer.node.attrs, "activation": None})
        params = {"weight": layer.weight, "bias": layer.bias}
        results = OPS[plain.op].function(plain, [torch.cat(layer.floats)], params)
        axes = (0,) if results.ndim == 2 else (0, 2, 3)
        found = result_means(plain, mean_image(layer.floats), layer.weight, layer.bias)
        torch.testing.assert_close(found.float(), results.mean(axes), rtol=1e-4, atol=1e-5)
        checked.append(plain.name)

    tune_layers(state, context, look)

    assert len(checked) == 5


def one_input(floats, integers, *, op="conv2d", activation=None) -> Layer:
    """Return a layer with the weight 1 whose inputs, [n, 1, 1, W] each, are given on both sides."""
    place = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "activation": activation}
    padding = {"padding": (0, 0, 0, 0)}
    if op == "conv_transpose2d":
        padding = {"padding": (0, 0), "output_padding": (0, 0)}
    shape = tuple(floats.shape)
    return Layer(
        node=Node("layer", op, ["x"], attrs={**place, **padding}, shape=shape),
        weight=torch.ones(1, 1, 1, 1),
        bias=torch.zeros(1),
        floats=list(floats.float().split(4)),
        integers=list(integers.to(torch.int8).split(4)),
        zero=0,
        input_scale=torch.ones(()),
        params=QuantParams(torch.ones(1), torch.zeros(1, dtype=torch.int32), INT8_WEIGHT),
        target=LITERT,
    )


def shift_of(layer: Layer) -> float:
    return float(corrected_bias(layer, layer.weight, torch.Generator().manual_seed(0)))


RELU = (0.0, float("inf"))


@pytest.mark.parametrize("op", ["conv2d", "conv_transpose2d"])
def test_a_shift_of_values_that_are_cut_is_not_corrected_and_one_without_a_clamp_is(op):
    # a tenth passes, and is right; the rest is cut on both sides, and lies 4 too low
    floats = torch.tensor([3] + [-5] * 9).repeat(16).reshape(16, 1, 1, 10)
    integers = torch.tensor([3] + [-9] * 9).repeat(16).reshape(16, 1, 1, 10)

    assert shift_of(one_input(floats, integers, op=op, activation=RELU)) == 0.0
    assert shift_of(one_input(floats, integers, op=op)) == pytest.approx(3.6)


@pytest.mark.parametrize("activation", [None, RELU, (0.0, 6.0)])
def test_a_shift_of_values_that_are_read_is_undone(activation):
    floats = torch.arange(2, 6).repeat(16).reshape(16, 1, 1, 4)

    assert shift_of(one_input(floats, floats - 4, activation=activation)) == pytest.approx(4.0)


def test_what_passes_decides_where_both_are_shifted():
    # what is read lies 2 too high, what is cut 8 too low
    floats = torch.tensor([3, 4] + [-5] * 8).repeat(60).reshape(60, 1, 1, 10)
    integers = torch.tensor([5, 6] + [-13] * 8).repeat(60).reshape(60, 1, 1, 10)

    found = shift_of(one_input(floats, integers, activation=RELU))

    assert found == pytest.approx(-2.0 * 120 / (120 + PRIOR))


@pytest.mark.parametrize("activation", [None, (-100.0, 100.0)])
def test_a_correction_that_images_apart_do_not_support_is_not_kept(activation):
    floats = torch.zeros(32, 1, 1, 8)
    chance = torch.tensor([2, -2, 2, -2, 2, -2, 2, -1]).repeat_interleave(4)  # by pieces of images
    integers = chance.reshape(32, 1, 1, 1).expand(32, 1, 1, 8)

    assert float(integers.float().mean()) != 0.0
    assert shift_of(one_input(floats, integers, activation=activation)) == 0.0


def test_one_piece_of_images_is_believed():
    floats = torch.zeros(4, 1, 1, 8)

    assert shift_of(one_input(floats, floats - 2.0)) == pytest.approx(2.0)


def test_it_brings_outputs_nearer_on_images_that_it_never_saw():
    state, context = calibrated("w3a8-per-tensor")  # eight bits hold a network as small as this one
    unseen = random_images(64, seed=9)
    real = separable()(unseen).detach()

    after = CorrectBias()(state, context)

    before = build_twin(state.graph, state.encodings, context.target)(unseen)
    behind = build_twin(after.graph, after.encodings, context.target)(unseen)
    assert (behind - real).square().mean() < (before - real).square().mean()


def test_a_bias_that_would_leave_int32_stays():
    state, context = calibrated()
    tiny = {
        name: dataclasses.replace(grid, scale=grid.scale * 1e-9)
        for name, grid in state.encodings.weights.items()
    }
    layer = next(iter(tiny))
    encodings = Encodings(state.encodings.activations, {layer: tiny[layer]})
    state = dataclasses.replace(state, encodings=encodings)
    kept = state.graph.param(state.graph[layer], "bias")
    found = []

    def look(seen: Layer) -> None:
        found.append(corrected_bias(seen, torch.zeros_like(seen.weight), torch.Generator()))

    with pytest.raises(Exception, match=r"accumulator|int32|bias"):
        tune_layers(state, context, look)  # the twin refuses such a grid later

    assert torch.equal(found[0], kept)


def test_the_analytic_correction_is_the_closed_form_for_a_linear_input():
    state, context = calibrated("w4a8")
    project = next(n for n in state.graph if n.op == "conv2d" and n.attrs["activation"] is None)
    source = project.inputs[0]
    channels = state.graph[source].channels
    statistics = {
        source: Normal(torch.full((channels,), 3.0).double(), torch.zeros(channels).double())
    }
    quantized = fake_quantize(
        state.graph.param(project, "weight"), state.encodings.weights[project.name]
    )
    shift = 3.0 * (quantized - state.graph.param(project, "weight")).sum((1, 2, 3))

    prepared = dataclasses.replace(state.prepared, statistics=statistics)
    known = dataclasses.replace(state, prepared=prepared)
    after = CorrectBiasAnalytic()(known, context)

    bias = after.graph.param(after.graph[project.name], "bias")
    torch.testing.assert_close(bias, state.graph.param(project, "bias") - shift)
    first = next(iter(state.encodings.weights))  # nothing is known of the images' mean
    assert torch.equal(
        after.graph.param(after.graph[first], "bias"), state.graph.param(state.graph[first], "bias")
    )


def test_a_dilated_layer_is_corrected_by_the_sum_of_its_kernel():
    module = separable()
    depthwise = module[2].depthwise
    depthwise.dilation, depthwise.padding = (2, 2), (2, 2)
    state, context = calibrated("w4a8", module=module)
    node = next(node for node in state.graph if tuple(node.attrs.get("dilation", ())) == (2, 2))
    mean = torch.linspace(0.5, 1.0, 24, dtype=torch.float64)
    statistics = {node.inputs[0]: Normal(mean, torch.zeros(24).double())}
    prepared = dataclasses.replace(state.prepared, statistics=statistics)
    known = dataclasses.replace(state, prepared=prepared)

    after = CorrectBiasAnalytic()(known, context)

    original = state.reference.param(state.reference[node.name], "weight")
    rounded = fake_quantize(state.graph.param(node, "weight"), state.encodings.weights[node.name])
    shift = (rounded.double() - original.double()).sum((1, 2, 3)) * mean
    bias = after.graph.param(after.graph[node.name], "bias")
    torch.testing.assert_close(bias, (state.graph.param(node, "bias").double() - shift).float())
