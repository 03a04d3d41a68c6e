"""Segmenters as users write them: captured whole, compressed, judged by masks."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from torch import Tensor, nn

import intaglio
from intaglio.errors import DataError
from intaglio.maps.class_map import own_classes
from intaglio.maps.postprocess import MapPostProcess
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter, run_file
from segmenters.networks import NETWORKS, Indices, fitted
from segmenters.painters import Named, Nearest
from segmenters.scenes import CLASSES, NAMES, SIDE, pictures, scenes

SEEN = pictures(4, seed=20)
SURE = MapPostProcess(2, rule="threshold", scores="probabilities")
SHARES = MapPostProcess(CLASSES, scores="probabilities")


@functools.cache
def network(name: str) -> nn.Module:
    """Return the user's module; tests must not change it."""
    return NETWORKS[name]()


def judged(most: int = CLASSES) -> tuple[Tensor, Tensor]:
    return scenes(4, seed=50, most=most)


def compressed(module: nn.Module, evaluate: object = None, **wishes: object) -> intaglio.Result:
    return intaglio.compress(
        module,
        SEEN[:1],
        data=SEEN,
        evaluate=evaluate,
        recipe="plain",
        options=intaglio.Options(**wishes),
    )


@pytest.mark.parametrize(
    ("name", "post"),
    [
        ("fcn", MapPostProcess(CLASSES)),
        ("deeplabv3", MapPostProcess(CLASSES)),
        ("lraspp", MapPostProcess(CLASSES)),
        ("unet", MapPostProcess(CLASSES)),
        ("unet_softmax", SHARES),
        ("binary_sigmoid", SURE),
    ],
)
def test_masks_tell_that_a_network_is_a_segmenter_and_no_bit_differs(name, post):
    made = compressed(network(name), judged(2 if name.startswith("binary") else CLASSES))

    assert made.postprocess == post
    assert made.report.task == "segment"
    assert made.report.check is not None
    assert made.report.check.mismatches == 0
    assert made.report.integer.figures.keys() == {"miou", "pixel_accuracy", "boundary_f"}
    assert made.report.segmentation is not None
    agreed = made.report.integer.agreement
    assert agreed is not None
    assert agreed > 80  # random weights at 8 bits: 89 and more were seen


def test_a_head_that_helps_training_is_an_output_of_its_own():
    made = compressed(network("fcn"), judged())

    assert made.report.integer.outputs == ["out", "aux"]
    assert [tuple(one.shape) for one in made.twin.outputs(SEEN)] == [(4, CLASSES, SIDE, SIDE)] * 2


def test_masks_may_be_a_list_of_any_sizes_and_255_counts_for_nothing():
    images, masks = judged()
    larger = [np.kron(one.numpy(), np.ones((2, 2), np.uint8)) for one in masks]
    for one in larger:
        one[:7] = 255

    made = compressed(network("unet"), (images, larger))

    counted = sum(int((one != 255).sum()) for one in larger)
    assert made.report.segmentation is not None
    assert sum(row.pixels for row in made.report.segmentation.per_class) == counted


def test_without_masks_and_without_a_word_maps_stay_values():
    made = compressed(network("unet"), pictures(2, seed=9))

    assert made.postprocess is None
    assert made.report.task == "values"


def test_the_users_word_makes_a_segmenter_of_maps():
    made = compressed(network("unet"), task="segment")

    assert made.postprocess == MapPostProcess(CLASSES)


def test_another_word_wins_over_what_the_graph_and_the_labels_say():
    with pytest.raises(DataError, match="task 'values'"):
        compressed(network("unet"), judged(), task="values")


def test_a_logit_of_one_channel_is_refused_with_what_to_give():
    for options in ({"evaluate": judged(2)}, {"task": "segment"}):
        with pytest.raises(DataError, match="end in a sigmoid, or give the network a method"):
            compressed(network("binary_logits"), **options)


def test_a_logit_that_says_what_it_is_goes_through_and_says_what_the_sigmoid_says():
    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network("binary_logits")

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x)

        def postprocess(self, input_size: tuple[int, int]) -> MapPostProcess:
            return MapPostProcess(2, rule="threshold")

    told, sure = (compressed(one, judged(2)) for one in (Told(), network("binary_sigmoid")))

    assert told.report.task == "segment"
    # the same weights but for the sigmoid
    assert told.report.float.figures == sure.report.float.figures


def test_a_network_of_classes_is_written_as_its_scores_and_the_report_says_so():
    made = compressed(fitted(Indices()), judged())
    beside = compressed(network("unet"), judged())

    assert made.postprocess == MapPostProcess(CLASSES)
    assert made.report.float.figures == beside.report.float.figures
    assert made.report.integer.figures == beside.report.integer.figures
    assert any("ends in an argmax" in told for told in made.report.warnings)
    assert [made.graph[name].shape for name in made.graph.outputs] == [(-1, CLASSES, SIDE, SIDE)]


def test_its_file_can_end_in_the_classes_that_the_network_gave():
    made = compressed(fitted(Indices()), postprocess="in-file")

    for image in SEEN.split(1):
        given = image.permute(0, 2, 3, 1).contiguous().numpy()
        (found,) = run_file(open_interpreter(made.content, made.target), given)
        scores = made.twin.outputs(image)[0][0].numpy()
        assert (found.dtype, found.shape) == (np.uint8, (1, SIDE, SIDE))
        assert np.array_equal(found[0], own_classes(MapPostProcess(CLASSES), scores))


def test_names_of_classes_stand_in_the_file_in_front_of_scores():
    plain, told = (compressed(one.eval()) for one in (Nearest(), Named()))

    assert "\n".join(NAMES).encode() in told.content
    assert "\n".join(NAMES).encode() not in plain.content
