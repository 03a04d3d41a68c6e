"""Grids that are wished for, grids that count, and what of both is kept with a run."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from intaglio.run.fake import FakeNetwork
from run.fake.deployed import architecture, of_module, train_steps, twin_of

METHODS = ["lsq", "lsq+", "pact", "moving-average"]


def moved_by(network: FakeNetwork, size: float) -> None:
    """Move every learned logarithm and shift."""
    with torch.no_grad():
        for one in network.value_grids.parameters():
            one.fill_(size)


def grids_of(network: FakeNetwork) -> dict[str, tuple[float, int]]:
    """Return scale and zero point of each grid that counts."""
    return {name: (float(g.scale), g.zero) for name, g in network.value_grids.activations.items()}


def step(network: FakeNetwork, images: Tensor) -> dict[str, Tensor]:
    """Return the outputs and all gradients of a step, and what the network holds behind it."""
    outputs = network(images)
    sum(one.square().sum() for one in outputs).backward()
    found = {f"output {index}": one.detach() for index, one in enumerate(outputs)}
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            found[f"gradient {name}"] = parameter.grad
    return found | network.state_dict()


@pytest.mark.parametrize("is_exact", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_network_that_takes_over_a_state_does_the_same_next_step_to_the_bit(method, is_exact):
    ready = architecture("reused")
    network = ready.trainable(method, exact=is_exact)
    if is_exact:
        network.freeze_norms()
    moved_by(network, 0.01)
    train_steps(network, ready.images, 11)  # grids were settled by the eleventh step, and moved on
    network.zero_grad()
    state = copy.deepcopy(network.state_dict())

    other = ready.trainable(method, exact=is_exact)
    other.load_state_dict(state)

    assert grids_of(other) == grids_of(network)
    ours, theirs = step(network, ready.images), step(other, ready.images)
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_a_state_with_frozen_norms_is_taken_over_frozen():
    ready = architecture("reused")
    network, other = ready.trainable(), ready.trainable()
    network.freeze_norms()

    other.load_state_dict(network.state_dict())

    assert other.norm_statistics() == {}
    assert torch.equal(other(ready.images)[0], network(ready.images)[0])


@pytest.mark.parametrize("size", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("method", METHODS)
def test_wishes_that_are_no_grid_leave_those_that_count_as_they_are(method, size):
    ready = architecture("squeezenet")
    network = ready.trainable(method)
    before = grids_of(network)
    moved_by(network, size)
    for one in network.value_grids.observing:
        one.high.fill_(size)

    assert not network.value_grids.settle()

    assert grids_of(network) == before
    network.eval()
    assert bool(network(ready.images)[0].isfinite().all())
    wished = torch.stack([one.float().max() for one in network.grids().values()])
    assert not bool(wished.isfinite().all()) or bool((wished <= 0).any())


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_settling_survives_whatever_is_wished(data):
    ready = architecture("squeezenet")
    method = data.draw(st.sampled_from(["lsq", "lsq+", "pact"]))
    network = ready.trainable(method)
    before = grids_of(network)
    with torch.no_grad():
        for one in network.value_grids.parameters():
            one.fill_(data.draw(st.floats(-200.0, 200.0)))

    moved = network.value_grids.settle()

    assert moved or grids_of(network) == before
    assert all(0.0 < scale < math.inf for scale, _ in grids_of(network).values())


def test_moved_wishes_settle_at_every_tenth_step_and_when_it_is_measured():
    ready = architecture("squeezenet")
    network = ready.trainable("lsq")
    network(ready.images)
    start = grids_of(network)
    moved_by(network, 0.5)

    for _ in range(9):
        network(ready.images)
        assert grids_of(network) == start
    network(ready.images)
    settled = grids_of(network)
    moved_by(network, 0.6)
    network.eval()

    assert settled != start
    assert grids_of(network) != settled
    name = ready.graph.outputs[0]
    assert settled[name][0] == pytest.approx(start[name][0] * math.exp(0.5), rel=1e-3)


def test_the_grids_of_stored_values_are_prescribed_and_derived_ones_are_not_learned():
    ready = architecture("mobilenet_manual")
    network = ready.trainable("lsq")
    plan = ready.deployment.plan

    for name in (*plan.fixed, *plan.derived):
        assert network.value_grids.range_of(name) is None
    assert set(network.grids()) >= {group[0] for group in plan.groups} - {
        *plan.fixed,
        *plan.derived,
    }


def clamped(low: float, high: float) -> nn.Module:
    """Return a network with a clamp that files have no word for: the grid does its work."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardtanh(low, high), nn.Conv2d(4, 2, 1)).eval()


@pytest.mark.parametrize("bounds", [(-0.5, 0.5), (-0.2, 0.7), (0.0, 0.4)])
@pytest.mark.parametrize("method", ["lsq", "lsq+", "pact"])
def test_a_grid_in_place_of_a_clamp_does_not_grow_beyond_it(method, bounds):
    ready = of_module(clamped(*bounds), torch.randn(4, 3, 8, 8) * 2)
    network = ready.trainable(method)
    name = next(n.name for n in ready.graph if n.attrs.get("activation") is not None)
    before = grids_of(network)[name]
    with torch.no_grad():
        network.value_grids.range_of(name).log.fill_(0.3)
        for shift in (0.0, 0.1, -0.1):
            if method == "lsq+":
                network.value_grids.range_of(name).shift.fill_(shift)
            network.value_grids.settle()
            grid = network.value_grids.used(name)
            reach = [float(grid.scale) * (end - grid.zero) for end in (-128, 127)]

            half = 0.5001 * float(grid.scale)
            assert reach[0] >= bounds[0] - half
            assert reach[1] <= bounds[1] + half
            twin_of(network)  # refused where it is wider
    if method != "lsq+":
        assert grids_of(network)[name][0] == pytest.approx(before[0], rel=0.01)


def test_a_grid_in_place_of_a_clamp_may_shrink_and_others_may_grow():
    ready = of_module(clamped(-0.5, 0.5), torch.randn(4, 3, 8, 8) * 2)
    network = ready.trainable("lsq")
    name = next(n.name for n in ready.graph if n.attrs.get("activation") is not None)
    out = ready.graph.outputs[0]
    before = grids_of(network)
    with torch.no_grad():
        network.value_grids.range_of(name).log.fill_(-0.3)
        network.value_grids.range_of(out).log.fill_(0.3)

    network.value_grids.settle()

    after = grids_of(network)
    assert after[name][0] == pytest.approx(before[name][0] * math.exp(-0.3), rel=1e-2)
    assert after[out][0] == pytest.approx(before[out][0] * math.exp(0.3), rel=1e-2)
