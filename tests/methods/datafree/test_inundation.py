"""Steps are made as long as some integers need, and no longer."""

from __future__ import annotations

import torch
from torch import nn

from intaglio.methods.datafree.inundation import before, integers_of, inundate
from intaglio.run.fake.on_grid import OnGrid


def grid_of(latent):
    return OnGrid(
        latent,
        lambda: latent.detach().clone(),
        (torch.tensor(-127.0), torch.tensor(127.0)),
        lambda steps: steps,
    )


def test_a_step_that_changes_no_integer_is_doubled_until_it_does():
    latent = nn.Parameter(torch.tensor([[0.0, 0.0], [0.0, 0.0]]))
    grids = {"a": grid_of(latent)}
    was = before(grids)
    with torch.no_grad():
        latent += torch.tensor([[0.2, 0.1], [0.01, -0.01]])

    assert inundate(grids, was, 0.25) == 1

    assert torch.equal(integers_of(grids["a"]), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert torch.allclose(latent.detach(), torch.tensor([[0.8, 0.4], [0.04, -0.04]]))


def test_a_step_that_changes_enough_stays_as_it_is():
    latent = nn.Parameter(torch.zeros(2, 2))
    grids = {"a": grid_of(latent)}
    was = before(grids)
    with torch.no_grad():
        latent += 1.0

    assert inundate(grids, was, 0.25) == 0
    assert torch.equal(latent.detach(), torch.ones(2, 2))


def test_a_step_is_never_made_longer_than_thirty_two_times():
    latent = nn.Parameter(torch.zeros(1, 2))
    grids = {"a": grid_of(latent)}
    was = before(grids)
    with torch.no_grad():
        latent += 1e-6

    inundate(grids, was, 0.25)

    assert torch.allclose(latent.detach(), torch.full((1, 2), 32e-6))
