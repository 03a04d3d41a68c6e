"""Second-order rounding without images: noise brought to batch norms tells which errors cancel."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures.blocks import Classifier, InvertedResidual, conv_norm
from intaglio.calibrate.noise import noise_images, run_matched
from intaglio.data.guard import forbid_images
from intaglio.ir.graph import Node
from intaglio.methods import STEPS, make_step
from intaglio.methods.rounding.implied_second_order import RoundSecondOrderImplied
from intaglio.methods.rounding.round_columns import damped, round_columns
from intaglio.methods.rounding.row_grids import row_grids
from intaglio.methods.steps.state import Context, Prepared, Quantized
from intaglio.methods.steps.steps import NUMBERS
from intaglio.numerics.affine import fake_quantize
from intaglio.numerics.encodings import Encodings
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from methods.quantized import random_images
from run.fake.deployed import deployed

NO_IMAGES = Context(None, LITERT)
SCHEMES = ["w8a8", "w4a8", "w4a8-per-tensor", "w3a3-per-tensor"]


def with_statistics(module: nn.Module, images: Tensor) -> nn.Module:
    """Return the module with batch norms that state what is true of these images."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    module.train()
    with torch.no_grad():
        module(images)
    return module.eval()


def mobile() -> nn.Module:
    """Return a small network with a strided, a depthwise, pointwise layers, a sum, a classifier."""
    torch.manual_seed(0)
    block = InvertedResidual(8, 8, expansion=3)
    made = nn.Sequential(conv_norm(3, 8, 3, stride=2), block, Classifier(8))
    return with_statistics(made, random_images(32))


def copies(seed: int) -> nn.Module:
    """Return two layers, of which the second reads every channel of the first one twice."""
    torch.manual_seed(seed)
    made = nn.Sequential(conv_norm(3, 16, 3), conv_norm(16, 24, 1, activation=None))
    with torch.no_grad():
        made[0][0].weight[1::2] = made[0][0].weight[::2]
    return with_statistics(made, random_images(64))


def known(module: nn.Module, scheme: str, *, keep_float: tuple[str, ...] = ()) -> Quantized:
    """Return the state of a network whose batch norms are known; images give ranges alone."""
    images = random_images(24)
    ready = deployed(capture(module, images[:1]), images, scheme, keep_float=keep_float)
    statistics = {layer: norm.normal() for layer, norm in ready.norms.items()}
    prepared = Prepared(ready.graph, ready.graph, statistics)
    return Quantized(prepared, ready.deployment.plan, ready.deployment.encodings)


@functools.cache
def small(scheme: str) -> Quantized:
    return known(mobile(), scheme)


@functools.cache
def rounded(scheme: str) -> Quantized:
    return RoundSecondOrderImplied()(small(scheme), NO_IMAGES)


def weight_of(state: Quantized, name: str) -> Tensor:
    return state.graph.param(state.graph[name], "weight")


def weights_of(state: Quantized) -> dict[str, Tensor]:
    return {name: weight_of(state, name) for name in state.encodings.weights}


def without_grid(state: Quantized, value: str) -> Quantized:
    """Return the state with no grid for a value."""
    grids = {name: grid for name, grid in state.encodings.activations.items() if name != value}
    return replace(state, encodings=Encodings(grids, state.encodings.weights))


def test_it_is_a_step_on_numbers_that_needs_nothing():
    kind = STEPS["round-second-order-implied"]

    assert (kind.phase, kind.needs, kind.alters) == (NUMBERS, (), False)
    made = make_step({"name": "round-second-order-implied", "images": 4})
    assert made == RoundSecondOrderImplied(images=4)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_images_every_weight_ends_on_its_grid_and_biases_stay(scheme):
    state, after = small(scheme), rounded(scheme)

    assert set(state.statistics) < set(state.encodings.weights)  # all but the classifier
    for name, params in after.encodings.weights.items():
        weight, before = weight_of(after, name), weight_of(state, name)
        assert torch.equal(fake_quantize(weight, params), weight)
        assert not torch.equal(weight, before)
        assert float((weight - before).norm() / before.norm()) < 0.6
        bias = after.graph.param(after.graph[name], "bias")
        assert torch.equal(bias, state.graph.param(state.graph[name], "bias"))
    assert build_twin(after.graph, after.encodings, LITERT)(random_images(2)).isfinite().all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_only_weights_and_their_scales_change_and_the_given_state_does_not(scheme):
    state = known(mobile(), scheme)
    before = {key: value.clone() for key, value in state.graph.params.items()}
    scales = {name: grid.scale.clone() for name, grid in state.encodings.weights.items()}

    after = RoundSecondOrderImplied(images=4)(state, NO_IMAGES)

    assert all(torch.equal(state.graph.params[key], value) for key, value in before.items())
    assert after.reference is state.reference
    assert after.encodings.activations == state.encodings.activations
    for name, scale in scales.items():
        grid, old = after.encodings.weights[name], state.encodings.weights[name]
        assert torch.equal(old.scale, scale)
        assert grid.spec == old.spec
        assert torch.equal(grid.zero_point, old.zero_point)
        assert torch.equal(grid.scale, scale) is (grid.spec.axis is None)


