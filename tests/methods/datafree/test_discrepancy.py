"""Distances between two networks: what they are invariant to, and zeros that stay finite."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.methods.datafree.discrepancy import (
    LayerWeights,
    activation_regularizer,
    channel_relation_map,
    output_discrepancy,
    relation_discrepancy,
    released_discrepancy,
)

SHAPES = st.tuples(*(st.integers(1, 5) for _ in range(4)))
TOLERANCE = 2e-5
"""Cosines of some hundred products in float32."""


def features(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=30)
@given(SHAPES, st.integers(0, 99), st.booleans())
def test_a_relation_map_is_symmetric_with_ones_on_its_diagonal_and_never_above(shape, seed, each):
    found = channel_relation_map(features(shape, seed), per_sample=each)

    assert torch.allclose(found, found.transpose(-2, -1), atol=TOLERANCE)
    assert torch.equal(found.diagonal(dim1=-2, dim2=-1), torch.ones(found.shape[:-1]))
    assert found.abs().max() <= 1.0 + TOLERANCE


@settings(deadline=None, max_examples=30)
@given(SHAPES, st.integers(0, 99))
def test_positive_scales_of_channels_and_the_order_of_samples_change_no_relation(shape, seed):
    values = features(shape, seed)
    scales = features((1, shape[1], 1, 1), seed + 1).exp()

    found = channel_relation_map((values * scales).flip(0))

    assert torch.allclose(found, channel_relation_map(values), atol=TOLERANCE)


def test_a_relation_map_is_the_matrix_of_cosines():
    values = features((3, 4, 2, 5))
    rows = values.transpose(0, 1).flatten(1)

    found = channel_relation_map(values)

    wanted = torch.cosine_similarity(rows[:, None], rows[None], dim=2)
    assert torch.allclose(found, wanted, atol=TOLERANCE)


def test_maps_of_single_samples_are_those_of_batches_of_one():
    values = features((3, 4, 2, 5))

    each = channel_relation_map(values, per_sample=True)

    assert torch.allclose(each[1], channel_relation_map(values[1:2]), atol=TOLERANCE)


@pytest.mark.parametrize("per_sample", [False, True])
def test_a_channel_of_zeros_has_no_relations_and_passes_finite_gradients(per_sample):
    values = features((2, 4, 3, 3)).index_fill(1, torch.tensor([1]), 0.0).requires_grad_()

    found = channel_relation_map(values, per_sample=per_sample)
    relation_discrepancy(features((2, 4, 3, 3), 5), values, per_sample=per_sample).backward()

    assert not found[..., 1, :].any()
    assert not found[..., :, 1].any()
    assert values.grad.isfinite().all()
    assert not values.grad[:, 1].any()
    assert values.grad.abs().max() < 10.0


def test_places_of_zeros_in_all_channels_pass_finite_gradients_through_the_released_loss():
    first = features((2, 4, 5, 5)).relu()
    second = features((2, 4, 5, 5), 1).relu()
    second[:, :, 2, 3] = 0.0
    second.requires_grad_()

    loss = released_discrepancy([first], [second])
    loss.backward()

    assert loss > 0.0
    assert second.grad.abs().max() < 10.0
    assert not second.grad[:, :, 2, 3].any()


def test_the_released_loss_attends_to_places_and_to_the_farthest_channels():
    first, second = features((2, 3, 2, 2)), features((2, 3, 2, 2), 1)

    found = released_discrepancy([first, first], [second, second])

    wanted = torch.zeros(())
    sides = []
    for values in (first, second):
        x = torch.nn.functional.normalize(values, dim=1).flatten(2)  # [B, C, P]
        places = (x.transpose(1, 2) @ x).softmax(2)  # [B, P, P]
        energy = x @ x.transpose(1, 2)
        channels = (energy.amax(2, keepdim=True) - energy).softmax(2)  # [B, C, C]
        sides.append((x + 0.1 * x @ places.transpose(1, 2), x + 0.1 * channels @ x))
    for a, b in zip(*sides, strict=True):
        wanted = wanted + 2 * (a - b).abs().mean()
    assert torch.allclose(found, wanted, atol=TOLERANCE)


def test_each_output_counts_alike_however_many_numbers_it_has():
    teacher = [torch.zeros(2, 1000), torch.zeros(2, 1)]

    found = output_discrepancy(teacher, [torch.ones(2, 1000), torch.full((2, 1), 3.0)])

    assert found == 2.0


def test_layer_weights_start_alike_sum_to_one_and_follow_the_distances():
    weights = LayerWeights(3)
    assert torch.equal(weights.weights, torch.full((3,), 1.0 / 3.0))
    distances = torch.tensor([0.1, 2.0, 0.3])

    for _ in range(200):
        weights.update(distances)
        assert abs(float(weights.weights.sum()) - 1.0) < 1e-6

    assert torch.allclose(weights.weights, distances.softmax(0), atol=1e-6)


def test_one_update_moves_layer_weights_by_a_tenth():
    weights = LayerWeights(2)

    weights.update(torch.tensor([0.0, 1.0]))

    wanted = 0.9 * 0.5 + 0.1 * torch.tensor([0.0, 1.0]).softmax(0)
    assert torch.allclose(weights.weights, wanted)


def test_distances_that_are_not_finite_leave_layer_weights_as_they_are():
    weights = LayerWeights(2)

    weights.update(torch.tensor([float("nan"), 1.0]))

    assert torch.equal(weights.weights, torch.full((2,), 0.5))


def test_the_regularizer_falls_as_activations_rise():
    weak, strong = torch.full((2, 3), 0.5), torch.full((2, 3), -2.0)

    assert activation_regularizer(weak) == -0.5
    assert activation_regularizer(strong) == -2.0
