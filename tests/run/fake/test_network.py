"""A network in training as other code holds it."""

from __future__ import annotations

import pytest
import torch

from run.fake.deployed import architecture


@pytest.mark.parametrize("frozen", [False, True])
def test_a_compiled_network_gives_the_values_and_gradients_of_the_plain_one(frozen):
    ready = architecture("mobilenet_manual")
    networks = [ready.trainable("lsq").train() for _ in range(2)]
    found = []
    for number, network in enumerate(networks):
        if frozen:
            network.freeze_norms()
        called = torch.compile(network, backend="aot_eager") if number else network
        outputs = called(ready.images)
        torch.stack([output.square().mean() for output in outputs]).sum().backward()
        gradients = [one.grad for one in network.parameters() if one.grad is not None]
        found.append([*outputs, *gradients, *network.buffers()])

    plain, compiled = found
    assert len(plain) == len(compiled)
    assert all(torch.equal(one, other) for one, other in zip(plain, compiled, strict=True))


def test_a_network_keeps_no_buffers_between_steps():
    ready = architecture("mobilenet_manual")
    network = ready.trainable("lsq").train()

    outputs = network(ready.images)
    torch.stack([output.square().mean() for output in outputs]).sum().backward()

    held = network._scratch
    assert held.values.numel() == held.other.numel() == 0
