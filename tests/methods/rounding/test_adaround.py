"""AdaRound: rows are those of the layer, no layer gets worse, exact layers are left alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from intaglio.methods.rounding.adaround import AdaRound, layer_rows
from intaglio.methods.rounding.soft_rounding import spread_scale
from intaglio.methods.steps.paired_walk import tune_layers
from intaglio.numerics.affine import fake_quantize
from intaglio.run.twin import build_twin
from intaglio.run.weights import integer_weight
from methods.exact import on_the_grid, swapped
from methods.quantized import calibrated, random_images, separable


def each_layer(state, context):
    """Return every layer as tuners see it, those before it as they are in `state`."""
    layers = []
    tune_layers(state, context, lambda layer: layers.append(layer))
    return layers


@pytest.mark.parametrize("with_activation", [True, False])
def test_rows_times_the_float_weight_give_the_float_layers_result(with_activation):
    # behind an exact prefix; with all rows taken, every position is there once
    state, context = calibrated("w8a8")

    for layer in each_layer(state, context):
        rows = layer_rows(
            layer, 10**9, torch.Generator().manual_seed(0), with_activation=with_activation
        )
        node, x = layer.node, torch.cat(layer.floats)
        if node.op == "linear":
            result = F.linear(x, layer.weight, layer.bias)
        else:
            top, bottom, left, right = node.attrs["padding"]
            padded = F.pad(x, (left, right, top, bottom))
            stride, groups = node.attrs["stride"], node.attrs["groups"]
            result = F.conv2d(padded, layer.weight, layer.bias, stride, groups=groups)
        activation = node.attrs.get("activation") if with_activation else None
        wanted = result if activation is None else result.clamp(*activation)
        channels = rows.targets.transpose(1, 2).flatten(0, 1)  # [C, P]
        for mine, real in zip(channels, wanted.transpose(0, 1).flatten(1), strict=True):
            torch.testing.assert_close(mine.sort().values, real.sort().values, rtol=1e-4, atol=1e-4)


def test_the_held_rows_fit_the_memory():
    state, context = calibrated("w8a8")

    for layer in each_layer(state, context):
        wished = 200_000
        rows = layer_rows(layer, wished, torch.Generator().manual_seed(0), with_activation=True)
        held = 2 * rows.inputs.nbytes + rows.targets.nbytes  # the float rows are held for a while
        images = len(context.images)
        assert held <= 1.5 * wished or rows.inputs.shape[1] <= images * 2


@pytest.mark.slow
@pytest.mark.parametrize("start", ["nearest", "current", "second-order"])
def test_no_layer_is_worse_on_its_judged_rows_than_what_it_held(start):
    state, context = calibrated("w4a4")
    step = AdaRound(steps=60, start=start, learning_rate=0.1)
    generator = torch.Generator().manual_seed(0)

    for layer in each_layer(state, context):
        held = fake_quantize(layer.weight, layer.params)
        rows = layer_rows(layer, 10**8, torch.Generator().manual_seed(3), with_activation=True)
        # the step draws its own rows; these are all there are, in another order
        tuned = step.tuned(layer, held, context.memory_mb, generator)

        shape = (rows.inputs.shape[0], -1, rows.inputs.shape[2])
        everything = slice(0, rows.inputs.shape[1])
        errors = [float(rows.error(w.reshape(shape), everything)) for w in (held, tuned.weight)]
        assert errors[1] <= 1.02 * errors[0]  # judged on an eighth of the rows


def test_from_the_nearest_integers_a_weight_moves_one_step_at_most():
    state, context = calibrated("w4a8")

    after = AdaRound(steps=80, start="nearest", learning_rate=0.2)(state, context)

    moved = 0
    for name, params in state.encodings.weights.items():
        near = integer_weight(state.graph.param(state.graph[name], "weight"), params)
        far = integer_weight(
            after.graph.param(after.graph[name], "weight"), after.encodings.weights[name]
        )
        assert int((near - far).abs().max()) <= 1
        moved += int((near != far).sum())
    assert moved > 0


def test_a_layer_whose_rounding_is_exact_keeps_its_weight():
    state, context = calibrated("w8a8", module=swapped(), images=on_the_grid())

    after = AdaRound(start="current")(state, context)

    for name in state.encodings.weights:
        node = state.graph[name]
        assert torch.equal(after.graph.param(node, "weight"), state.graph.param(node, "weight"))


@pytest.mark.parametrize("scheme", ["w4a4", "w3a3-per-tensor"])
def test_weights_lie_on_their_grids_and_stay_there(scheme):
    state, context = calibrated(scheme)

    after = AdaRound(steps=30)(state, context)

    for name, params in after.encodings.weights.items():
        weight = after.graph.param(after.graph[name], "weight")
        integers = integer_weight(weight, params).float()
        assert torch.equal(integers * spread_scale(params, weight.ndim), weight)


@pytest.mark.slow
def test_it_beats_nearest_rounding_on_images_that_it_never_saw():
    state, context = calibrated("w3a4", images=random_images(64))
    unseen = random_images(64, seed=9)
    real = separable()(unseen).detach()

    after = AdaRound(steps=100)(state, context)

    before = build_twin(state.graph, state.encodings, context.target)(unseen)
    behind = build_twin(after.graph, after.encodings, context.target)(unseen)
    assert (behind - real).square().mean() < (before - real).square().mean()
