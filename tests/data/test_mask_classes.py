"""Categories of a data set as classes of a network, by name."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from intaglio.data.coco_masks import coco_mask_categories
from intaglio.data.mask import IGNORED
from intaglio.data.mask_classes import SYNONYMS, class_table, unmatched
from intaglio.data.truth import Category
from intaglio.errors import DataError

VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip


def categories(*names: str) -> tuple[Category, ...]:
    return tuple(Category(index, name) for index, name in enumerate(names))


def test_a_category_is_the_class_of_its_name_wherever_that_stands() -> None:
    found = class_table(categories("background", "dog", "cat"), ["cat", "background", "dog"])

    assert found.tolist() == [1, 2, 0]
    assert found.dtype.name == "uint8"


def test_all_of_voc_is_found_among_the_names_of_coco_and_the_reverse(data_pack) -> None:
    coco = coco_mask_categories(data_pack / "coco128" / "instances.json")

    there, back = class_table(coco, VOC), class_table(categories(*VOC), [one.name for one in coco])

    assert set(there.tolist()) == set(range(21))
    assert IGNORED not in there
    assert [there[index] for index in back] == list(range(21))
    assert coco[int(back[11])].name == "dining table"


@pytest.mark.parametrize("names", SYNONYMS)
def test_synonyms_spaces_hyphens_and_capitals_make_no_difference(names: Sequence[str]) -> None:
    for name in names:
        for spelt in (name, name.upper(), f"{name[:2]} {name[2:]}", f"{name[:2]}-{name[2:]}"):
            assert class_table(categories("x", spelt), ["y", names[0]]).tolist() == [IGNORED, 1]


def test_the_very_same_name_goes_before_a_synonym() -> None:
    assert class_table(categories("sofa", "couch"), ["couch", "sofa"]).tolist() == [1, 0]
    assert class_table(categories("couch"), ["car", "sofa"]).tolist() == [1]


def test_what_is_no_class_becomes_the_background_or_is_ignored_without_one() -> None:
    given = categories("background", "dog", "unicorn")

    assert class_table(given, ["background", "dog"]).tolist() == [0, 1, 0]
    assert class_table(given, ["dog", "cat"]).tolist() == [IGNORED, 0, IGNORED]


def test_what_has_no_partner_is_told_on_both_sides() -> None:
    given = categories("background", "dog", "unicorn", "a", "b", "c", "d")

    assert unmatched(given, ["background", "dog", "cat"]) == (
        "5 of 7 categories are no class of the network and count as its background: unicorn, a, b,"
        " c, ...",
        "1 of 3 classes of the network have no labels: cat",
    )
    assert unmatched(given[1:3], ["dog"]) == (
        "1 of 2 categories are no class of the network and count as ignored: unicorn",
    )
    assert unmatched(given[:2], ["background", "dog"]) == ()


def test_labels_of_no_class_at_all_are_refused_with_names_of_both() -> None:
    for names in (["cat", "cow"], ["background", "cow"]):
        with pytest.raises(DataError, match=r"none of the 2 categories .*background, dog.*cow"):
            class_table(categories("background", "dog"), names)


def test_without_categories_the_table_is_empty() -> None:
    assert class_table((), VOC).tolist() == []
