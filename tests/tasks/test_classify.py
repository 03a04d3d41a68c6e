"""Accuracy and agreement in closed form, ties included; what cannot be counted is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from intaglio.errors import DataError, NonFiniteError, RequestError
from intaglio.tasks.classify import accuracy, compare

Batches = list[tuple[Tensor, Tensor]]


def scores_are_the_images(images: Tensor) -> Tensor:
    return images


def descending(classes: int) -> Tensor:
    """Return scores [1, classes] whose best class is 0, the second best 1, and so on."""
    return torch.arange(classes, 0, -1.0).reshape(1, -1)


def labelled(labels: list[int], classes: int = 10) -> Batches:
    return [(descending(classes).repeat(len(labels), 1), torch.tensor(labels))]


def test_top1_and_top5_count_the_labels_rank():
    found = accuracy(scores_are_the_images, labelled([0, 0, 1, 4, 5, 9, 3, 8]))

    assert found.n == 8
    assert found.top1 == 25.0  # the two zeros
    assert found.top5 == 62.5  # and 1, 4, 3


def test_of_fewer_than_five_classes_every_label_is_among_the_best_five():
    found = accuracy(scores_are_the_images, labelled([0, 1, 2], classes=3))

    assert (found.right1, found.right5) == (1, 3)


def test_of_equal_scores_the_lower_class_index_wins():
    equal = torch.zeros(7, 7)

    found = accuracy(scores_are_the_images, [(equal, torch.arange(7))])

    assert (found.right1, found.right5) == (1, 5)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(2, 12), st.integers(0, 999))
def test_counts_agree_with_counting_by_hand_whatever_the_batches(images, size, classes, seed):
    random = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 4, (images, classes), generator=random).float()  # with many ties
    labels = torch.randint(0, classes, (images,), generator=random)

    found = accuracy(
        scores_are_the_images, zip(scores.split(size), labels.split(size), strict=True)
    )

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

    found = compare(
        lambda images: first[images],
        lambda images: second[images],
        [(numbers[:3], labels[:3]), (numbers[3:], labels[3:])],
    )

    assert found.agreement == 75.0
    assert (found.first.top1, found.second.top1) == (50.0, 25.0)


def test_agreement_does_not_look_at_labels():
    found = compare(scores_are_the_images, scores_are_the_images, labelled([3, 4, 5]))

    assert found.agreement == 100.0
    assert found.first.top1 == 0.0


def test_each_batch_is_taken_once_and_told():
    told: list[int] = []
    batches = iter([(descending(4).repeat(count, 1), torch.zeros(count)) for count in (3, 1, 2)])

    found = compare(scores_are_the_images, scores_are_the_images, batches, seen=told.append)

    assert told == [3, 1, 2]
    assert found.first.n == found.second.n == 6


def test_no_gradients_are_kept():
    weight = torch.ones(1, requires_grad=True)
    made: list[Tensor] = []

    def network(images: Tensor) -> Tensor:
        made.append(images * weight)
        return made[-1]

    compare(network, network, labelled([0]))

    assert not any(scores.requires_grad for scores in made)


@pytest.mark.parametrize("label", [10, 1000, -1])
def test_a_label_that_is_no_class_is_refused(label):
    batches = labelled([0, label])

    with pytest.raises(DataError, match=f"class index {label} .* 10 classes"):
        accuracy(scores_are_the_images, batches)
    with pytest.raises(DataError, match=f"class index {label} "):
        compare(scores_are_the_images, scores_are_the_images, batches)


def test_no_image_is_refused():
    with pytest.raises(DataError, match="empty"):
        accuracy(scores_are_the_images, [])
    with pytest.raises(DataError, match="empty"):
        compare(scores_are_the_images, scores_are_the_images, labelled([])[:0])
    with pytest.raises(DataError, match="empty"):
        accuracy(scores_are_the_images, [(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))])


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2,)])
def test_a_network_that_is_no_classifier_is_refused(shape):
    with pytest.raises(RequestError, match=r"one output \[N, classes\]"):
        accuracy(lambda images: torch.zeros(shape), labelled([0, 0]))


def test_several_outputs_are_refused():
    with pytest.raises(RequestError, match="tuple"):
        accuracy(lambda images: (images, images), labelled([0]))  # type: ignore[arg-type, return-value]


def test_nan_scores_are_refused_and_not_counted_as_class_0():
    scores = descending(4)
    scores[0, 2] = float("nan")

    with pytest.raises(NonFiniteError, match="NaN"):
        accuracy(scores_are_the_images, [(scores, torch.tensor([2]))])
