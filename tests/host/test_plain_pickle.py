"""Pickles that would take years or end the process are told from their opcodes."""

from __future__ import annotations

import io
import pickle

import pytest
import torch

from intaglio.host.plain_pickle import check_pickle

HALVES = b"\x80\x02]q\x00)q\x01" + b"h\x01h\x01\x86q\x01" * 40 + b"."
NESTED = b"\x80\x02)" + b"\x85" * 1_000_000 + b"."


@pytest.mark.parametrize("protocol", range(2, 6))
def test_what_people_save_passes_and_the_file_is_left_behind_its_end(protocol):
    names = tuple(f"class {number}" for number in range(20_000))
    first = {"epoch": 3, "args": {"names": names, "again": [names] * 20}, "list": [[1, (2, 3)]]}
    file = io.BytesIO(pickle.dumps(first, protocol) + pickle.dumps([1], protocol) + b"rest")

    check_pickle(file)
    check_pickle(file)

    assert file.read() == b"rest"


def test_the_pickles_of_a_checkpoint_pass():
    file = io.BytesIO()
    state = torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(50)]).state_dict()
    torch.save(state, file, _use_new_zipfile_serialization=False)
    file.seek(0)

    for _ in range(5):
        check_pickle(file)


@pytest.mark.parametrize("content", [HALVES, NESTED], ids=["halves", "nested"])
def test_what_is_nested_without_end_is_refused(content):
    with pytest.raises(ValueError, match="nested without end"):
        check_pickle(io.BytesIO(content))


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x80\x02h\x05.", b"\x80\x02\x86.", b"\x80\x02t."]
)
def test_what_is_no_pickle_is_left_to_who_reads_it(content):
    check_pickle(io.BytesIO(content))
