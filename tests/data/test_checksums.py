"""Checksums that a format has are compared, so that damage is not another image."""

from __future__ import annotations

import zlib
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from data.generated_images import jpeg_bytes, noise
from intaglio.data.dataset import FileSource, Item
from intaglio.data.decode import UnreadableImage, decode
from intaglio.data.images import open_dataset
from intaglio.errors import DataError


def decoded(path: Path) -> bytes:
    return decode(Item("image", None, FileSource(str(path))), 3).tobytes()


def with_pixels(content: bytes, pixels: bytes) -> bytes:
    """Return a PNG whose one chunk of pixels holds other bytes, under its old checksum."""
    start = content.index(b"IDAT") + 4
    size = int.from_bytes(content[start - 8 : start - 4], "big")
    return content[:start] + pixels + content[start + size :]


def test_pixels_of_a_png_that_were_changed_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise(0).save(path)
    content = path.read_bytes()
    assert decoded(path) == noise(0).tobytes()

    start = content.index(b"IDAT") + 4
    for at in (start, start + 100, content.index(b"IEND") - 9, content.index(b"IEND") - 5):
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(changed)
        with pytest.raises(UnreadableImage, match="truncated, corrupt or unreadable"):
            decoded(path)


def test_another_image_under_the_old_checksum_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise(0).save(path)
    content = path.read_bytes()
    start = content.index(b"IDAT") + 4
    raw = bytearray(zlib.decompress(content[start : content.index(b"IEND") - 8]))
    raw[40] ^= 8
    other = zlib.compress(bytes(raw), 0)
    changed = with_pixels(content, other)
    sized = changed.index(b"IDAT")
    path.write_bytes(changed[: sized - 4] + len(other).to_bytes(4, "big") + changed[sized:])

    with pytest.raises(UnreadableImage, match="a checksum of its pixels is wrong"):
        decoded(path)


def test_a_png_in_several_chunks_with_text_between_and_behind_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise(0, 64, 64).save(path)
    content = path.read_bytes()
    start, end = content.index(b"IDAT") + 4, content.index(b"IEND") - 8
    pixels = content[start:end]
    parts = [pixels[at : at + 1000] for at in range(0, len(pixels), 1000)]
    assert len(parts) > 2
    note = chunk(b"tEXt", b"Comment\0by hand")
    chunks = [note, *(chunk(b"IDAT", part) for part in parts), note]
    path.write_bytes(content[: start - 8] + b"".join(chunks) + content[end + 4 :] + b"behind")

    assert decoded(path) == noise(0, 64, 64).tobytes()


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + kind + content + checksum


def test_a_changed_page_of_a_parquet_file_with_checksums_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    images = [jpeg_bytes(seed) for seed in range(3)]
    table = pyarrow.table({"jpeg": images, "label": [0, 1, 2]})
    pyarrow.parquet.write_table(table, path, compression="none", write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[content.index(images[1]) + 200] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match="corrupt or truncated parquet"):
        open_dataset(path).items[1].source.open()
