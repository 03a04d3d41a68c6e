"""Which class of a data set a network's class is: by name, in order, by number, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from intaglio.boxes import anchors, families
from intaglio.boxes.postprocess import PostProcess
from intaglio.data.truth import Category
from intaglio.errors import DataError
from intaglio.tasks.detect.classes import NONE, class_map


def network(
    classes: int, *, background: int | None = None, names: Sequence[str] = ()
) -> PostProcess:
    """Return how boxes come of a detector of so many scores."""
    size = (64, 64)
    places = anchors.anchor_grids(size, [(8, 8)], sizes=[[16.0]])
    post = families.retinanet(size, places, classes=classes)
    return replace(post, background=background, names=tuple(names))


def categories(*rows: tuple[int, str]) -> tuple[Category, ...]:
    return tuple(Category(number, name) for number, name in rows)


def test_without_categories_classes_are_the_networks_own():
    assert class_map(network(4, background=0), ()).tolist() == [0, 1, 2, 3]


def test_by_name_whatever_the_order_and_what_the_labels_lack_is_none():
    own = network(4, background=0, names=("", "cat", "dog", "cup"))

    found = class_map(own, categories((7, "cup"), (3, "cat")))

    assert found.tolist() == [NONE, 1, NONE, 0]
    assert found.dtype == np.int64


def test_names_go_before_order_and_order_before_numbers():
    named = network(2, names=("a", "b"))
    unnamed = network(3, background=0)

    assert class_map(named, categories((0, "b"), (1, "a"))).tolist() == [1, 0]
    # by number the first would be the network's second
    assert class_map(unnamed, categories((2, "x"), (1, "y"))).tolist() == [NONE, 0, 1]


@pytest.mark.parametrize(
    ("background", "wanted"),
    [(0, [NONE, 0, 1, 2]), (3, [0, 1, 2, NONE]), (1, [0, NONE, 1, 2])],
)
def test_in_order_the_background_is_left_out_wherever_it_is(background, wanted):
    found = class_map(network(4, background=background), categories((5, "a"), (9, "b"), (2, "c")))

    assert found.tolist() == wanted


def test_coco_numbers_lead_to_the_classes_of_a_network_of_91():
    found = class_map(network(91, background=0), categories((1, "person"), (18, "dog"), (90, "x")))

    assert {place: int(found[place]) for place in np.flatnonzero(found >= 0).tolist()} == {
        1: 0,
        18: 1,
        90: 2,
    }


@pytest.mark.parametrize(
    ("own", "told", "said"),
    [
        # numbers that the network has no class for
        (network(91, background=0), categories((1, "a"), (91, "b")), "90 .* 2 .* 1 to 91"),
        (network(91, background=0), categories((-1, "a"), (5, "b")), "90 .* 2 .* -1 to 5"),
        # the background is no thing
        (network(91, background=0), categories((0, "a"), (5, "b")), "90 .* 2 .* 0 to 5"),
        # more categories than classes
        (network(2), categories((0, "a"), (1, "b"), (2, "c")), "2 .* 3 .* 0 to 2"),
        # a count from 0 says where a name stands in a list, not what a network calls it
        (network(91), categories(*((n, f"voc {n}") for n in range(20))), "91 .* 20 .* 0 to 19"),
        (network(91, background=90), categories((0, "a")), "90 .* 1 .* 0 to 0"),
    ],
)
def test_what_cannot_be_told_is_refused_with_both_counts(own, told, said):
    with pytest.raises(DataError, match=f"the network tells {said}.*cannot be told"):
        class_map(own, told)


def test_names_of_which_one_is_not_the_networks_are_not_used():
    own = network(3, names=("cat", "dog", "cup"))

    with pytest.raises(DataError, match="3 classes apart and the labels have 2"):
        class_map(own, categories((0, "cat"), (1, "zebra")))
