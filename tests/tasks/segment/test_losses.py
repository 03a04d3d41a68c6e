"""Losses of maps beside plain loops, and what must have no part in them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.data.mask import IGNORED
from intaglio.errors import RequestError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.tasks.segment.losses import hard_pixels, log_probabilities, map_loss

POST = MapPostProcess(4)
LOGIT = MapPostProcess(2, rule="threshold")
SHARE = MapPostProcess(2, rule="threshold", scores="probabilities")


def given(seed: int = 0, channels: int = 4) -> tuple[Tensor, Tensor]:
    """Return scores [2, C, 5, 6] and labels [2, 5, 6] of which some are ignored."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, channels, 5, 6, generator=generator)
    labels = torch.randint(0, max(channels, 2), (2, 5, 6), generator=generator)
    labels[torch.rand(2, 5, 6, generator=generator) < 0.3] = IGNORED
    return scores, labels


def surprises(scores: Tensor, labels: Tensor) -> list[float]:
    """Return -log softmax of the true class of each pixel that counts, one by one."""
    found = []
    for n, y, x in torch.nonzero(labels != IGNORED).tolist():
        row = scores[n, :, y, x].tolist()
        total = math.log(sum(math.exp(value) for value in row))
        found.append(total - row[int(labels[n, y, x])])
    return found


def test_cross_entropy_is_the_mean_over_the_pixels_that_count():
    scores, labels = given()

    each = surprises(scores, labels)

    assert float(map_loss(POST, scores, labels)) == pytest.approx(sum(each) / len(each), rel=1e-5)


def test_smoothing_is_pytorchs():
    scores, labels = given()

    theirs = F.cross_entropy(scores, labels, ignore_index=IGNORED, label_smoothing=0.2)

    assert float(map_loss(POST, scores, labels, smoothing=0.2)) == pytest.approx(float(theirs))


def test_what_is_said_of_ignored_pixels_changes_neither_loss_nor_gradient():
    scores, labels = given()
    other = torch.where(labels[:, None] == IGNORED, 77.0, scores)
    for each in (scores, other):
        each.requires_grad_()

    losses = [map_loss(POST, each, labels) for each in (scores, other)]
    for loss in losses:
        loss.backward()

    assert torch.equal(losses[0], losses[1])
    assert torch.equal(scores.grad, other.grad)
    hidden = (labels == IGNORED)[:, None].expand_as(scores)
    assert (scores.grad[hidden] == 0).all()
    assert (scores.grad[~hidden] != 0).any()


@pytest.mark.parametrize("hard_share", [0.0, 0.3])
def test_where_no_pixel_counts_loss_and_gradient_are_0(hard_share):
    scores, labels = given()
    scores.requires_grad_()

    loss = map_loss(POST, scores, torch.full_like(labels, IGNORED), hard_share=hard_share)
    loss.backward()

    assert loss.item() == 0.0
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_labels_may_be_uint8():
    scores, labels = given()

    assert float(map_loss(POST, scores, labels.to(torch.uint8))) == float(
        map_loss(POST, scores, labels)
    )


def test_scores_of_fewer_places_are_interpolated_to_the_labels():
    scores, _ = given()
    labels = torch.randint(0, 4, (2, 15, 18), generator=torch.Generator().manual_seed(1))

    large = F.interpolate(scores, (15, 18), mode="bilinear", align_corners=False)

    assert float(map_loss(POST, scores, labels)) == pytest.approx(
        float(F.cross_entropy(large, labels))
    )


def test_half_precision_is_summed_in_float32():
    scores, labels = given()
    halves = scores.half()

    loss = map_loss(POST, halves, labels)

    assert loss.dtype == torch.float32
    assert float(loss) == float(map_loss(POST, halves.float(), labels))


def test_a_logit_has_binary_cross_entropy_and_so_has_a_probability():
    scores, labels = given(channels=1)
    counted = labels != IGNORED

    wanted = F.binary_cross_entropy_with_logits(scores[:, 0][counted], labels[counted].float())

    assert float(map_loss(LOGIT, scores, labels)) == pytest.approx(float(wanted))
    shares = scores.sigmoid()
    assert float(map_loss(SHARE, shares, labels)) == pytest.approx(float(wanted), rel=1e-5)


def test_smoothing_of_two_classes_is_that_of_a_classifiers_single_logit():
    scores, labels = given(channels=1)
    counted = labels != IGNORED
    yes = labels[counted].float() * 0.8 + 0.1

    wanted = F.binary_cross_entropy_with_logits(scores[:, 0][counted], yes)

    assert float(map_loss(LOGIT, scores, labels, smoothing=0.2)) == pytest.approx(float(wanted))


def test_probabilities_of_classes_are_not_softened_again():
    scores, labels = given()
    post = MapPostProcess(4, scores="probabilities")

    found = map_loss(post, scores.softmax(1), labels)

    assert float(found) == pytest.approx(float(map_loss(POST, scores, labels)), rel=1e-5)


def test_a_probability_of_0_for_the_truth_has_a_finite_loss():
    shares = torch.zeros(1, 1, 2, 2)

    loss = map_loss(SHARE, shares, torch.ones(1, 2, 2).long())

    assert float(loss) == pytest.approx(-math.log(1e-7), rel=1e-5)


def test_hard_pixels_are_those_below_the_probability():
    surprise = -torch.tensor([0.9, 0.1, 0.69, 0.71, 0.5]).log()

    assert sorted(hard_pixels(surprise, 0.2).tolist()) == [1, 2, 4]
    assert hard_pixels(surprise, 0.2)[0] == 1  # the hardest first


def test_at_least_a_share_of_the_pixels_is_learned_from_the_hardest_of_them():
    surprise = -torch.tensor([0.9, 0.1, 0.95, 0.8, 0.99]).log()

    assert sorted(hard_pixels(surprise, 0.6).tolist()) == [0, 1, 3]
    assert len(hard_pixels(surprise, 1.0)) == 5
    assert len(hard_pixels(-torch.tensor([0.9, 0.99]).log(), 0.0)) == 1


def test_the_loss_of_hard_pixels_is_the_mean_of_the_largest():
    scores, labels = given()
    scores = 3 * scores  # some are sure, and right
    each = sorted(surprises(scores, labels), reverse=True)
    hard = sum(one > -math.log(0.7) for one in each)
    least = math.ceil(0.1 * len(each))
    assert least < hard < len(each)

    found = map_loss(POST, scores, labels, hard_share=0.1)

    assert float(found) == pytest.approx(sum(each[:hard]) / hard, rel=1e-5)


def test_easy_pixels_have_no_gradient_where_the_hard_ones_are_learned():
    scores, labels = given()
    sure = (6 * scores).requires_grad_()

    map_loss(POST, sure, labels, hard_share=0.01).backward()

    moved = (sure.grad.abs().sum(1) > 0).sum()
    assert 0 < moved < (labels != IGNORED).sum()


def test_classes_have_no_gradient_and_shares_are_within_0_and_1():
    scores, labels = given()

    with pytest.raises(RequestError, match="gives classes, of which there is no gradient"):
        log_probabilities(MapPostProcess(4, rule="index"), scores[:, 0], (5, 6))
    with pytest.raises(RequestError, match=r"hard_share = 1.5: a share is within 0..1"):
        map_loss(POST, scores, labels, hard_share=1.5)
    with pytest.raises(RequestError, match=r"smoothing = -0.1"):
        map_loss(POST, scores, labels, smoothing=-0.1)
