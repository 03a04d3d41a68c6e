"""Members of tar files: whole ones, and files that are cut, damaged or made to do harm."""

from __future__ import annotations

import io
import tarfile

import pytest

from data.made_shards import tar_bytes
from intaglio.data.tar import BrokenTar, Member, whole_members

CONTENTS = {
    "a.txt": b"x" * 700,
    "é/" + "long" * 60 + ".jpg": b"y" * 512,
    "empty": b"",
    "z": b"z" * 1300,
}
KINDS = [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT]


def read(content: bytes) -> tuple[list[Member], str]:
    """Return the whole members, and what is wrong behind them."""
    found = []
    try:
        for member in whole_members(io.BytesIO(content)):
            found.append(member)
    except BrokenTar as broken:
        return found, str(broken)
    return found, ""


def with_header(name: str, **fields: object) -> bytes:
    """Return the block of a header with these fields, its checksum right."""
    header = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(header, field, value)
    return header.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_members_are_found_where_they_lie(kind: int) -> None:
    names = {
        name if kind != tarfile.USTAR_FORMAT else name[-60:]: c for name, c in CONTENTS.items()
    }
    content = tar_bytes(names, kind=kind)

    found, wrong = read(content)

    assert wrong == ""
    assert {m.name: content[m.offset : m.offset + m.size] for m in found} == names
    assert all(member.is_file and not member.is_link for member in found)


def test_the_file_may_be_read_between_two_members() -> None:
    file = io.BytesIO(tar_bytes(CONTENTS))
    contents = []

    for member in whole_members(file):
        file.seek(member.offset)
        contents.append(file.read(member.size))

    assert contents == list(CONTENTS.values())


@pytest.mark.parametrize("content", [b"", bytes(512), tar_bytes({})])
def test_an_archive_of_nothing_has_no_members_and_nothing_wrong(content: bytes) -> None:
    assert read(content) == ([], "")


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_file_cut_at_any_place_gives_the_members_before_it(kind: int) -> None:
    content = tar_bytes(CONTENTS, kind=kind)
    whole, _ = read(content)
    end = whole[-1].offset + 1536 + 512  # the last member in whole blocks, and a block of zeros

    for kept in range(1, end, 97):
        expected = [m for m in whole if m.offset + m.size <= kept]
        assert read(content[:kept]) == (expected, "cut off")
    assert read(content[:end]) == (whole, "")


@pytest.mark.parametrize("damage", [b"\xff" * 512, b"not a header".ljust(512, b".")])
def test_a_damaged_header_ends_what_is_used_and_is_told(damage: bytes) -> None:
    content = bytearray(tar_bytes(CONTENTS))
    content[1536:2048] = damage  # behind a.txt, its header and two blocks

    found, wrong = read(bytes(content))

    assert [member.name for member in found] == ["a.txt"]
    assert wrong == "damaged"


def test_what_is_no_tar_file_has_no_members_and_is_damaged() -> None:
    assert read(b"plain text, a few lines of it\n" * 100) == ([], "damaged")
    assert read(b"short") == ([], "cut off")


def test_a_second_archive_behind_the_end_is_told() -> None:
    one = tar_bytes({"a.txt": b"a"})

    found, wrong = read(one + one)

    assert [member.name for member in found] == ["a.txt"]
    assert wrong == "another archive, which is not read, begins"


def test_links_folders_devices_and_sparse_files_are_no_files() -> None:
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE]
    sparse = tarfile.GNUTYPE_SPARSE
    blocks = [with_header("x.jpg", type=kind, linkname="/etc/passwd") for kind in (*kinds, sparse)]

    found, wrong = read(b"".join(blocks) + bytes(1024))

    assert wrong == ""
    assert [member.is_file for member in found] == [False] * 6
    assert [member.is_link for member in found] == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    "header",
    [
        with_header("x.jpg", size=-512),  # would go back, and round for ever
        with_header("x.jpg", size=-(2**40)),
        with_header("x.jpg", size=2**40),
        with_header("x.jpg", size=2**70),
        with_header("x", type=tarfile.GNUTYPE_LONGNAME, size=-1),
        with_header("x", type=tarfile.GNUTYPE_LONGNAME, size=2**33),
        with_header("x", type=tarfile.XHDTYPE, size=2**62),
        with_header("x", type=tarfile.GNUTYPE_SPARSE, size=2**62),
    ],
)
def test_a_header_that_claims_absurd_sizes_ends_the_reading(header: bytes) -> None:
    content = tar_bytes({"a.txt": b"a"})[:1024] + header + b"y" * 2048

    found, wrong = read(content)

    assert [member.name for member in found] == ["a.txt"]
    assert wrong in ("damaged", "cut off")


def test_headers_that_follow_each_other_without_end_are_damage() -> None:
    block = with_header("x", type=tarfile.GNUTYPE_LONGNAME, size=1) + b"n".ljust(512, b"\0")

    assert read(block * 3000) == ([], "damaged")
