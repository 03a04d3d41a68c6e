"""The field without approximation: by plain loops, and its free energy."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from tests.tasks.crf.scenes import blobs, noisy

from intaglio.errors import DataError
from intaglio.tasks.crf.exact import exact_messages, exact_refine, free_energy
from intaglio.tasks.crf.mean_field import softmax, unary, updated
from intaglio.tasks.crf.parameters import DEEPLAB_VOC, WRAPPER, Crf


def plain_kernel(picture, crf):
    """Each pair in Python's own numbers: normalised, weighted, nothing for a pixel itself."""
    height, width = picture.shape[:2]
    points = [(y, x) for y in range(height) for x in range(width)]
    total = np.zeros((len(points), len(points)))
    for weight, xy, rgb in (
        (crf.gaussian_weight, crf.gaussian_xy, None),
        (crf.bilateral_weight, crf.bilateral_xy, crf.bilateral_rgb),
    ):
        kernel = np.zeros_like(total)
        for i, p in enumerate(points):
            for j, q in enumerate(points):
                apart = ((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2) / xy**2
                if rgb:
                    colours = picture[p].astype(float) - picture[q]
                    apart += (colours**2).sum() / rgb**2
                kernel[i, j] = np.exp(-apart / 2)
        sums = kernel.sum(1)
        kernel /= np.sqrt(np.outer(sums, sums))
        total += weight * (kernel - np.diag(np.diag(kernel)))
    return total


def plain_refine(probabilities, picture, crf, costs):
    kernel = plain_kernel(picture, crf)
    logs = np.log(np.clip(probabilities.reshape(len(probabilities), -1), 1e-5, 1)).astype(float)
    beliefs = np.exp(logs) / np.exp(logs).sum(0)
    for _ in range(crf.iterations):
        scores = logs - costs @ (beliefs @ kernel)
        new = np.exp(scores) / np.exp(scores).sum(0)
        beliefs = (1 - crf.damping) * new + crf.damping * beliefs
    return beliefs.reshape(probabilities.shape)


COSTS = ((0.0, 1.0, 0.5), (1.0, 0.0, 2.0), (0.5, 2.0, 0.0))


@pytest.mark.parametrize("compatibility", [None, COSTS])
@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_it_is_what_loops_over_every_pair_give(compatibility, damping):
    picture, probabilities = noisy(8), blobs(8, 3)
    crf = replace(WRAPPER, compatibility=compatibility, damping=damping)

    beliefs = exact_refine(probabilities, picture, crf)

    costs = 1 - np.eye(3) if compatibility is None else np.array(compatibility)
    # float32 against float64, through five iterations with weights of 13
    assert beliefs == pytest.approx(plain_refine(probabilities, picture, crf, costs), abs=2e-4)


def test_potts_written_out_as_a_matrix_is_potts():
    picture, probabilities = noisy(16), blobs(16, 3)
    written = replace(DEEPLAB_VOC, compatibility=tuple(map(tuple, (1 - np.eye(3)).tolist())))

    beliefs = exact_refine(probabilities, picture, written)

    # other sums in another order, in float32
    assert beliefs == pytest.approx(exact_refine(probabilities, picture, DEEPLAB_VOC), abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 8),
    st.floats(0.1, 8),
    st.floats(0.5, 100),
    st.floats(1, 100),
    st.integers(2, 4),
)
def test_the_free_energy_never_rises_under_enough_damping(seed, near, alike, xy, rgb, classes):
    generator = np.random.default_rng(seed)
    picture = generator.integers(0, 256, (7, 7, 3)).astype(np.uint8)
    scores = generator.normal(0, 3, (classes, 7, 7)).astype(np.float32)
    probabilities = softmax(scores)
    damping = 1 - 1 / max(1, near + alike)  # the bound of free_energy
    crf = Crf(near, xy, alike, xy, rgb, damping=min(damping, 0.999))
    messages, logits = exact_messages(picture, crf), -unary(probabilities)

    beliefs, energies = softmax(logits), []
    for _ in range(8):
        energies.append(free_energy(beliefs, probabilities, messages, crf))
        beliefs = updated(beliefs, logits, messages, crf)

    # 49 pixels with energies of tens each, summed in float32's beliefs
    assert np.diff(energies).max() <= 1e-3


def test_the_free_energy_of_two_pixels_is_what_a_hand_computes():
    picture = np.zeros((1, 2, 3), np.uint8)
    crf = Crf(2.0, 1.0, 0.0, 1.0, 1.0)
    probabilities = np.full((2, 1, 2), 0.5, np.float32)
    beliefs = np.array([[[1.0, 0.25]], [[0.0, 0.75]]], np.float32)

    energy = free_energy(beliefs, probabilities, exact_messages(picture, crf), crf)

    kernel = np.exp(-0.5) / (1 + np.exp(-0.5))
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    differ = 0.75  # the first is of class 0, the second of class 1 with 0.75
    assert energy == pytest.approx(2 * np.log(2) - entropy + 2.0 * kernel * differ, rel=1e-6)


def test_the_energy_at_rest_is_the_lowest_around():
    picture, probabilities = noisy(6), blobs(8, 3)[:, :6, :6]
    crf = replace(DEEPLAB_VOC, iterations=300, damping=0.5)
    messages = exact_messages(picture, crf)
    rest = exact_refine(probabilities, picture, crf)

    lowest = free_energy(rest, probabilities, messages, crf)

    for seed in range(5):
        strange = np.random.default_rng(seed).dirichlet(np.ones(3), (6, 6))
        near = 0.99 * rest + 0.01 * np.moveaxis(strange, -1, 0).astype(np.float32)
        assert free_energy(near, probabilities, messages, crf) > lowest


def test_a_picture_that_is_too_large_is_refused():
    with pytest.raises(DataError, match="65x64 has too many pairs"):
        exact_messages(np.zeros((65, 64, 3), np.uint8), DEEPLAB_VOC)
