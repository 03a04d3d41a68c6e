"""JSON of files: what other readers would guess at is refused in one line."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.host.strict_json import parse_json, read_json

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(PLAIN)
def test_plain_json_is_read_as_it_is(value):
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', "key 'a' is there twice"),
        (b'[{"a": {"b": 1, "b": 1}}]', "key 'b' is there twice"),
        (b"[NaN]", "NaN is not a number"),
        (b"-Infinity", "-Infinity is not a number"),
        (b"[1e999]", "1e999 is beyond float64"),
        (b"9223372036854775808", "beyond int64"),
        (b"9" * 5000, "beyond int64"),
        (b"-" + b"9" * 100_000, "beyond int64"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\uDFFF": 1}', "surrogate"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'"\xff"', "byte 1 is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"", "Expecting value"),
        (b"{} {}", "Extra data"),
    ],
)
def test_what_is_no_plain_json_is_refused_in_one_line(content, said):
    with pytest.raises(ValueError, match=said) as refusal:
        parse_json(content)

    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 200


def test_a_whole_surrogate_pair_is_text():
    assert parse_json(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


def test_many_keys_one_of_them_twice_are_refused_at_once():
    pairs = ",".join(f'"{index}":0' for index in range(20_000))

    with pytest.raises(ValueError, match="key '19999' is there twice"):
        parse_json(f'{{{pairs},"19999":1}}'.encode())


def test_files_that_are_too_large_or_none_are_refused(tmp_path):
    (tmp_path / "long").write_bytes(b"[" + b"0," * 100 + b"0]")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer

    with pytest.raises(ValueError, match="203 bytes, more than 100"):
        read_json(tmp_path / "long", 100)
    for name in ("pipe", "."):
        with pytest.raises(ValueError, match="not a file"):
            read_json(tmp_path / name)
    with pytest.raises(OSError, match="nowhere"):
        read_json(tmp_path / "nowhere")
