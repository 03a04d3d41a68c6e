"""Bias correction: every channel's mean is the float network's again."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from intaglio.calibrate.encodings import Encodings
from intaglio.methods.bias.channel_means import mean_image, result_means
from intaglio.methods.bias.correct_bias import CorrectBias, corrected_bias
from intaglio.methods.bias.correct_bias_analytic import CorrectBiasAnalytic
from intaglio.methods.steps.paired_walk import Layer, tune_layers
from intaglio.numerics.affine import fake_quantize
from intaglio.numerics.normal import Normal
from intaglio.ops import OPS
from intaglio.run.twin import build_twin
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


def test_means_before_the_activation_are_those_of_the_float_network():
    state, context = calibrated("w4a4")

    after = CorrectBias()(state, context)

    def look(layer: Layer) -> None:
        graph = after.graph
        weight = fake_quantize(graph.param(graph[layer.node.name], "weight"), layer.params)
        bias = graph.param(graph[layer.node.name], "bias")
        integers = mean_image(layer.quantized(i) for i in range(len(layer.integers)))
        wanted = result_means(layer.node, mean_image(layer.floats), layer.weight, layer.bias)
        found = result_means(layer.node, integers, weight, bias)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)

    # the walk builds each layer's twin from the corrected state, as it is
    tune_layers(after, context, look)


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
        found.append(corrected_bias(seen, torch.zeros_like(seen.weight)))

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
