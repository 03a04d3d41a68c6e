"""What users pass as data: tensors, lists, loaders, generators; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from intaglio.data.batches import (
    BATCH_SIZE,
    FirstImages,
    image_batches,
    labelled_batches,
    target_batches,
)
from intaglio.errors import DataError, NonFiniteError

SAMPLE = (3, 4, 5)
IMAGES = torch.arange(40 * 60.0).reshape(40, *SAMPLE)
LABELS = torch.arange(40)


def given(data):
    return list(image_batches(data, SAMPLE))


def paired(data):
    return list(labelled_batches(data, SAMPLE))


@pytest.mark.parametrize(
    "data",
    [
        IMAGES,
        [IMAGES],
        list(IMAGES.split(7)),
        [(part,) for part in IMAGES.split(7)],
        [[part, "anything"] for part in IMAGES.split(20)],
        (part for part in IMAGES.split(1)),
        DataLoader(TensorDataset(IMAGES, LABELS), batch_size=9),
        DataLoader(TensorDataset(IMAGES), batch_size=40),
    ],
    ids=["tensor", "list", "batches", "tuples", "lists", "generator", "loader", "unlabelled"],
)
def test_all_images_come_in_their_order(data):
    assert torch.equal(torch.cat(given(data)), IMAGES)


def test_a_tensor_is_cut_into_small_batches():
    assert [len(batch) for batch in given(IMAGES)] == [BATCH_SIZE, BATCH_SIZE, 8]


def test_batches_are_taken_one_at_a_time():
    taken: list[int] = []

    def stream():
        for number in range(3):
            taken.append(number)
            yield IMAGES[:2]

    batches = image_batches(stream(), SAMPLE)

    next(batches)
    assert taken == [0]


def test_images_come_without_gradients():
    (batch,) = given([IMAGES.clone().requires_grad_()])

    assert not batch.requires_grad


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (IMAGES[0], r"batch 0 of data is \(3, 4, 5\)"),
        (torch.zeros(2, 1, 4, 5), r"batch 0 of data is \(2, 1, 4, 5\)"),
        ([IMAGES, IMAGES[:, :, :3]], r"batch 1 of data is \(40, 3, 3, 5\)"),
        (torch.tensor(1.0), r"batch 0 of data is \(\)"),
        ([IMAGES.numpy()], "batch 0 of data is ndarray"),
        ([np.zeros(3), IMAGES], "batch 0 of data is ndarray"),
        ([{"image": IMAGES}], "batch 0 of data is dict"),
        ([()], "batch 0 of data is tuple"),
        ([None], "batch 0 of data is NoneType"),
        ([7], "batch 0 of data is int"),
        ("folder", "batch 0 of data is str"),
        (7, "data is int"),
    ],
)
def test_data_of_another_shape_or_kind_is_refused(data, said):
    with pytest.raises(DataError, match=said):
        given(data)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.uint8])
def test_images_of_another_type_are_refused(kind):
    with pytest.raises(DataError, match=f"batch 0 of data is {kind}: give float32"):
        given(torch.zeros(2, *SAMPLE, dtype=kind))


@pytest.mark.parametrize(
    "data",
    [
        (IMAGES, LABELS),
        (IMAGES, LABELS.tolist()),
        (IMAGES, LABELS.to(torch.int32).reshape(-1, 1)),
        [(IMAGES[:30], LABELS[:30]), [IMAGES[30:], LABELS[30:].tolist()]],
        ((IMAGES[:30], LABELS[:30]), (IMAGES[30:], LABELS[30:])),
        DataLoader(TensorDataset(IMAGES, LABELS), batch_size=9),
    ],
    ids=["pair", "numbers", "column", "list", "pair of pairs", "loader"],
)
def test_labels_come_beside_their_images(data):
    batches = paired(data)

    assert torch.equal(torch.cat([images for images, _ in batches]), IMAGES)
    assert torch.equal(torch.cat([labels for _, labels in batches]), LABELS)
    assert all(labels.dtype == torch.int64 for _, labels in batches)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([IMAGES], "batch 0 of evaluate has no labels"),
        ([(IMAGES, LABELS), (IMAGES,)], "batch 1 of evaluate has no labels"),
        ([{"images": IMAGES}], "batch 0 of evaluate has no labels"),
        (IMAGES, "batch 0 of evaluate has no labels"),
        ((IMAGES, LABELS[:10]), "40 images but 10 labels"),
        ((IMAGES, LABELS[:39]), "40 images but 39 labels"),
        ([(IMAGES[:4], LABELS[:3])], "4 images but 3 labels"),
        ([(IMAGES, torch.nn.functional.one_hot(LABELS))], "40 images but 1600 labels"),
        ([(IMAGES, LABELS / 2)], "labels of batch 0 are torch.float32"),
        ([(IMAGES, ["cat"] * 40)], "labels of batch 0 are no class indices"),
        ([(IMAGES.double(), LABELS)], "float64: give float32"),
    ],
)
def test_labels_that_do_not_fit_are_refused(data, said):
    with pytest.raises(DataError, match=said):
        paired(data)


MANY = torch.rand(20, 3, 8, 8)
MAPS, SUMS = torch.rand(20, 1, 4, 4), torch.arange(20)


@pytest.mark.parametrize(
    "data",
    [
        (MANY, (MAPS, SUMS)),
        [(MANY[:16], (MAPS[:16], SUMS[:16])), [MANY[16:], [MAPS[16:], SUMS[16:].tolist()]]],
    ],
)
def test_targets_come_beside_their_images(data):
    found = list(target_batches(data, (3, 8, 8)))

    assert [len(images) for images, _ in found] == [16, 4]
    maps, sums = (torch.cat(parts) for parts in zip(*(kept for _, kept in found), strict=True))
    assert torch.equal(maps, MAPS)
    assert torch.equal(sums, SUMS.float())


@pytest.mark.parametrize("data", [MANY, [MANY[:16], MANY[16:]], [(MANY[:16],), (MANY[16:],)]])
def test_images_may_come_without_targets(data):
    found = list(target_batches(data, (3, 8, 8)))

    assert torch.equal(torch.cat([images for images, _ in found]), MANY)
    assert [targets for _, targets in found] == [None, None]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ((MANY, MAPS[:3]), "20 images and another number of targets"),
        ([(MANY, (MAPS, SUMS[:2]))], "batch 0: 20 images and another"),
        ([(MANY, "maps")], "no tensors"),
        ([(MANY, torch.tensor(3.0))], "another number"),
        (3, "data is int"),
    ],
)
def test_targets_that_do_not_fit_are_refused(data, said):
    with pytest.raises(DataError, match=said):
        list(target_batches(data, (3, 8, 8)))


def test_the_first_images_are_kept_and_all_go_by():
    first = FirstImages(10)

    passed = list(first.of(IMAGES.split(4)))

    assert torch.equal(torch.cat(passed), IMAGES)
    assert torch.equal(torch.cat(first.kept), IMAGES[:10])
    assert first.seen == 40


def test_fewer_images_than_wanted_are_all_kept():
    first = FirstImages(10)

    list(first.of([IMAGES[:3], IMAGES[3:4]]))

    assert torch.equal(torch.cat(first.kept), IMAGES[:4])
    assert first.seen == 4


def test_kept_images_are_copies():
    first, batch = FirstImages(2), IMAGES[:2].clone()
    list(first.of([batch]))

    batch.zero_()

    assert torch.equal(first.kept[0], IMAGES[:2])


def test_nothing_is_kept_of_what_comes_later():
    first = FirstImages(3)

    list(first.of(IMAGES.split(1)))

    assert sum(len(part) for part in first.kept) == 3


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_images_with_numbers_that_are_none_are_refused(number):
    images = IMAGES.clone()
    images[BATCH_SIZE + 3, 1, 2, 2] = number
    images[BATCH_SIZE + 4, 0, 0, 0] = number

    with pytest.raises(NonFiniteError, match=f"in 2 of the {BATCH_SIZE} images"):
        given(images)
