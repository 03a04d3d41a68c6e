"""Norms that never learn: the same numbers as batch norm in evaluation, in training too."""

from __future__ import annotations

import torch
from torch import nn

from intaglio.zoo.frozen_norm import FrozenNorm, freeze_norms


def trained_norm(channels: int = 5) -> nn.BatchNorm2d:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(channels, eps=1e-3)
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 2.0)
    return norm


def test_a_frozen_norm_gives_what_batch_norm_gives_in_evaluation():
    norm = trained_norm()
    network = nn.Sequential(nn.Conv2d(3, 5, 1), norm, nn.Sequential(trained_norm()))
    images = torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        expected = network.eval()(images)

    freeze_norms(network)

    assert torch.equal(network.train()(images), expected)
    assert [type(m).__name__ for m in network.modules()].count("FrozenNorm") == 2


def test_a_frozen_norm_learns_nothing_and_keeps_its_statistics():
    frozen = FrozenNorm(4)
    before = {key: tensor.clone() for key, tensor in frozen.state_dict().items()}

    frozen.train()(torch.randn(3, 4, 2, 2) * 9)

    assert not list(frozen.parameters())
    assert all(torch.equal(before[key], tensor) for key, tensor in frozen.state_dict().items())


def test_keys_are_those_of_batch_norm_without_the_counter():
    norm, frozen = trained_norm(), nn.Sequential(FrozenNorm(5))

    frozen.load_state_dict({f"0.{key}": value for key, value in norm.state_dict().items()})

    assert set(frozen.state_dict()) | {"0.num_batches_tracked"} == {
        f"0.{key}" for key in norm.state_dict()
    }


def test_eps_is_the_norms_own_unless_another_is_given():
    kept, changed = nn.Sequential(trained_norm()), nn.Sequential(trained_norm())

    freeze_norms(kept)
    freeze_norms(changed, eps=0.0)

    assert (kept[0].eps, changed[0].eps) == (1e-3, 0.0)