def test_no_image_is_opened():
    with forbid_images():
        after = RoundSecondOrderImplied(images=4)(small("w4a8"), NO_IMAGES)

    assert after.encodings.weights.keys() == small("w4a8").encodings.weights.keys()


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not():
    first = rounded("w4a8")
    again = RoundSecondOrderImplied()(small("w4a8"), NO_IMAGES)
    other = RoundSecondOrderImplied()(small("w4a8"), Context(None, LITERT, seed=1))

    same = []
    for name, weight in weights_of(first).items():
        assert torch.equal(weights_of(again)[name].view(torch.int32), weight.view(torch.int32))
        scale = first.encodings.weights[name].scale
        assert torch.equal(again.encodings.weights[name].scale, scale)
        same.append(torch.equal(weights_of(other)[name], weight))
    assert not all(same)


def off_on_images(module: nn.Module, weight: Tensor, wanted: Tensor) -> float:
    """Return a pointwise layer's squared error behind the first part, at its best bias."""
    with torch.no_grad():
        inputs = module[0](random_images(64, seed=9))
    error = F.conv2d(inputs, weight - wanted)
    return float((error - error.mean((0, 2, 3), keepdim=True)).square().mean())


@pytest.mark.parametrize("scheme", ["w4a8", "w4a8-per-tensor"])
@pytest.mark.parametrize("seed", [1, 3])
def test_errors_on_inputs_that_are_copies_of_each_other_cancel_on_real_images(seed, scheme):
    module = copies(seed)
    state = known(module, scheme)
    _, name = state.encodings.weights
    wanted, params = weight_of(state, name), state.encodings.weights[name]

    found = weight_of(RoundSecondOrderImplied()(state, NO_IMAGES), name)

    by_nearest = off_on_images(module, fake_quantize(wanted, params), wanted)
    assert off_on_images(module, found, wanted) < 0.7 * by_nearest


def test_where_all_inputs_are_one_value_the_sum_of_a_row_is_kept():
    torch.manual_seed(2)
    module = nn.Sequential(conv_norm(3, 16, 3), conv_norm(16, 24, 1, activation=None))
    with torch.no_grad():
        module[0][0].weight[:] = module[0][0].weight[:1]
    module = with_statistics(module, random_images(16))
    state = known(module, "w4a8-per-tensor")
    _, name = state.encodings.weights
    wanted, params = weight_of(state, name), state.encodings.weights[name]

    found = weight_of(RoundSecondOrderImplied(damping=1e-4)(state, NO_IMAGES), name)

    def off(weight: Tensor) -> Tensor:
        return (weight - wanted).flatten(1).sum(1).abs() / params.scale

    assert float(off(found).max()) < 0.55  # of a step
    assert float(off(fake_quantize(wanted, params)).max()) > 1.0


@pytest.mark.parametrize("scheme", ["w4a8", "w4a8-per-tensor", "w8a8"])
def test_damping_that_drowns_what_noise_says_leaves_nearest_rounding(scheme):
    state = small(scheme)

    after = RoundSecondOrderImplied(images=2, damping=1e9, search_scale=False)(state, NO_IMAGES)

    for name, params in state.encodings.weights.items():
        wanted = weight_of(state, name)
        assert torch.equal(after.encodings.weights[name].scale, params.scale)
        assert torch.equal(weight_of(after, name), fake_quantize(wanted, params))


