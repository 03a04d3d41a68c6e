"""Descriptions of segmenters as JSON: the same again, and nothing else is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from intaglio.maps.as_data import as_json, from_json
from intaglio.maps.postprocess import MapPostProcess

POSTS = [
    MapPostProcess(21),
    MapPostProcess(2, output=3, names=("nothing", "Straße")),
    MapPostProcess(2, rule="threshold", scores="probabilities", threshold=0.1 + 0.2),
    MapPostProcess(255, rule="index"),
]
WRONG: list[tuple[str, object]] = [
    ("classes", 0),
    ("classes", 256),
    ("classes", True),
    ("classes", 2.0),
    ("output", -1),
    ("output", 1024),
    ("rule", "best"),
    ("rule", ["highest"]),
    ("scores", None),
    ("threshold", 1.5),
    ("threshold", "0.5"),
    ("names", "ab"),
    ("names", ["a", 1]),
    ("names", ["a"] * 256),
    ("names", ["a" * 1001, "b"]),
    ("format", 2),
    ("kind", "one_stage"),
]


def described(**changed: object) -> dict[str, Any]:
    return {**as_json(POSTS[1]), **changed}


@pytest.mark.parametrize("post", POSTS)
def test_a_description_is_the_same_after_a_file(post: MapPostProcess) -> None:
    again = from_json(json.loads(json.dumps(as_json(post), allow_nan=False)))

    assert again == post
    assert as_json(again) == as_json(post)


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_wrong_value_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{key}(\[\d\])? "):
        from_json(described(**{key: value}))


def test_a_threshold_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold is nan"):
        from_json(described(threshold=float("nan")))


def test_a_threshold_that_is_whole_is_a_number() -> None:
    assert from_json(described(threshold=1)).threshold == 1.0


def test_what_is_missing_and_what_is_unknown_is_named() -> None:
    data = described()
    del data["scores"]

    with pytest.raises(ValueError, match="missing 'scores': it must have classes, output, rule"):
        from_json(data)
    with pytest.raises(ValueError, match="unknown 'colours'"):
        from_json(described(colours=[]))


@pytest.mark.parametrize("data", [None, [], "map", 3])
def test_what_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="must be an object"):
        from_json(data)


def test_names_of_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 names of 2 classes"):
        from_json(described(names=["a", "b", "c"]))


def test_a_threshold_for_three_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="a threshold tells 2 classes apart, not 3"):
        from_json(described(rule="threshold", classes=3, names=[]))
