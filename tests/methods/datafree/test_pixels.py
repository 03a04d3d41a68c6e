"""What a network says of its own input."""

from __future__ import annotations

import pytest
import torch

from intaglio.errors import RequestError
from intaglio.methods.datafree.pixels import image_shape, pixels_of
from methods.datafree.small import cached_state, classifier, quantized


def test_ends_are_those_of_the_input_s_grid_and_moments_those_of_the_first_batch_norm():
    state = cached_state("w4a4")
    grid = state.encodings.activations[state.graph.inputs[0]]

    found = pixels_of(state, 0)

    assert found.shape == (3, 9, 9)
    assert torch.allclose(
        found.low, float(grid.scale) * (grid.spec.qmin - grid.zero) * torch.ones(3)
    )
    assert torch.allclose(
        found.high, float(grid.scale) * (grid.spec.qmax - grid.zero) * torch.ones(3)
    )
    assert found.mean.abs().max() < 0.6  # the norms followed white noise: mean 0, deviation 1
    assert (found.low < found.mean).all()
    assert (found.mean < found.high).all()


def test_without_batch_norms_the_moments_are_made_of_the_ends():
    found = pixels_of(quantized(classifier(norms=False)), 0)

    assert torch.allclose(found.mean, (found.low + found.high) / 2.0)
    assert torch.allclose(found.std, (found.high - found.low) / 4.0)


def test_a_network_that_takes_no_images_is_refused_by_name_of_what_it_takes():
    with pytest.raises(RequestError, match=r"takes\n? ?\[7\] of each"):
        image_shape((-1, 7))


def test_the_same_seed_finds_the_same():
    state = cached_state("w4a4")

    assert torch.equal(pixels_of(state, 3).std, pixels_of(state, 3).std)
