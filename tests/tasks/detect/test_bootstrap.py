"""The error of a difference: drawn by hand, what it must not see, and what it is in truth."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tasks.detect.scenes import detections, scenes, truth

from intaglio.errors import RequestError
from intaglio.tasks.detect.average_precision import MEASURES, counted_figures, voc_figures
from intaglio.tasks.detect.bootstrap import bootstrap_error, drawn

BOX = (0, 0, 10, 10)


def pair(pictures, seed, noise=8.0):
    real, truths = scenes(pictures, 3, seed)
    generator = np.random.default_rng(seed + 1)
    found = []
    for one in real:
        boxes = one.boxes + generator.normal(0, noise, one.boxes.shape)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        rows = zip(boxes, one.scores.tolist(), one.classes.tolist(), strict=True)
        found.append(detections(*rows))
    return real, found, truths


@pytest.mark.parametrize("name", ["ap", "voc_ap50"])
def test_it_is_the_deviation_of_figures_made_anew_of_the_pictures_drawn(name):
    real, found, truths = pair(15, 0)
    make = counted_figures if name == "ap" else voc_figures

    error = bootstrap_error(real, found, truths, MEASURES[name], rounds=6, seed=4)

    apart = []
    for row in drawn(15, 6, 4).astype(int):
        again = np.repeat(np.arange(15), row)
        of = [
            make([side[i] for i in again], [truths[i] for i in again])[name]
            for side in (real, found)
        ]
        apart.append(of[0] - of[1])
    assert error == pytest.approx(np.std(apart, ddof=1), abs=1e-9)


def test_networks_that_find_the_same_differ_by_0_without_error():
    real, _, truths = pair(15, 0)

    assert bootstrap_error(real, list(real), truths) == 0.0


def test_of_one_object_a_picture_it_is_the_error_of_a_mean():
    # no wrong boxes, the surest ones right: the area is the share of the objects found
    truths = [truth((BOX, 0)) for _ in range(100)]
    real = [detections((BOX, 0.9, 0)) for _ in range(100)]
    found = [detections((BOX, 0.9, 0)) if k >= 20 else detections() for k in range(100)]

    error = bootstrap_error(real, found, truths, MEASURES["voc_ap50"], rounds=2000)

    # a tenth: with 2000 rounds the error is known to 1 / sqrt(4000), 1.6 % of itself
    assert error == pytest.approx(100 * np.sqrt(0.2 * 0.8 / 100), rel=0.1)


def test_pictures_that_are_hard_for_both_add_nothing():
    real, found, truths = pair(40, 2, noise=1.0)
    strangers, _ = scenes(40, 3, 77)

    paired = bootstrap_error(real, found, truths)

    assert paired < 0.5 * bootstrap_error(real, strangers, truths)


@pytest.mark.slow
def test_it_is_how_far_losses_on_other_pictures_of_the_kind_spread():
    apart, errors = [], []
    for seed in range(60):
        real, found, truths = pair(40, 1000 * seed)
        of = [voc_figures(side, truths)["voc_ap50"] for side in (real, found)]
        apart.append(of[0] - of[1])
        errors.append(bootstrap_error(real, found, truths, MEASURES["voc_ap50"], rounds=50))

    # a deviation over 60 sets is known to 9 % of itself; three times that
    assert np.mean(errors) == pytest.approx(np.std(apart, ddof=1), rel=0.27)


def test_the_same_seed_draws_the_same_pictures():
    real, found, truths = pair(10, 0)

    errors = [bootstrap_error(real, found, truths, seed=seed, rounds=20) for seed in (1, 1, 2)]

    assert errors[0] == errors[1] != errors[2]


def test_each_round_draws_as_many_pictures_as_there_are():
    assert drawn(7, 5, 0).sum(1).tolist() == [7.0] * 5


@pytest.mark.parametrize("truths", [[], [truth()]])
def test_without_an_object_there_is_no_error(truths):
    found = [detections((BOX, 0.9, 0))] * len(truths)

    assert bootstrap_error(found, found, truths) == 0.0


def test_one_round_is_refused():
    with pytest.raises(RequestError, match="at least 2 rounds, got rounds = 1"):
        bootstrap_error([], [], [], rounds=1)
