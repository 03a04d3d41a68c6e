"""Values: what is alike in all images is no signal, each output by itself, no labels needed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from intaglio.errors import DataError, NonFiniteError, RequestError
from intaglio.tasks import VALUES, compare, evaluate


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sqnr(real: Tensor, found: Tensor, pieces: int = 5) -> float | None:
    beside = VALUES.beside(["out"], is_told=False)
    for one, other in zip(real.split(pieces), found.split(pieces), strict=True):
        beside.add([one], [other])
    return beside.agreement().sqnr_db.get("out")


@pytest.mark.parametrize("shape", [(13, 4, 3, 5), (13, 4), (13, 4, 6), (13,)])
@pytest.mark.parametrize("pieces", [1, 4, 13])
def test_the_signal_is_the_deviation_of_each_channel_from_its_mean(shape, pieces):
    real = random(*shape) + 7.0
    noise = 0.1 * random(*shape, seed=1)

    found = sqnr(real, real + noise, pieces)

    others = [axis for axis in range(len(shape)) if axis != 1]
    deviation = real - real.mean(others, keepdim=True)
    power = deviation.square().sum() / noise.square().sum()
    assert found == pytest.approx(10 * math.log10(power), abs=1e-9)


def test_a_constant_that_every_image_gets_is_no_signal_however_large():
    real, offset = random(20, 3, 4, 4), torch.tensor([0.0, 1e3, -1e6]).reshape(3, 1, 1)
    noise = 0.1 * random(20, 3, 4, 4, seed=1)

    assert sqnr(real + offset, real + offset + noise) == pytest.approx(sqnr(real, real + noise))


def test_a_constant_offset_of_the_integer_network_is_noise():
    real = random(20, 3, 4, 4)

    assert sqnr(real, real + 1.0) == pytest.approx(0.0, abs=0.5)


def test_of_equal_values_there_is_no_noise():
    real = random(4, 3)

    assert sqnr(real, real) == math.inf
    assert sqnr(torch.ones(4, 3), torch.ones(4, 3)) == math.inf


def test_an_output_that_is_constant_in_the_float_network_has_no_figure():
    assert sqnr(torch.ones(4, 3), torch.ones(4, 3) + 0.1) is None


def test_each_output_has_its_own_figure_and_no_images_are_said_to_agree():
    boxes, scores = random(6, 4, 5), random(6, 10)

    found = compare(
        lambda images: (boxes, scores),
        lambda images: [boxes + 0.1, scores],
        [(torch.zeros(6, 3, 8, 8), None)],
        VALUES,
        names=["boxes", "scores"],
    )

    agreement = found.judgement.agreement
    assert list(agreement.sqnr_db) == ["boxes", "scores"]
    assert agreement.sqnr_db["scores"] == math.inf
    assert (found.float_figures, found.figures) == ({}, {})
    assert (agreement.n, agreement.same, agreement.percent) == (6, None, None)


def test_with_targets_both_networks_have_an_error():
    real, target = torch.ones(4, 2), torch.zeros(4, 2)

    found = compare(
        lambda images: real[: len(images)],
        lambda images: 2.0 * real[: len(images)],
        [(torch.zeros(3, 1), target[:3]), (torch.zeros(1, 1), target[3:])],
        VALUES,
        names=["depth"],
    )

    assert found.float_figures == {"rmse.depth": 1.0}
    assert found.figures["rmse.depth"] == 2.0
    assert list(found.figures) == ["rmse.depth"]  # the float output is constant


def test_one_network_alone_is_measured_against_targets():
    targets = (torch.zeros(3, 2), torch.zeros(3, 4, 1))
    outputs = (torch.ones(3, 2), torch.full((3, 4, 1), -2.0))

    found = evaluate(lambda images: outputs, [(torch.zeros(3, 1), targets)])

    assert found == {"rmse.0": 1.0, "rmse.1": 2.0, "n": 3}


def test_one_network_alone_has_no_figures_without_targets():
    with pytest.raises(DataError, match="no figures without labels"):
        evaluate(lambda images: images, [torch.zeros(2, 3, 8, 8)])


def test_targets_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"targets of their own shapes, here \[N, 3, 8, 8\]"):
        evaluate(lambda images: images, [(torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8))], VALUES)


def test_nan_is_refused():
    with pytest.raises(NonFiniteError, match="NaN"):
        evaluate(lambda images: images * math.nan, [(torch.ones(2, 3), torch.ones(2, 3))])


def test_the_loss_counts_outputs_in_different_units_alike():
    target = random(8, 3).float()
    outputs = [target + 0.1, 1000.0 * (target + 0.1)]

    both = VALUES.loss(outputs, (target, 1000.0 * target))

    assert both == pytest.approx(float(VALUES.loss(outputs[:1], target)))


def test_the_loss_of_a_constant_target_is_the_squared_error():
    assert VALUES.loss([torch.full((4, 2), 3.0)], torch.ones(4, 2)) == 4.0


def test_the_distance_is_the_loss_with_the_float_outputs_as_targets():
    outputs, real = [random(4, 3).float()], [2.0 * random(4, 3).float()]

    found = VALUES.distance(outputs, real, temperature=4.0)

    assert torch.equal(found, VALUES.loss(outputs, real))


def test_targets_are_not_smoothed():
    with pytest.raises(RequestError, match=r"smoothing = 0\.1 .* train with smoothing = 0"):
        VALUES.loss([torch.ones(2, 2)], torch.ones(2, 2), smoothing=0.1)


def test_the_error_grown_is_what_is_lost():
    meters = [VALUES.meter(["out"]), VALUES.meter(["out"])]
    for meter, error in zip(meters, (1.0, 3.0), strict=True):
        meter.add([torch.full((2, 2), error)], torch.zeros(2, 2))

    assert meters[1].lost(meters[0]) == 2.0
