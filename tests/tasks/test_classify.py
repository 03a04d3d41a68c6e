"""Accuracy and agreement in closed form, ties included; what cannot be counted is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from intaglio.errors import DataError, NonFiniteError, RequestError
from intaglio.tasks import CLASSIFY, Compared, compare, evaluate
from intaglio.tasks.accuracy import Accuracy
from intaglio.tasks.classify import without_background
from intaglio.tasks.task import Agreement, task_for

Batches = list[tuple[Tensor, Tensor]]


def scores_are_the_images(images: Tensor) -> Tensor:
    return images


def descending(classes: int) -> Tensor:
    """Return scores [1, classes] whose best class is 0, the second best 1, and so on."""
    return torch.arange(classes, 0, -1.0).reshape(1, -1)


def labelled(labels: list[int], classes: int = 10) -> Batches:
    return [(descending(classes).repeat(len(labels), 1), torch.tensor(labels))]


def counted(batches: Batches) -> Accuracy:
    """Return the counts of a network whose scores are its images."""
    meter = CLASSIFY.meter(["scores"])
    for scores, labels in batches:
        meter.add([scores], labels)
    return meter


def side_by_side(first, second, batches, **told) -> Compared:
    return compare(first, second, batches, CLASSIFY, names=["scores"], **told)


def test_top1_and_top5_count_the_labels_rank():
    found = evaluate(scores_are_the_images, labelled([0, 0, 1, 4, 5, 9, 3, 8]))

    assert found == {"top1": 25.0, "top5": 62.5, "n": 8}  # the two zeros; and 1, 4, 3
    assert next(iter(found)) == "top1"  # what a wish is about


def test_of_fewer_than_five_classes_every_label_is_among_the_best_five():
    found = counted(labelled([0, 1, 2], classes=3))

    assert (found.right1, found.right5) == (1, 3)


def test_of_equal_scores_the_lower_class_index_wins():
    equal = torch.zeros(7, 7)

    found = counted([(equal, torch.arange(7))])

    assert (found.right1, found.right5) == (1, 5)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(2, 12), st.integers(0, 999))
def test_counts_agree_with_counting_by_hand_whatever_the_batches(images, size, classes, seed):
    random = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 4, (images, classes), generator=random).float()  # with many ties
    labels = torch.randint(0, classes, (images,), generator=random)

    found = counted(zip(scores.split(size), labels.split(size), strict=True))

    ranks = []  # classes before the label: of a higher score, or of the same and a lower index
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        better = [index for index, score in enumerate(row) if score > row[label]]
        ranks.append(len(better) + row[:label].count(row[label]))
    assert found.right1 == sum(rank < 1 for rank in ranks)
    assert found.right5 == sum(rank < 5 for rank in ranks)


def test_agreement_is_the_share_of_images_with_the_same_best_class():
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])  # a tie: class 0
    second = torch.tensor([[9.0, 0.0], [0.0, 9.0], [0.0, 9.0], [9.0, 0.0]])
    labels = torch.tensor([0, 0, 0, 1])
    numbers = torch.arange(4)

    found = side_by_side(
        lambda images: first[images],
        lambda images: second[images],
        [(numbers[:3], labels[:3]), (numbers[3:], labels[3:])],
    )

    assert (
        found.judgement.agreement.n,
        found.judgement.agreement.same,
        found.judgement.agreement.percent,
    ) == (4, 3, 75.0)
    assert (found.float_figures["top1"], found.figures["top1"]) == (50.0, 25.0)


def test_agreement_does_not_look_at_labels():
    varied = [(torch.eye(10)[[3, 4, 5]], torch.tensor([0, 1, 2]))]

    found = side_by_side(scores_are_the_images, scores_are_the_images, varied)

    assert found.judgement.agreement.percent == 100.0
    assert found.float_figures["top1"] == 0.0


def test_each_batch_is_taken_once_and_told():
    told: list[int] = []
    batches = iter(
        [
            (descending(4).repeat(count, 1), torch.zeros(count, dtype=torch.int64))
            for count in (3, 1, 2)
        ]
    )

    found = side_by_side(scores_are_the_images, scores_are_the_images, batches, seen=told.append)

    assert told == [3, 1, 2]
    assert found.judgement.agreement.n == 6


def test_no_gradients_are_kept():
    weight = torch.ones(1, requires_grad=True)
    made: list[Tensor] = []

    def network(images: Tensor) -> Tensor:
        made.append(images * weight)
        return made[-1]

    side_by_side(network, network, labelled([0]))

    assert not any(scores.requires_grad for scores in made)


@pytest.mark.parametrize("label", [10, 1000, -1])
def test_a_label_that_is_no_class_is_refused(label):
    batches = labelled([0, label])

    with pytest.raises(DataError, match=f"class index {label} .* 10 classes"):
        evaluate(scores_are_the_images, batches)
    with pytest.raises(DataError, match=f"class index {label} "):
        side_by_side(scores_are_the_images, scores_are_the_images, batches)


def test_no_image_is_refused():
    with pytest.raises(DataError, match="empty"):
        evaluate(scores_are_the_images, [])
    with pytest.raises(DataError, match="empty"):
        side_by_side(scores_are_the_images, scores_are_the_images, labelled([])[:0])
    with pytest.raises(DataError, match="empty"):
        evaluate(scores_are_the_images, [(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))])


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2,)])
def test_a_network_that_is_no_classifier_is_refused(shape):
    with pytest.raises(RequestError, match=r"one output \[N, classes\]"):
        evaluate(lambda images: torch.zeros(shape), labelled([0, 0]), CLASSIFY)


def test_several_outputs_are_refused():
    with pytest.raises(RequestError, match=r"one output .* \[1, 10\] and \[1, 10\]"):
        evaluate(lambda images: (images, images), labelled([0]))


def test_nan_scores_are_refused_and_not_counted_as_class_0():
    scores = descending(4)
    scores[0, 2] = float("nan")

    with pytest.raises(NonFiniteError, match="NaN"):
        evaluate(scores_are_the_images, [(scores, torch.tensor([2]))])


def test_images_without_labels_are_refused():
    with pytest.raises(DataError, match=r"no labels: give \(images, labels\)"):
        evaluate(scores_are_the_images, [descending(4)])


def test_points_lost_are_counted_not_subtracted_from_percents():
    found = counted(labelled([0, 0, 1, 1, 1, 1, 1])), counted(labelled([0, 0, 0, 1, 1, 1, 1]))

    assert found[0].lost(found[1]) == 100.0 * 1 / 7


ONE = torch.tensor([[2.0], [-1.0], [0.5], [-3.0]])


@pytest.mark.parametrize("scores", [ONE, ONE.sigmoid()])
@pytest.mark.parametrize("kind", [torch.int64, torch.float32])
def test_one_score_is_a_side_of_the_threshold_of_logits_or_of_probabilities(scores, kind):
    labels = torch.tensor([1, 0, 0, 0]).to(kind).reshape(4, 1)

    assert task_for([(-1, 1)], labels) is CLASSIFY
    assert evaluate(lambda images: scores, CLASSIFY.batches((ONE, labels), (1,))) == {
        "top1": 75.0,
        "n": 4,
    }


def test_of_one_score_other_labels_than_0_and_1_are_refused():
    with pytest.raises(DataError, match=r"class index 2 is out of range: .* 2 classes"):
        evaluate(lambda images: ONE, [(ONE, torch.tensor([0, 1, 2, 0]))])


def agreement(real: Tensor, found: Tensor) -> Agreement:
    beside = CLASSIFY.beside(["scores"], is_told=False)
    for one, other in zip(real.split(3), found.split(3), strict=True):
        beside.add([one], [other])
    return beside.agreement()


def test_one_score_agrees_where_it_is_on_the_same_side_of_the_float_networks_threshold():
    assert agreement(ONE, -ONE).same == 0
    assert agreement(ONE, ONE + 0.9).same == 4
    assert agreement(ONE.sigmoid(), torch.full((4, 1), 0.4)).same == 2


def test_agreement_with_a_network_that_gives_one_answer_counts_for_nothing():
    assert agreement(ONE.abs(), ONE.abs()).same is None
    corners = torch.rand(30, 4) + torch.tensor([0.0, 0.0, 9.0, 0.0])  # a box is no class
    assert agreement(corners, corners).same is None


def test_labels_that_each_stand_for_themselves_must_all_be_the_same():
    real = torch.tensor([[0.9, 0.8, 0.1], [0.9, 0.2, 0.7], [0.1, 0.2, 0.1]])
    found = torch.tensor([[0.9, 0.4, 0.1], [0.8, 0.3, 0.6], [0.1, 0.2, 0.1]])

    assert agreement(real, found).by_image.tolist() == [False, True, True]
    assert not agreement(real, found).is_sure


@pytest.mark.parametrize(
    ("real", "is_sure"),
    [
        (torch.eye(4), True),  # a softmax
        (4.0 * torch.eye(4) - 2.0, False),  # four numbers may as well be a box
        (torch.eye(10) - 0.5, True),
        (torch.eye(10)[[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]] - 0.5, False),
        (ONE, False),
    ],
)
def test_scores_that_nobody_calls_classes_are_surely_some_only_where_they_look_like_it(
    real, is_sure
):
    assert agreement(real, real).is_sure == is_sure


def test_chance_is_the_most_frequent_label_and_its_standard_error():
    found = counted(labelled([3, 3, 3, 1]))

    assert found.chance() == pytest.approx(75.0 + 100.0 * (0.75 * 0.25 / 4) ** 0.5)


def test_the_loss_is_the_cross_entropy():
    scores = torch.tensor([[0.0, 0.0], [0.0, 0.0]])

    assert CLASSIFY.loss([scores], torch.tensor([0, 1])) == pytest.approx(0.6931472)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_smoothing_spreads_a_share_of_the_label_over_all_classes(smoothing):
    scores = torch.tensor([[2.0, 0.5, -1.0]])
    wanted = torch.full((3,), smoothing / 3)
    wanted[1] += 1.0 - smoothing

    found = CLASSIFY.loss([scores], torch.tensor([1]), smoothing=smoothing)

    assert found == pytest.approx(float(-(wanted * scores[0].log_softmax(0)).sum()))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_a_logit_has_the_loss_of_two_classes(smoothing):
    logits, labels = torch.tensor([[1.5], [-0.5]]), torch.tensor([1, 1])
    two = torch.cat([torch.zeros(2, 1), logits], 1)

    found = CLASSIFY.loss([logits], labels, smoothing=smoothing)

    assert found == pytest.approx(float(CLASSIFY.loss([two], labels, smoothing=smoothing)))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_distance_is_the_divergence_from_the_float_networks_classes(temperature):
    own, real = torch.tensor([[1.0, 0.0, 2.0]] * 2), torch.tensor([[0.0, 1.0, 3.0]] * 2)
    p, q = (scores[0].div(temperature).softmax(0) for scores in (real, own))

    found = CLASSIFY.distance([own], [real], temperature=temperature)

    assert found == pytest.approx(float((p * (p / q).log()).sum()) * temperature**2, rel=1e-5)


def test_the_distance_of_logits_is_that_of_two_classes_and_none_is_zero():
    own, real = torch.tensor([[1.5], [-0.5]]), torch.tensor([[0.3], [2.0]])
    two = [torch.cat([torch.zeros(2, 1), scores], 1) for scores in (own, real)]

    found = CLASSIFY.distance([own], [real], temperature=2.0)

    assert found == pytest.approx(float(CLASSIFY.distance(two[:1], two[1:], temperature=2.0)))
    assert float(found) > 0.0
    assert float(CLASSIFY.distance([own], [own])) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(("classes", "highest"), [(1001, 1000), (1000, 999), (10, 9)])
def test_scores_stay_where_no_class_is_a_background(classes, highest):
    network = without_background(scores_are_the_images, [(-1, classes)], [0, highest])

    assert network is scores_are_the_images


def test_the_score_of_a_background_is_left_out():
    network = without_background(lambda images: [images], [(-1, 1001)], [0, 999, None])

    assert torch.equal(network(descending(1001))[0], descending(1000))
