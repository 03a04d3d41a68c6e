"""A network that trains in float is the user's own network in training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures import architectures, captured, images
from intaglio.ir.graph import Graph
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.folded_norms import folded_norms
from intaglio.read.module.export import capture
from intaglio.run.fake import FakeNetwork, trainable
from intaglio.run.float import run_float
from run.fake.deployed import of_module, train_steps

NAMES = ["resnet", "resnet_preactivation", "reused", "unet"]
"""Batch norms behind and in front of layers, one used twice, one behind a transposed layer."""


def in_float(graph: Graph) -> FakeNetwork:
    """Return a captured graph in training."""
    canonical = graph.copy()
    canonicalize(canonical)
    return trainable(canonical, folded_norms(graph, canonical, canonical))


def loss_of(outputs: Tensor) -> Tensor:
    """Return a number that depends on all outputs."""
    target = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1))
    return F.mse_loss(outputs, target)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_gradients_and_statistics_are_those_of_the_user_s_module(name):
    build, shape = architectures()[name]
    module, network = build().train(), in_float(captured(name).source)
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()  # there is none in a captured network
    data = images(shape, 4, seed=5)

    wanted, (found,) = module(data), network(data)
    for one in (loss_of(wanted), loss_of(found)):
        one.backward()

    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    theirs = {name: parameter.grad for name, parameter in module.named_parameters()}
    ours = {name: parameter.grad for name, parameter in network.network.named_parameters()}
    # what a batch norm subtracts again learns nothing, and is no parameter here
    assert {name for name in theirs if name not in ours} <= {"up1.bias"}
    largest = max(float(one.abs().max()) for one in theirs.values())
    for own, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[own], rtol=1e-3, atol=1e-5 * largest, msg=own)
    buffers = dict(module.named_buffers())
    for own, value in network.network.named_buffers():
        if "running" in own:
            torch.testing.assert_close(value, buffers[own], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_trained_loads_into_the_user_s_module_and_computes_the_same(name):
    build, shape = architectures()[name]
    module, network = build(), in_float(captured(name).source)
    data = images(shape, 4, seed=5)
    train_steps(network, data, 2)

    weights = network.user_weights()
    counters = {name for name in module.state_dict() if name.endswith("num_batches_tracked")}
    missing = module.load_state_dict(weights, strict=False)
    module.eval()
    network.eval()
    graph, _ = network.read_out()

    assert not missing.unexpected_keys
    assert set(missing.missing_keys) <= counters
    with torch.no_grad():
        wanted, (measured,) = module(data), network(data)
    (read_out,) = run_float(graph, data)
    for found in (measured, read_out):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_in_measuring_mode_nothing_moves():
    network = in_float(captured("resnet").source).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    network(images((1, 3, 48, 64), 2))

    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_slopes_and_norms_without_a_gain_are_read_out_and_kept_apart():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.PReLU(4), nn.Conv2d(4, 2, 1)
    ).eval()
    data = torch.randn(6, 3, 8, 8)
    network = in_float(capture(module, data[:1]))
    train_steps(network, data, 3, rate=0.5)

    network.eval()
    graph, _ = network.read_out()
    weights = network.user_weights()

    with torch.no_grad():
        torch.testing.assert_close(network(data)[0], run_float(graph, data)[0])
    assert float((weights["2.weight"] - 0.25).abs().max()) > 1e-3
    assert set(weights) == set(module.state_dict()) - {"1.num_batches_tracked"}
    module.load_state_dict(weights, strict=False)
    with torch.no_grad():
        torch.testing.assert_close(module(data), network(data)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet_preactivation", "reused"])
def test_a_quantized_network_s_weights_have_the_names_and_shapes_of_the_user_s(name):
    build, shape = architectures()[name]
    module = build()
    network = of_module(module, images(shape, 2)).trainable()

    weights, theirs = network.user_weights(), module.state_dict()

    for own, value in weights.items():
        torch.testing.assert_close(value, theirs[own], rtol=1e-4, atol=1e-5, msg=own)
    counters = {own for own in theirs if own.endswith("num_batches_tracked")}
    assert set(theirs) - set(weights) == counters


def test_a_float_network_has_no_grids():
    network = in_float(captured("reused").source)

    assert network.grids() == {}
    assert network.weights_on_grids() == {}
    assert network.groups()["scales"] == []
    assert network.read_out()[1].activations == {}
