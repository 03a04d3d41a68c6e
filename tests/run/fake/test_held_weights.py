"""Integers of weights that are held while gains, biases and steps of values learn."""

from __future__ import annotations

import pytest
import torch

from intaglio.numerics.affine import quantize
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.run.fake import FakeNetwork
from intaglio.run.fake.held_weights import HeldWeights
from run.fake.deployed import architecture, steps_apart, train_steps, twin_of


def integers(network: FakeNetwork) -> dict[str, torch.Tensor]:
    """Return the integers of all weights that are rounded."""
    graph, encodings = network.read_out()
    return {
        name: quantize(graph.param(graph[name], "weight"), grid)
        for name, grid in encodings.weights.items()
    }


@pytest.mark.parametrize("scheme", ["w4a8", "w8a8"])
@pytest.mark.parametrize("is_frozen", [True, False], ids=["norms kept", "norms follow"])
def test_training_moves_scales_of_weights_and_none_of_their_integers(scheme, is_frozen):
    ready = architecture("mobilenet_manual", scheme)
    network = ready.trainable("held")
    before, scales = (
        integers(network),
        {name: network.weight_scale(name) for name in network.layers},
    )
    if is_frozen:
        network.freeze_norms()

    losses = train_steps(network, ready.images, 12)

    assert losses[-1] < losses[0]
    after = integers(network)
    normed = [name for name, layer in network.layers.items() if layer.norm is not None]
    assert normed
    assert before.keys() == after.keys()
    for name, held in before.items():
        assert torch.equal(held, after[name]), name
    for name in normed:
        assert not torch.equal(scales[name], network.weight_scale(name)), name
    for apart in steps_apart(network, twin_of(network), ready.images):
        assert float(apart.median()) < 1.0  # float means and ties may differ by a step


def test_the_user_s_weights_are_what_they_were_and_their_norms_are_not():
    ready = architecture("mobilenet_manual", "w4a8")
    network = ready.trainable("held")
    before = {name: value.clone() for name, value in network.user_weights().items()}

    train_steps(network, ready.images, 3)

    after = network.user_weights()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    layers = {id(layer.weight.value) for layer in network.layers.values()}
    held = {name for name, value in network.network.named_buffers() if id(value) in layers}
    assert held
    assert not held & moved
    assert moved


def test_one_scale_for_all_channels_holds_their_gains_too():
    ready = architecture("mobilenet_manual", "w8a8-per-tensor")
    network = ready.trainable("held")
    before = integers(network)
    network.freeze_norms()

    train_steps(network, ready.images, 3)

    assert all(torch.equal(before[name], found) for name, found in integers(network).items())


def test_a_row_of_zeros_keeps_its_scale_now_and_at_the_start():
    spec = QuantSpec(bits=4, symmetric=True, axis=0, narrow=True)
    scale = torch.tensor([0.5, 0.25, 0.125])
    grid = QuantParams(scale, torch.zeros(3, dtype=torch.int32), spec)
    ranges = HeldWeights(grid, torch.tensor([[0.0, 0.0], [1.0, -1.5], [0.5, 0.0]]))

    found = ranges.wished(torch.tensor([[9.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]))

    assert found.tolist() == [0.5, 0.25, 0.25]
