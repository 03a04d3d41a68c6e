"""The first of pydantic's errors in one line, whatever the values are."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from intaglio.errors import RequestError
from intaglio.host.complaint import first_complaint


def complaint(kind, value):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return first_complaint(caught.value)


def test_key_value_and_what_was_expected_are_named():
    found = complaint(dict[str, list[int]], {"sizes": [1, "many"]})

    assert (found.key, found.kind, found.seen) == ("sizes.1", "int_parsing", "'many'")
    assert found.message.startswith("Input should be a valid integer")


def test_the_whole_has_no_key():
    assert complaint(int, None).key == ""


@pytest.mark.parametrize("value", ["a\nb" * 999, "\ud800\x1b[31m", "é" * 999])
def test_long_and_unprintable_values_and_keys_fit_a_line(value):
    for found in (complaint(int, value), complaint(dict[str, int], {value: "x"})):
        said = str(RequestError(f"{found.key}: {found.message}: {found.seen}"))
        assert said.isprintable()
        assert len(said) < 1000
        said.encode("utf-8")


def test_a_deeply_nested_value_is_told_by_its_kind():
    deep: list = []
    for _ in range(20_000):
        deep = [deep]

    assert complaint(int, deep).seen == "a list"
    while deep:  # freed from outside to inside: no recursion
        deep = deep.pop()
