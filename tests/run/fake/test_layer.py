"""A layer and its batch norm: with the batch's statistics, and with those that are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from intaglio.methods.steps.state import Context, Prepared
from intaglio.methods.structure.steps import Equalize
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.folded_norms import folded_norms
from intaglio.read.module.export import capture
from intaglio.run.fake import FakeNetwork, trainable
from intaglio.runtimes import LITERT
from run.fake.deployed import of_module


def conv_norm_net(*, has_bias: bool = True, clamp: nn.Module | None = None) -> nn.Module:
    """Return two convolutions with uneven batch norms, one of whose gains is 0 and one negative."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=has_bias),
        nn.BatchNorm2d(6),
        clamp or nn.ReLU(),
        nn.Conv2d(6, 4, 3, bias=has_bias),
        nn.BatchNorm2d(4),
    )
    with torch.no_grad():
        for norm in (module[1], module[4]):
            norm.weight.copy_(torch.linspace(0.3, 2.0, norm.num_features))
            norm.bias.normal_(0.0, 0.5)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 3.0)
            norm.weight[1], norm.weight[2] = 0.0, -0.7
    return module.eval()


def batch_statistics(module: nn.Module, images: Tensor) -> None:
    """Give the norms of a module the statistics of a batch: biased variances, as it uses them."""
    with torch.no_grad():
        value = images
        for layer in module:
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.copy_(value.mean((0, 2, 3)))
                layer.running_var.copy_(value.var((0, 2, 3), correction=0))
            value = layer(value)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("method", ["lsq", "pact"])
def test_where_the_kept_statistics_are_the_batch_s_both_ways_are_one(has_bias, method):
    module = conv_norm_net(has_bias=has_bias)
    images = torch.randn(8, 3, 10, 10)
    batch_statistics(module, images)
    ready = of_module(module, images)
    follows, frozen = ready.trainable(method), ready.trainable(method)
    # quantized inputs of the second layer have other statistics than the float ones: by its own
    first = next(iter(ready.norms))
    frozen.freeze_norms()

    one, other = (network(images)[0].detach() for network in (follows, frozen))

    scale = ready.deployment.encodings.activations[ready.graph.outputs[0]].scale
    # the bias of the second way is rounded to 32 bits, and statistics are those of rounded values
    assert float((one - other).abs().max()) <= 3.001 * float(scale)
    assert float(((one - other).abs() > 0.5 * scale).double().mean()) < 0.2
    assert first in follows.norm_statistics()
    assert frozen.norm_statistics() == {}


def test_weights_divided_by_the_gain_are_the_rounded_ones_of_the_device():
    ready = of_module(conv_norm_net(), torch.randn(8, 3, 10, 10))
    network = ready.trainable()

    for name, layer in network.layers.items():
        scale = network.weight_scale(name)
        before, own = layer.for_batch_statistics(scale)
        rounded, _ = layer.rounded(scale, None)
        gain = layer.norm.gain().detach()
        shape = (-1, 1, 1, 1)
        lives = gain != 0.0
        torch.testing.assert_close(
            (before * gain.reshape(shape))[lives], rounded[lives], rtol=1e-5, atol=1e-7
        )
        assert torch.equal(own, layer.norm.layer_bias.value)


@pytest.mark.parametrize("method", ["lsq", "pact", "moving-average"])
def test_a_channel_with_the_gain_0_is_its_offset_and_can_learn_to_be_more(method):
    module = conv_norm_net()
    images = torch.randn(8, 3, 10, 10)
    ready = of_module(module, images)
    network = ready.trainable(method)
    quantized, (found,) = module.train()(images), network(images)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))

    for one in (quantized, found):
        (one * weights).sum().backward()

    grid = network.value_grids.used(ready.graph.outputs[0])
    constant = found[:, 1].detach()
    assert float(constant.max() - constant.min()) == 0.0
    assert float(constant.max()) == pytest.approx(
        float(module[4].bias[1].detach()), abs=float(grid.scale)
    )
    ours, theirs = network.network.get_submodule("4").weight.grad, module[4].weight.grad
    assert float(ours[1]) == pytest.approx(float(theirs[1]), rel=0.05)


@pytest.mark.parametrize("clamp", [nn.ReLU(), nn.ReLU6()])
def test_a_network_with_equalized_channels_is_the_same_network_in_both_modes(clamp):
    module = conv_norm_net(clamp=clamp)
    images = torch.randn(8, 3, 10, 10)
    captured = capture(module, images[:1])
    canonical = captured.copy()
    canonicalize(canonical)
    norms = folded_norms(captured, canonical, canonical)
    statistics = {layer: norm.normal() for layer, norm in norms.items()}
    plain = Prepared(canonical, canonical, statistics, norms)
    scaled = Equalize()(plain, Context(images, LITERT))
    assert not torch.equal(
        scaled.graph.param(scaled.graph["0"], "weight"), canonical.param(canonical["0"], "weight")
    )

    before, after = (trainable(state.graph, state.current_norms()) for state in (plain, scaled))

    for network in (before, after):
        assert len(network.norm_statistics()) == 2
    torch.testing.assert_close(after(images), before(images), rtol=1e-4, atol=1e-4)
    _same_when_measured(before, after, images)


def _same_when_measured(before: FakeNetwork, after: FakeNetwork, images: Tensor) -> None:
    before.eval()
    after.eval()
    torch.testing.assert_close(after(images), before(images), rtol=1e-4, atol=1e-4)


def test_a_layer_whose_norm_is_not_known_trains_with_it_folded():
    module = conv_norm_net()
    images = torch.randn(4, 3, 10, 10)
    ready = of_module(module, images)
    network = replace(ready, norms={}).trainable("fixed")

    training = network(images)[0].detach()
    measured = network.eval()(images)[0].detach()

    assert torch.equal(training, measured)


def test_biases_fit_beside_weights_that_are_tiny():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
    ready = of_module(module, torch.randn(4, 3, 8, 8))
    network = ready.trainable("pact")
    with torch.no_grad():
        network.network.get_submodule("0").weight.mul_(1e-9)
        network.network.get_submodule("0").bias.copy_(torch.tensor([1.0, -30.0, 1e3, -7e4]))

    scale = network.weight_scale("0").double()

    step = scale * float(ready.deployment.encodings.activations[ready.graph.inputs[0]].scale)
    steps = network.network.get_submodule("0").bias.detach().double().abs() / step
    # scales are float32: rounded by up to 6e-8
    assert float(steps.max()) <= LITERT.bias_limit(8) * (1 + 1e-6)
