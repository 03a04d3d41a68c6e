"""The network in training, the twin of what it is read out as, and the file: the same integers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from intaglio.targets.runtime import About
from run.fake.deployed import Ready, architecture, of_module, steps_apart, train_steps, twin_of

NETWORKS = {
    "resnet": (),  # residual sums
    "regnet_y": (),  # squeeze-excite
    "mixnet": (),  # hard-swish, channels cut and joined
    "squeezenet": (),  # concatenations
    "convolution_forms": (),  # a transposed convolution
    "reused": ("conv",),  # a layer of several uses, one in float
    "functional": (),  # average pools, a clamp that no file has a word for
    "mobilenet_manual": ("2",),
}
"""Architecture to layers that stay in float."""


def outputs_equal(ready: Ready, network: nn.Module) -> None:
    """Assert that a network in measuring mode has the outputs of its twin."""
    for apart in steps_apart(network, twin_of(network), ready.images):
        assert float(apart.max()) < 1e-3  # in steps of the grid: reals are integers times a scale


def file_equals(ready: Ready, network: nn.Module) -> None:
    """Assert that the file of what is read out equals its twin in every integer of every value."""
    graph, encodings = network.read_out()
    twin = build_twin(graph, encodings, LITERT)
    files = LITERT.write(graph, encodings, "float", About())
    check = LITERT.check(files, twin, [ready.images])
    assert check.mismatches == 0
    assert check.values_compared > 100


@pytest.mark.parametrize("name", list(NETWORKS))
def test_an_exact_network_is_its_twin_and_the_file_before_and_after_training(name):
    ready = architecture(name, "w8a8", NETWORKS[name])
    network = ready.trainable(exact=True)

    outputs_equal(ready, network)
    network.train()
    train_steps(network, ready.images, 2)
    outputs_equal(ready, network)
    network.train()
    network.freeze_norms()
    train_steps(network, ready.images, 2)

    outputs_equal(ready, network)
    file_equals(ready, network)


def test_once_its_norms_are_frozen_it_is_the_twin_in_training_as_well():
    ready = architecture("resnet")
    network = ready.trainable(exact=True)
    network.freeze_norms()

    (training,) = network(ready.images)
    (wanted,) = twin_of(network).outputs(ready.images)

    torch.testing.assert_close(training, wanted, rtol=1e-6, atol=0.0)
    training.sum().backward()
    assert all(bool(one.grad.isfinite().all()) for one in network.groups()["weights"])


@pytest.mark.parametrize("name", ["resnet", "regnet_y", "reused", "convolution_forms"])
@pytest.mark.parametrize("scheme", ["w4a8", "w4a4"])
def test_it_is_so_with_fewer_bits_and_where_no_file_holds_them(name, scheme):
    ready = architecture(name, scheme)
    network = ready.trainable(exact=True)
    network.freeze_norms()
    train_steps(network, ready.images, 3)

    outputs_equal(ready, network)
    if scheme in LITERT.schemes:
        file_equals(ready, network)


@pytest.mark.parametrize("scheme", ["w8a8", "w4a8", "w4a4"])
@pytest.mark.parametrize("name", ["resnext", "squeezenet", "reused", "shufflenet_v2"])
def test_without_means_and_products_a_network_in_floats_is_its_twin_but_for_ties(name, scheme):
    ready = architecture(name, scheme)

    for method in ("fixed", "lsq"):
        network = ready.trainable(method)
        _few_off(network, ready)
        network.train()
        train_steps(network, ready.images, 2)
        network.freeze_norms()
        train_steps(network, ready.images, 1)
        _few_off(network, ready)


def _few_off(network: nn.Module, ready: Ready) -> None:
    """Assert what float sums, which differ in last bits, leave of equality: next to all."""
    for apart in steps_apart(network, twin_of(network), ready.images):
        assert float(apart.max()) < 1.001
        assert float((apart > 0.5).double().mean()) < 0.05


def test_what_is_read_out_of_every_method_can_be_written_and_is_the_twin():
    ready = architecture("squeezenet")
    for method in ("lsq+", "pact", "moving-average"):
        network = ready.trainable(method)
        train_steps(network, ready.images, 3, rate=0.1)

        _few_off(network, ready)
        file_equals(ready, network)


def test_the_clamp_of_a_pool_is_part_of_the_network():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(4, 4, 3))
    torch.manual_seed(0)
    images = torch.randn(4, 3, 12, 12)
    ready = of_module(module.eval(), images)
    assert any(
        node.op == "max_pool2d" and node.attrs["activation"] is not None for node in ready.graph
    )

    outputs_equal(ready, ready.trainable("fixed"))
    outputs_equal(ready, ready.trainable(exact=True))


@pytest.mark.parametrize("is_exact", [True, False])
def test_slopes_of_a_prelu_are_read_out_as_they_were_trained(is_exact):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.Conv2d(4, 2, 3)).eval()
    ready = of_module(module, torch.randn(4, 3, 8, 8))
    network = ready.trainable(exact=is_exact)

    train_steps(network, ready.images, 3, rate=0.5)

    for apart in steps_apart(network, twin_of(network), ready.images):
        assert float(apart.max()) < (1e-3 if is_exact else 2.0)


@pytest.mark.parametrize("what", ["weight", "scale"])
def test_a_number_that_is_not_finite_makes_the_outputs_so_and_raises_nothing(what):
    ready = architecture("squeezenet")
    network = ready.trainable(exact=True)
    with torch.no_grad():
        if what == "weight":
            network.groups()["weights"][0].flatten()[0] = math.nan
        else:
            next(iter(network.scales.values())).log.fill_(math.nan)

    (output,) = network(ready.images)

    assert bool(output.isnan().any())
