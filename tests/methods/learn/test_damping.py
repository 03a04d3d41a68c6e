"""The distance of a weight to its integers, and its gradient."""

from __future__ import annotations

import torch
from torch import nn

from intaglio.methods.learn.damping import distance
from intaglio.numerics.spec import INT8_WEIGHT
from methods.tiny_learner import on_grid


def test_the_distance_is_that_to_the_middle_and_its_gradient_draws_weights_there():
    steps = torch.tensor([[3.25, -7.0, 126.6], [0.5, -0.25, 0.0]]).double()
    scale = torch.tensor([0.5, 2.0]).double()
    latent = nn.Parameter(steps * scale[:, None])

    found = distance(on_grid(latent, scale.log(), INT8_WEIGHT))
    found.backward()

    gaps = torch.tensor([[0.25, 0.0, -0.4], [0.5, -0.25, 0.0]]).double() * scale[:, None]
    assert torch.allclose(found, gaps.square().sum())
    assert torch.allclose(latent.grad, 2.0 * gaps)


def test_a_weight_outside_of_its_grid_is_at_no_distance():
    latent = nn.Parameter(torch.tensor([[127.2, -300.4]]))

    found = distance(on_grid(latent, torch.zeros(1), INT8_WEIGHT))
    found.backward()

    assert found.item() == 0.0
    assert latent.grad.equal(torch.zeros(1, 2))
