"""cores.json: what is written is read, and what a stranger put there is refused by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import RequestError
from intaglio.host.files import MOST_CORES
from intaglio.store.cores import MOST_VALUES, StoredCore, StoredWhole, cores_text, read_cores

FIRST = StoredCore("backbone", ("backbone", "rpn.head"), (3, 96, 128), ("backbone.0", "rpn.head.1"))
SECOND = StoredCore("roi_heads.box_head", ("roi_heads.box_head",), (256, 7, 7), ("box",))
WHOLE = StoredWhole((FIRST, SECOND), "pictures", ((3, 96, 128), (3, 100, 80)))
PLAIN = json.loads(cores_text(WHOLE))
Change = Callable[[dict[str, Any]], object]


def written(folder: Path, content: object) -> Path:
    path = folder / "cores.json"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert read_cores(written(tmp_path, cores_text(WHOLE))) == WHOLE


def test_the_same_cores_are_the_same_text_and_a_person_can_read_it() -> None:
    assert cores_text(copy.deepcopy(WHOLE)) == cores_text(WHOLE)
    assert '"takes": "pictures"' in cores_text(WHOLE)
    assert cores_text(WHOLE).endswith("}\n")


def test_where_there_is_no_file_there_is_nothing(tmp_path: Path) -> None:
    assert read_cores(tmp_path / "cores.json") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one.pop("cores"), "cores: "),
        (lambda one: one.update(cores=[]), "cores: "),
        (lambda one: one.update(cores=one["cores"] * MOST_CORES), "cores: "),
        (lambda one: one.update(takes="a list"), "takes: .*'a list'"),
        (lambda one: one.update(shapes=[]), "shapes: "),
        (lambda one: one.update(format=2), "format: "),
        (lambda one: one["cores"][1].pop("places"), r"cores\.1\.places: "),
        (lambda one: one["cores"][0].update(name=3), r"cores\.0\.name: "),
        (lambda one: one["cores"][0]["input_shape"].append(0), r"cores\.0\.input_shape\.3: "),
        (lambda one: one["cores"][0]["input_shape"].append("8"), r"cores\.0\.input_shape\.3: "),
        (lambda one: one["cores"][0].update(outputs="box"), r"cores\.0\.outputs: "),
        (lambda one: one["cores"][1].update(name="backbone"), "two cores have one name"),
        (lambda one: one.update(takes="tensor"), "one tensor has 2 shapes"),
        (lambda one: one.update(shapes=[[3, 2**31 - 1, 9]]), f"more than {MOST_VALUES} values"),
        (lambda one: one.update(shapes=[[1, 2**28], [1]]), f"more than {MOST_VALUES} values"),
        (lambda one: one.update(shapes=[[1] * 9]), r"shapes\.0: "),
    ],
)
def test_a_wrong_value_is_refused_with_the_file_and_its_place(
    tmp_path: Path, change: Change, said: str
) -> None:
    content = copy.deepcopy(PLAIN)
    change(content)
    path = written(tmp_path, content)

    with pytest.raises(RequestError, match=said) as caught:
        read_cores(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < len(str(path)) + 300


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"cores": NaN}', '{"a": 1, "a": 2}'])
def test_what_is_no_object_of_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RequestError, match=r"cores\.json"):
        read_cores(written(tmp_path, text))


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Return where every value of nested lists and dicts stands."""
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    if not isinstance(value, dict | list):
        return found
    for key, one in inner:
        found += places(one, (*path, key)) if isinstance(one, dict | list) else [(*path, key)]
    return found


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.lists(st.integers(-2, 9), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(deadline=None)
@given(place=st.sampled_from(places(PLAIN)), junk=JUNK)
def test_with_any_value_replaced_the_file_is_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], junk: object
) -> None:
    content = copy.deepcopy(PLAIN)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = junk
    path = written(tmp_path_factory.mktemp("fuzz"), content)

    try:
        found = read_cores(path)
    except RequestError as error:
        assert str(path) in str(error)  # noqa: PT017 - nothing else may be raised
    else:
        assert isinstance(found, StoredWhole)
        assert json.loads(cores_text(found))["cores"]
