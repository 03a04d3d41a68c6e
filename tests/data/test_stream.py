"""Batches: values, bounded memory, the thread's end, and unreadable images."""

from __future__ import annotations

import io
import itertools
import struct
import threading
import time
import weakref
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageFile

from data.generated_images import MakeImage, jpeg_bytes, noise
from intaglio.data.images import Batch, Dataset, Item, batches, draw, open_dataset
from intaglio.data.preprocess import Preprocess, apply
from intaglio.errors import DataError, IntaglioError, RequestError

SHAPE = (1, 3, 12, 12)


@dataclass(frozen=True)
class CountingSource:
    """An image in memory that notes in `opened` each time it is read."""

    content: bytes
    opened: list[int] = field(compare=False)

    def open(self) -> IO[bytes]:
        self.opened.append(1)
        return io.BytesIO(self.content)


def counted(count: int) -> tuple[Dataset, list[int]]:
    opened: list[int] = []
    items = [Item(f"{i}", i, CountingSource(jpeg_bytes(i), opened)) for i in range(count)]
    return Dataset("counted", Path("counted"), items), opened


def image_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("intaglio-images")]


def wait_until_threads_end() -> bool:
    deadline = time.monotonic() + 5
    while image_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not image_threads()


def wait_until_still(opened: list[int]) -> int:
    """Return how many images were read once the thread has come to rest."""
    seen = -1
    while seen != len(opened):
        seen = len(opened)
        time.sleep(0.1)
    return seen