def unfolded(node: Node, values: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Return what a convolution multiplies its weight with, [G, P, C_in / groups kH kW] float64."""
    top, bottom, left, right = node.attrs["padding"]
    padded = F.pad(values, (left, right, top, bottom))
    rows = F.unfold(padded, kernel, node.attrs["dilation"], 0, node.attrs["stride"])
    rows = rows.transpose(1, 2).reshape(-1, rows.shape[1]).double()
    groups = node.attrs["groups"]
    return rows.reshape(len(rows), groups, -1).transpose(0, 1)


@pytest.mark.parametrize("images", [4, 20])
def test_the_integers_are_those_for_the_covariance_of_matched_noise(images):
    state, seed = small("w4a8-per-tensor"), 7
    graph = state.reference
    grid = state.encodings.activations[graph.inputs[0]]
    low, high = (grid.scale * (end - grid.zero) for end in (grid.spec.qmin, grid.spec.qmax))
    generator = torch.Generator().manual_seed(seed)
    noise = noise_images(images, low.expand(3), high.expand(3), (16, 16), generator)
    pieces = noise.split(16)
    seen: dict[str, list[Tensor]] = {node.name: [] for node in graph}
    for piece in pieces:
        run_matched(
            graph, piece, state.statistics, lambda node, value: seen[node.name].append(value)
        )

    step = RoundSecondOrderImplied(images=images)
    after = step(state, Context(None, LITERT, seed=seed))

    checked = []
    for name, params in state.encodings.weights.items():
        node, wanted = graph[name], weight_of(state, name)
        if node.op != "conv2d":
            continue
        kernel = tuple(wanted.shape[2:])
        parts = [unfolded(node, value, kernel) for value in seen[node.inputs[0]]]
        assert len(parts) == len(pieces)
        rows = torch.cat([part - part.mean(1, keepdim=True) for part in parts], 1)
        hessian = damped(rows.mT @ rows / rows.shape[1], step.damping)
        target = wanted.double().reshape(len(hessian), -1, hessian.shape[1])
        grids = row_grids(params, *target.shape[:2])

        def cost(weight: Tensor, target: Tensor = target, hessian: Tensor = hessian) -> float:
            error = weight.double().reshape(target.shape) - target
            return float(((error @ hessian) * error).sum())

        best = round_columns(target, hessian, grids, step.sweeps)
        at_best, at_nearest = cost(best * params.scale), cost(fake_quantize(wanted, params))
        assert cost(weight_of(after, name)) == pytest.approx(at_best, rel=1e-3)
        assert at_best < 0.98 * at_nearest
        checked.append(name)
    assert len(checked) == 4


def test_without_statistics_noise_is_taken_as_it_comes():
    state = small("w4a8")
    state = replace(state, prepared=replace(state.prepared, statistics={}))

    after = RoundSecondOrderImplied(images=4)(state, NO_IMAGES)

    for name, params in after.encodings.weights.items():
        weight = weight_of(after, name)
        assert torch.equal(fake_quantize(weight, params), weight)
        assert not torch.equal(weight, weight_of(state, name))


def test_channels_that_never_vary_and_biases_beside_tiny_weights_are_held():
    module = mobile()
    norm = module[1].expand[1]
    with torch.no_grad():
        norm.weight[:5], norm.bias[:5] = 0.0, torch.tensor([0.0, 1.0, -1.0, 5.0, 9.0])
        norm.weight[5:8], norm.bias[5:8] = 1e-9, 3.0
    state = known(module, "w4a8")

    after = RoundSecondOrderImplied()(state, NO_IMAGES)

    assert all(weight.isfinite().all() for weight in weights_of(after).values())
    twin = build_twin(after.graph, after.encodings, LITERT)  # refuses a bias that int32 lacks
    images = random_images(8, seed=9)
    (wanted,) = run_float(state.reference, images)
    assert float((twin(images) - wanted).square().mean() / wanted.var()) < 0.1


@pytest.mark.parametrize("scheme", ["w8a8", "w4a8", "w4a8-per-tensor"])
def test_weights_that_lie_on_their_grids_stay_bit_for_bit(scheme):
    state = small(scheme)
    graph = state.graph.copy()
    for name, params in state.encodings.weights.items():
        graph.set_param(graph[name], "weight", fake_quantize(weight_of(state, name), params))
    exact = replace(state, prepared=replace(state.prepared, reference=graph, graph=graph))

    after = RoundSecondOrderImplied(images=4)(exact, NO_IMAGES)

    for name, params in exact.encodings.weights.items():
        assert torch.equal(weight_of(after, name), weight_of(exact, name))
        assert torch.equal(after.encodings.weights[name].scale, params.scale)


def test_a_layer_that_reads_floats_is_rounded_as_others_are():
    state = small("w4a8")
    alone = list(state.encodings.weights)[2]
    bare = without_grid(state, state.graph[alone].inputs[0])

    after = RoundSecondOrderImplied(images=4)(bare, NO_IMAGES)

    for name, params in state.encodings.weights.items():
        assert not torch.equal(weight_of(after, name), weight_of(state, name))
        assert after.encodings.weights[name] is not params


def test_an_input_of_the_network_without_a_grid_is_noise_all_the_same():
    state = small("w4a8")
    bare = without_grid(state, state.graph.inputs[0])

    after = RoundSecondOrderImplied(images=4)(bare, NO_IMAGES)

    for name, weight in weights_of(after).items():
        assert not torch.equal(weight, weight_of(state, name))
        assert weight.isfinite().all()


def test_a_layer_that_is_kept_in_float_is_left_alone():
    state = known(mobile(), "w4a8", keep_float=("1.depthwise.0",))
    (kept,) = [node for node in state.graph if node.op == "conv2d" and node.attrs["groups"] > 1]

    after = RoundSecondOrderImplied(images=4)(state, NO_IMAGES)

    assert kept.name not in state.encodings.weights
    assert torch.equal(weight_of(after, kept.name), weight_of(state, kept.name))
    assert len(after.encodings.weights) == 4
    for name, params in after.encodings.weights.items():
        assert torch.equal(fake_quantize(weight_of(after, name), params), weight_of(after, name))


def test_a_transposed_convolution_is_left_alone():
    torch.manual_seed(0)
    module = nn.Sequential(conv_norm(3, 8, 3), nn.ConvTranspose2d(8, 5, 2, 2))
    state = known(with_statistics(module, random_images(16)), "w8a8")
    (transposed,) = [node.name for node in state.graph if node.op == "conv_transpose2d"]

    after = RoundSecondOrderImplied(images=4)(state, NO_IMAGES)

    for name, params in state.encodings.weights.items():
        is_same = torch.equal(weight_of(after, name), weight_of(state, name))
        assert is_same is (name == transposed)
        assert (after.encodings.weights[name] is params) is (name == transposed)
