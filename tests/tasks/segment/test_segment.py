"""The task of segmenters: what fits it, which labels it takes, and what its figures come to."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from intaglio.boxes.postprocess import PostProcess
from intaglio.data.dataset import Dataset, FileSource, Item
from intaglio.data.mask import IGNORED, Mask
from intaglio.data.truth import Category, Placement
from intaglio.errors import DataError, NonFiniteError, RequestError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.tasks.classify import CLASSIFY
from intaglio.tasks.evaluate import compare, evaluate
from intaglio.tasks.segment.losses import map_loss
from intaglio.tasks.segment.segment import SEGMENT, Segment, segmenter_task
from intaglio.tasks.task import TASKS, labelled_task_for, task_for
from intaglio.tasks.values import VALUES
from tasks.segment.maps_made import blobs, mask, saying

CLASSES = 4
POST = MapPostProcess(CLASSES, names=("road", "sky", "tree", "car"))
FITTING = [(-1, CLASSES, 16, 20)]
TRUTHS = [blobs(16, 20, CLASSES, seed) for seed in range(4)]
IMAGES = torch.zeros(4, 3, 16, 20)
MASKS = [mask(truth) for truth in TRUTHS]
LABELS = torch.from_numpy(np.stack(TRUTHS))


def network(images: Tensor) -> Tensor:
    return saying(*TRUTHS[: len(images)], classes=CLASSES)


def test_an_unlabelled_map_is_not_guessed_to_be_a_segmenters():
    assert TASKS["segment"] is SEGMENT
    assert task_for(FITTING) is VALUES
    assert task_for([(-1, 10)]) is CLASSIFY


@pytest.mark.parametrize("labels", [MASKS, LABELS, LABELS.long()])
def test_labels_that_are_masks_tell_that_it_is_one(labels):
    assert task_for([(4, CLASSES, 16, 20)], labels) is SEGMENT


def test_targets_of_the_outputs_shape_are_still_values():
    assert task_for([(4, CLASSES, 16, 20)], torch.zeros(4, CLASSES, 16, 20)) is VALUES


def test_the_networks_own_task_goes_first_and_maps_are_evaluated_by_it():
    own = Segment(POST)

    assert task_for(FITTING, own=own) is own
    with pytest.raises(RequestError, match="classifier"):
        labelled_task_for(FITTING)


def test_labels_that_are_no_masks_are_misfit():
    assert "the labels are list, no masks" in SEGMENT.misfit(FITTING, [1, 2])
    assert "the labels are Tensor, no masks" in SEGMENT.misfit(FITTING, torch.zeros(4, 16, 20))
    assert SEGMENT.misfit(FITTING, None) is None
    with pytest.raises(RequestError, match="one channel"):
        task_for([(-1, 1, 16, 20)], name="segment")


def test_a_right_network_is_evaluated_without_being_told_what_it_is():
    found = evaluate(network, [(IMAGES, LABELS)])

    assert found == {"miou": 100.0, "pixel_accuracy": 100.0, "boundary_f": 100.0, "n": 4}
    assert all(SEGMENT.wording.knows(name) for name in found if name != "n")


def test_what_python_users_give_becomes_masks():
    ((images, masks),) = SEGMENT.batches((IMAGES, LABELS), (3, 16, 20))

    assert len(images) == 4
    assert np.array_equal(masks[2].classes, TRUTHS[2])


def test_two_networks_are_compared_by_labels_and_by_what_they_say():
    def other(images: Tensor) -> Tensor:
        made = network(images)
        made[:, :, :8] = made[:, [0, 1, 3, 2], :8]  # trees and cars change places
        return made

    found = compare(network, other, [(IMAGES, MASKS)], Segment(POST), names=["map"])

    assert found.float_figures["miou"] == 100.0
    assert found.judgement.labelled.points == 100.0 - found.figures["miou"] > 5.0
    assert found.judgement.agreement.percent < 95.0
    assert {row.name for row in found.shown.segmentation.per_class} <= set(POST.names)


def test_an_output_of_any_number_of_outputs_may_say_the_classes():
    task = Segment(replace(POST, output=1))

    found = evaluate(lambda images: [torch.zeros(4, 2), network(images)], [(IMAGES, MASKS)], task)

    assert found["miou"] == 100.0


@pytest.mark.parametrize("scores", ["logits", "probabilities"])
def test_a_network_of_one_channel_has_two_classes(scores):
    truth = (TRUTHS[0] > 0).astype(np.uint8)
    post = MapPostProcess(2, rule="threshold", scores=scores)
    said = torch.from_numpy(truth).float()[None, None]
    given = said if scores == "probabilities" else 8 * said - 4

    found = evaluate(lambda images: given, [(IMAGES[:1], [mask(truth)])], Segment(post))

    assert found["miou"] == 100.0


def test_a_network_that_gives_classes_is_evaluated_by_them():
    post = MapPostProcess(CLASSES, rule="index")

    found = evaluate(lambda images: LABELS.to(torch.int32), [(IMAGES, MASKS)], Segment(post))

    assert found["miou"] == 100.0


def dataset_of(*labels: object, categories: tuple[Category, ...] = ()) -> Dataset:
    items = [Item(f"{n}.png", label, FileSource(f"{n}.png")) for n, label in enumerate(labels)]
    return Dataset("x", Path("x"), items, categories=categories)


def test_labels_of_a_data_set_are_its_masks_or_the_picture_without_is_named():
    categories = tuple(Category(n, f"kind {n}") for n in range(3))

    assert SEGMENT.labels(dataset_of(*MASKS), FITTING) == MASKS
    with pytest.raises(DataError, match=r"x: '1.png' has no mask: give a folder"):
        SEGMENT.labels(dataset_of(MASKS[0], None), FITTING)
    with pytest.raises(DataError, match=r"x: '0.png' has no mask"):
        SEGMENT.labels(dataset_of(3, 4), FITTING)
    with pytest.raises(DataError, match=r"4 classes apart, .* 3 categories"):
        SEGMENT.labels(dataset_of(*MASKS, categories=categories), FITTING)


def test_nan_in_any_output_is_refused():
    scores = network(IMAGES)
    scores[3, 1, 2, 2] = math.nan
    fine = network(IMAGES)

    SEGMENT.check([fine], MASKS)
    with pytest.raises(NonFiniteError, match="gives NaN"):
        SEGMENT.check([scores], MASKS)
    with pytest.raises(NonFiniteError, match="gives NaN"):
        SEGMENT.check([fine, torch.full((4, 1), math.nan)], MASKS)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (None, "the labels of a batch are nothing"),
        (MASKS[:3], "image 3 of the batch .* has none"),
        ([*MASKS[:3], None], "image 3 .* has NoneType, no mask"),
        (LABELS[:2], "4 images and 2 masks"),
        (LABELS + 1, r"class 4 of a mask is out of range: there are 4 \(0..3\)"),
        (torch.full((4, 16, 20), -1), "has the class -1"),
    ],
)
def test_labels_that_are_not_the_networks_are_refused(labels, wanted):
    with pytest.raises(DataError, match=wanted):
        SEGMENT.check([network(IMAGES)], labels)


def test_masks_that_are_all_ignored_pass_and_say_nothing():
    nothing = torch.full((4, 16, 20), IGNORED)

    SEGMENT.check([network(IMAGES)], nothing)
    with pytest.raises(DataError, match="no figures"):
        evaluate(network, [(IMAGES, nothing)], SEGMENT)


def test_the_loss_is_cross_entropy_of_tensors_and_of_masks_alike():
    scores = torch.randn(4, CLASSES, 16, 20, generator=torch.Generator().manual_seed(0))

    given = [SEGMENT.loss([scores], labels, smoothing=0.1) for labels in (LABELS, MASKS)]

    assert given[0] == given[1] == map_loss(MapPostProcess(CLASSES), scores, LABELS, smoothing=0.1)


def test_hard_pixels_are_learned_where_the_task_says_so():
    scores = torch.randn(4, CLASSES, 16, 20, generator=torch.Generator().manual_seed(0))

    hard = Segment(hard_share=0.1).loss([scores], LABELS)

    assert hard == map_loss(MapPostProcess(CLASSES), scores, LABELS, hard_share=0.1)
    assert hard > SEGMENT.loss([scores], LABELS)


def test_helping_heads_have_no_part_in_the_loss():
    scores, helping = network(IMAGES).requires_grad_(), torch.ones(4, 9, 4, 5, requires_grad=True)

    SEGMENT.loss([scores, helping], LABELS).backward()

    assert scores.grad is not None
    assert helping.grad is None


def test_a_stretched_picture_is_learned_at_the_networks_input():
    large = Mask(TRUTHS[0].repeat(3, 0).repeat(2, 1), Placement(1 / 2, 1 / 3))
    small = saying(TRUTHS[0], classes=CLASSES)[:, :, ::2, ::2]  # a map of half the input's size

    found = Segment(input_size=(16, 20)).loss([small], [large])

    assert found == SEGMENT.loss([small], LABELS[:1]) == SEGMENT.loss([small], [large])


def test_a_network_with_a_smaller_map_is_evaluated_on_what_python_users_give():
    truth = TRUTHS[0].repeat(4, 0).repeat(4, 1)
    batches = list(SEGMENT.batches([(torch.zeros(1, 3, 64, 80), [truth])], (3, 64, 80)))

    found = evaluate(lambda images: saying(TRUTHS[0], classes=CLASSES), batches, SEGMENT)

    assert found["miou"] > 85.0  # but for the borders, which a map of a quarter draws smoothly


def test_categories_are_learned_as_the_networks_classes():
    task = Segment(POST, tuple(Category(n, name) for n, name in enumerate(("car", "sky"))))
    truth = np.where(TRUTHS[0] == 3, 0, np.where(TRUTHS[0] == 1, 1, IGNORED)).astype(np.uint8)
    own = np.where(truth == 0, 3, truth).astype(np.uint8)
    scores = torch.randn(1, CLASSES, 16, 20, generator=torch.Generator().manual_seed(0))

    assert task.loss([scores], [mask(truth)]) == SEGMENT.loss([scores], [mask(own)])


def test_the_distance_from_a_float_network_is_0_at_its_own_outputs():
    scores = network(IMAGES)

    assert SEGMENT.distance([scores], [scores]) == 0.0
    assert SEGMENT.distance([scores + 1], [scores]) > 0.0


def test_a_postprocess_of_maps_makes_a_segmenter_and_no_other_does():
    task = segmenter_task(POST, input_size=(16, 20))

    assert (task.post, task.input_size) == (POST, (16, 20))
    assert segmenter_task(None) is None
    assert segmenter_task(PostProcess) is None