def damaged_folder(folder: Path, make_image: MakeImage) -> Path:
    """Four good images and one that lacks its second half, in the middle."""
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"):
        make_image(f"{folder.name}/{name}")
    content = (folder / "c.jpg").read_bytes()
    (folder / "c.jpg").write_bytes(content[: len(content) // 2])
    return folder


# Values


def test_batches_hold_all_images_in_order_with_their_labels(data_pack: Path) -> None:
    dataset = draw(open_dataset(data_pack / "imagenet" / "dev2017.csv"), 10, seed=0)
    preprocess = Preprocess(None, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    found = list(batches(dataset, preprocess, (1, 3, 224, 224), batch_size=4))

    assert [len(batch.names) for batch in found] == [4, 4, 2]
    assert [name for batch in found for name in batch.names] == [i.name for i in dataset.items]
    labels = torch.cat([batch.labels for batch in found if batch.labels is not None])
    assert labels.dtype == torch.int64
    assert labels.tolist() == [item.label for item in dataset.items]
    for row, item in enumerate(dataset.items):
        with Image.open(data_pack / "imagenet" / item.name) as image:
            expected = apply(preprocess, image, (1, 3, 224, 224))
        assert torch.equal(found[row // 4].images[row % 4], expected)


def test_the_same_parquet_file_gives_the_same_tensors_twice(data_pack: Path) -> None:
    path = data_pack / "cifar10_jpeg" / "test.parquet"

    first, second = (
        list(batches(draw(open_dataset(path), 200, 7), Preprocess(), (1, 3, 32, 32), batch_size=64))
        for _ in range(2)
    )

    assert len(first) == 4
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.images, other.images)
        assert one.names == other.names


def test_images_without_labels_make_batches_without_labels(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image("a.png")

    (batch,) = batches(open_dataset(tmp_path), Preprocess(), SHAPE, batch_size=8)

    assert batch.labels is None
    assert torch.equal(batch.images[0], apply(Preprocess(), noise(sum(b"a.png")), SHAPE))


def test_a_network_with_one_channel_gets_one_channel(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("a.png")

    (batch,) = batches(open_dataset(tmp_path), Preprocess(), (1, 1, 12, 12), batch_size=8)

    expected = np.asarray(noise(sum(b"a.png")).convert("L")).astype(np.float32) / np.float32(255)
    assert np.array_equal(batch.images.numpy(), expected[None, None])


def test_the_orientation_tag_of_a_camera_is_not_obeyed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    noise(0).save(tmp_path / "plain.png")
    noise(0).save(tmp_path / "tagged.png", exif=exif)

    (batch,) = batches(open_dataset(tmp_path), Preprocess(), SHAPE, batch_size=2)

    assert torch.equal(batch.images[0], batch.images[1])


@pytest.mark.parametrize("ending", ["bmp", "webp", "tif", "ppm", "png"])
def test_lossless_formats_give_the_same_pixels(tmp_path: Path, ending: str) -> None:
    options = {"lossless": True} if ending == "webp" else {}
    noise(0).save(tmp_path / f"image.{ending}", **options)

    (batch,) = batches(open_dataset(tmp_path), Preprocess(), SHAPE, batch_size=1)

    assert torch.equal(batch.images[0], apply(Preprocess(), noise(0), SHAPE))


def test_the_content_tells_the_format_not_the_name(tmp_path: Path) -> None:
    noise(0).save(tmp_path / "really_png.jpg", "PNG")

    (batch,) = batches(open_dataset(tmp_path), Preprocess(), SHAPE, batch_size=1)

    assert torch.equal(batch.images[0], apply(Preprocess(), noise(0), SHAPE))


# Memory and threads


@pytest.mark.slow
def test_decoding_is_never_more_than_two_batches_ahead() -> None:
    dataset, opened = counted(60)
    stream = batches(dataset, Preprocess(), SHAPE, batch_size=5)

    for taken, _ in enumerate(itertools.islice(stream, 6), start=1):
        assert wait_until_still(opened) == 5 * (taken + 2)
    stream.close()


def test_batches_that_were_used_are_let_go() -> None:
    dataset, _ = counted(100)
    taken: list[weakref.ref[Batch]] = []

    for batch in batches(dataset, Preprocess(), SHAPE, batch_size=2):
        taken.append(weakref.ref(batch))
        assert sum(reference() is not None for reference in taken) == 1

    assert len(taken) == 50


def test_nothing_is_decoded_before_the_first_batch_is_asked_for() -> None:
    dataset, opened = counted(4)

    with batches(dataset, Preprocess(), SHAPE, batch_size=2):
        assert wait_until_still(opened) == 0


def test_the_thread_ends_with_the_last_batch() -> None:
    dataset, _ = counted(9)
    stream = batches(dataset, Preprocess(), SHAPE, batch_size=2)

    assert len(list(stream)) == 5

    assert not image_threads()
    assert list(stream) == []


def test_the_thread_ends_when_the_consumer_breaks_off() -> None:
    dataset, opened = counted(1000)

    for _ in batches(dataset, Preprocess(), SHAPE, batch_size=2):
        break

    assert wait_until_threads_end()
    assert len(opened) <= 6


def test_the_thread_ends_with_close_and_with_the_with_block() -> None:
    dataset, _ = counted(100)

    with batches(dataset, Preprocess(), SHAPE, batch_size=2) as stream:
        next(stream)
    stream.close()

    assert not image_threads()
    assert list(stream) == []


def test_the_thread_ends_with_an_error_which_the_consumer_gets(
    tmp_path: Path, make_image: MakeImage
) -> None:
    dataset = open_dataset(damaged_folder(tmp_path / "images", make_image))
    stream = batches(dataset, Preprocess(), SHAPE, batch_size=2)

    assert len(next(stream).names) == 2
    with pytest.raises(DataError):
        next(stream)

    assert not image_threads()
    assert list(stream) == []


# Errors


def test_a_truncated_image_is_an_error_that_names_the_file_and_the_way_on(
    tmp_path: Path, make_image: MakeImage
) -> None:
    dataset = open_dataset(damaged_folder(tmp_path / "images", make_image))

    with pytest.raises(DataError, match=r"images/c\.jpg: truncated.*--skip-bad-images"):
        list(batches(dataset, Preprocess(), SHAPE, batch_size=2))


def test_unreadable_images_are_skipped_counted_and_named_when_asked(
    tmp_path: Path, make_image: MakeImage
) -> None:
    dataset = open_dataset(damaged_folder(tmp_path / "images", make_image))
    stream = batches(dataset, Preprocess(), SHAPE, batch_size=2, skip_bad=True)

    names = [batch.names for batch in stream]

    assert names == [("a.jpg", "b.jpg"), ("d.jpg", "e.jpg")]
    assert [skipped.name for skipped in stream.skipped] == ["c.jpg"]
    assert "truncated" in stream.skipped[0].reason


def test_labels_stay_with_their_images_when_some_are_skipped(tmp_path: Path) -> None:
    contents = [jpeg_bytes(0), b"", jpeg_bytes(2), None, jpeg_bytes(4)]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"jpeg": contents, "label": [0, 1, 2, 3, 4]}), path)
    stream = batches(open_dataset(path), Preprocess(), SHAPE, batch_size=8, skip_bad=True)

    (batch,) = stream

    assert batch.labels is not None
    assert batch.labels.tolist() == [0, 2, 4]
    assert [skipped.name for skipped in stream.skipped] == [
        "rows.parquet row 1",
        "rows.parquet row 3",
    ]


def test_it_is_an_error_when_all_images_are_unreadable(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", "c.gif.jpg"):
        (tmp_path / name).write_bytes(b"GIF89a is not read")
    dataset = open_dataset(tmp_path)

    with pytest.raises(DataError, match=r"none of its 3 images can be read; the first: .*a\.jpg"):
        list(batches(dataset, Preprocess(), SHAPE, batch_size=2, skip_bad=True))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "PPM"])
def test_a_file_cut_off_at_any_place_is_an_error(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    noise(1, 40, 40).save(buffer, kind)
    whole = buffer.getvalue()
    file = tmp_path / "cut.png"

    for kept in range(0, len(whole) - 30, max(1, len(whole) // 25)):
        file.write_bytes(whole[:kept])
        with pytest.raises(DataError, match=r"cut\.png"):
            list(batches(open_dataset(tmp_path), Preprocess(), (1, 3, 40, 40), batch_size=1))


def test_a_file_that_vanished_counts_as_unreadable(tmp_path: Path, make_image: MakeImage) -> None:
    gone = make_image("a.png")
    make_image("b.png")
    dataset = open_dataset(tmp_path)
    gone.unlink()

    with pytest.raises(DataError, match=r"a\.png: .*No such file"):
        list(batches(dataset, Preprocess(), SHAPE, batch_size=2))
    assert len(list(batches(dataset, Preprocess(), SHAPE, batch_size=2, skip_bad=True))) == 1


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises width x height pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 20_000, 1_000_000])
def test_an_image_that_claims_huge_dimensions_is_an_error_without_a_warning(
    tmp_path: Path, side: int
) -> None:
    (tmp_path / "bomb.png").write_bytes(png_that_claims(side, side))

    with pytest.raises(DataError, match=rf"bomb\.png: {side}x{side} pixels, more than"):
        list(batches(open_dataset(tmp_path), Preprocess(), SHAPE, batch_size=1))


def test_an_image_too_small_is_an_error_even_when_bad_ones_are_skipped(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image("a.png")
    dataset = open_dataset(tmp_path)

    with pytest.raises(DataError, match=r"a\.png: the image is 12x12 pixels, too small"):
        list(batches(dataset, Preprocess(crop=16), (1, 3, 16, 16), batch_size=1, skip_bad=True))


def test_a_corrupt_page_of_a_parquet_file_is_an_error_even_when_bad_images_are_skipped(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"jpeg": [jpeg_bytes(row) for row in range(50)]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(bytes(content))

    with pytest.raises(DataError, match="corrupt or truncated parquet"):
        list(batches(open_dataset(path), Preprocess(), SHAPE, batch_size=4, skip_bad=True))


def test_it_is_refused_to_work_while_pillow_accepts_truncated_images(
    tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image("a.png")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)

    with pytest.raises(RequestError, match="LOAD_TRUNCATED_IMAGES"):
        list(batches(open_dataset(tmp_path), Preprocess(), SHAPE, batch_size=1, skip_bad=True))


def test_a_batch_of_nothing_and_a_network_without_images_are_refused_at_once() -> None:
    dataset, _ = counted(1)

    with pytest.raises(RequestError, match="batch of 0"):
        batches(dataset, Preprocess(), SHAPE, batch_size=0)
    with pytest.raises(IntaglioError, match="cannot feed a network"):
        batches(dataset, Preprocess(), (1, 7), batch_size=1)
