"""Zip archives from outside: read when every part has its checksum, refused with what is wrong."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from intaglio.host.archive import DamagedArchive, check_contents, open_archive

PARTS = {"a/data.pkl": b"structure", "a/data/0": bytes(range(256)) * 20}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return packed(tmp_path / "a.zip", PARTS)


def packed(path: Path, parts: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    """Return the message of the refusal, of the table or of a part."""
    with pytest.raises(DamagedArchive) as caught, open_archive(path) as archive:
        check_contents(archive)
    return str(caught.value)


def test_a_sound_archive_is_read(archive):
    with open_archive(archive) as found:
        check_contents(found)
        assert {name: found.read(name) for name in found.namelist()} == PARTS


@pytest.mark.parametrize("name", PARTS)
def test_a_flipped_bit_in_any_part_is_noticed_and_names_the_part(archive, name):
    content = bytearray(archive.read_bytes())
    content[content.index(PARTS[name]) + 5] ^= 4
    archive.write_bytes(content)

    assert refusal(archive) == f"Bad CRC-32 for file '{name}'"


def test_the_checksum_is_compared_where_a_part_is_read_too(archive):
    content = bytearray(archive.read_bytes())
    content[content.index(PARTS["a/data/0"])] ^= 1
    archive.write_bytes(content)

    with pytest.raises(DamagedArchive, match="a/data/0"), open_archive(archive) as found:
        found.read("a/data/0")


def test_what_is_compressed_is_refused_and_named(tmp_path):
    path = packed(tmp_path / "a.zip", PARTS, zipfile.ZIP_DEFLATED)

    with pytest.raises(DamagedArchive, match="is compressed") as caught, open_archive(path):
        pass

    assert caught.value.compressed == "a/data.pkl"


def test_names_that_differ_in_case_alone_are_the_same_part_to_torch(tmp_path):
    path = packed(tmp_path / "a.zip", {"a/data.pkl": b"one", "a/DATA.pkl": b"two"})

    assert refusal(path) == "a part is there twice"


def test_bytes_behind_the_end_are_refused(archive):
    archive.write_bytes(archive.read_bytes() + b"more")

    assert "behind its end" in refusal(archive)


def test_parts_that_claim_more_than_the_file_has_are_refused_before_they_are_read(archive):
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        table = content.index(b"PK\x01\x02", found.start_dir)
    content[table + 20 : table + 28] = struct.pack("<II", 2**31, 2**31)
    archive.write_bytes(content)

    assert "more bytes than there are" in refusal(archive)


@pytest.mark.parametrize("keep", [0, 1, 21, 400, -1])
def test_a_cut_archive_is_refused(archive, keep):
    archive.write_bytes(archive.read_bytes()[:keep])

    assert refusal(archive)
