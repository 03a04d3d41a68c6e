"""Images of data sets on disk in any order."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from data.generated_images import MakeImage, jpeg_bytes
from intaglio.data.dataset import Dataset, Item
from intaglio.data.image_samples import ImageSamples
from intaglio.data.images import batches, draw, open_dataset
from intaglio.data.order import step_indices
from intaglio.data.parquet import in_any_order
from intaglio.data.preprocess import Preprocess, apply
from intaglio.errors import DataError

SHAPE = (1, 3, 12, 12)
NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


def rows(path: Path, count: int, **options: object) -> Path:
    table = pa.table(
        {"jpeg": [jpeg_bytes(row) for row in range(count)], "label": list(range(count))}
    )
    pq.write_table(table, path, **options)
    return path


def damaged(folder: Path, make_image: MakeImage, bad: tuple[str, ...]) -> Dataset:
    for name in NAMES:
        path = make_image(f"{folder.name}/{name}")
        if name in bad:
            path.write_bytes(path.read_bytes()[:100])
    return open_dataset(folder)


def test_images_of_any_order_are_those_of_the_stream(data_pack: Path) -> None:
    dataset = draw(open_dataset(data_pack / "imagenet" / "dev2017.csv"), 8, seed=0)
    preprocess = Preprocess(None, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    (batch,) = batches(dataset, preprocess, (1, 3, 224, 224), batch_size=8)

    taken = ImageSamples(dataset, preprocess, (1, 3, 224, 224)).take([6, 0, 3])

    assert batch.labels is not None
    assert torch.equal(taken.images, batch.images[[6, 0, 3]])
    assert torch.equal(taken.labels, batch.labels[[6, 0, 3]])
    assert taken.indices == (6, 0, 3)


def test_a_batch_of_cifar_is_what_its_rows_hold(data_pack: Path) -> None:
    path = data_pack / "cifar10_jpeg" / "train.parquet"
    samples = ImageSamples(open_dataset(path), Preprocess(), (1, 3, 32, 32))
    indices = step_indices(len(samples), 64, seed=0, step=3)

    taken = samples.take(indices)

    expected = pq.read_table(path, columns=["jpeg", "label"]).take(indices).to_pylist()
    assert taken.labels.tolist() == [row["label"] for row in expected]
    for image, row in zip(taken.images, expected, strict=True):
        with Image.open(io.BytesIO(row["jpeg"])) as whole:
            assert torch.equal(image, apply(Preprocess(), whole, (1, 3, 32, 32)))


def test_images_without_labels_are_taken_without(tmp_path: Path, make_image: MakeImage) -> None:
    samples = ImageSamples(damaged(tmp_path / "x", make_image, ()), Preprocess(), SHAPE)

    taken = samples.take([2, 1])

    assert (len(samples), samples.name) == (4, "x")
    assert taken.labels is None
    assert taken.images.shape == (2, 3, 12, 12)


# Unreadable images


def test_an_unreadable_image_is_an_error_that_names_it(
    tmp_path: Path, make_image: MakeImage
) -> None:
    samples = ImageSamples(damaged(tmp_path / "x", make_image, ("c.jpg",)), Preprocess(), SHAPE)

    assert samples.take([3, 0]).indices == (3, 0)
    with pytest.raises(DataError, match=r"x/c\.jpg: truncated"):
        samples.take([1, 2])


def test_unreadable_images_are_left_out_and_named_once_where_that_was_asked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.parquet"
    contents = [jpeg_bytes(0), b"", jpeg_bytes(2), None]
    pq.write_table(pa.table({"jpeg": contents, "label": [5, 6, 7, 8]}), path)
    samples = ImageSamples(open_dataset(path), Preprocess(), SHAPE, skip_bad=True)
    assert samples.skipped == ()

    for _ in range(2):
        taken = samples.take([3, 2, 1, 0])

    assert taken.indices == (2, 0)
    assert taken.labels.tolist() == [7, 5]
    assert len(taken.images) == 2
    assert len(samples.skipped) == 2
    assert "rows.parquet row 3: not an image: the file is empty" in samples.skipped[0]
    assert samples.take([1]).images.shape == (0, 3, 12, 12)


def test_it_is_an_error_when_none_of_all_images_can_be_read(
    tmp_path: Path, make_image: MakeImage
) -> None:
    dataset = damaged(tmp_path / "x", make_image, NAMES)
    samples = ImageSamples(dataset, Preprocess(), SHAPE, skip_bad=True)

    assert samples.take([0, 1, 2]).indices == ()
    with pytest.raises(DataError, match=r"none of its 4 images can be read; the first: .*a\.jpg"):
        samples.take([3])


def test_an_image_of_another_size_is_never_passed_over(
    tmp_path: Path, make_image: MakeImage
) -> None:
    dataset = damaged(tmp_path / "x", make_image, ())
    samples = ImageSamples(dataset, Preprocess(), (1, 3, 8, 8), skip_bad=True)

    with pytest.raises(DataError, match="12x12 pixels, but the network takes 8x8"):
        samples.take([0])


# Parquet


def test_rows_are_held_so_that_the_file_is_not_read_again(tmp_path: Path) -> None:
    path = rows(tmp_path / "rows.parquet", 100, row_group_size=40)
    dataset = open_dataset(path, need_labels=True)
    names = [item.name for item in dataset.items]

    held = in_any_order(dataset)
    path.unlink()

    for row in (99, 0, 40, 39, 99):
        item = held.items[row]
        assert (item.name, item.label) == (names[row], row)
        assert str(item.source) == f"{path} row {row}"
        with item.source.open() as file:
            assert file.read() == jpeg_bytes(row)
    assert [item.label for item in held.items[97:]] == [97, 98, 99]


def test_of_a_draw_only_what_was_drawn_is_held(tmp_path: Path) -> None:
    dataset = open_dataset(rows(tmp_path / "rows.parquet", 100))
    drawn = draw(dataset, 5, seed=0)
    drawn_bytes = sum(len(jpeg_bytes(item.label or 0)) for item in drawn.items)

    held = in_any_order(drawn, held_bytes=drawn_bytes)

    assert [item.name for item in held.items] == [item.name for item in drawn.items]
    with pytest.raises(DataError, match=r"rows\.parquet: its images take more than .* GB.*shards"):
        in_any_order(dataset, held_bytes=drawn_bytes)


def test_a_corrupt_page_is_an_error_of_the_file_even_when_bad_images_are_skipped(
    tmp_path: Path,
) -> None:
    path = rows(tmp_path / "rows.parquet", 50, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(bytes(content))

    with pytest.raises(DataError, match="corrupt or truncated parquet"):
        ImageSamples(open_dataset(path), Preprocess(), SHAPE, skip_bad=True)


def test_other_data_sets_are_not_held(tmp_path: Path, make_image: MakeImage) -> None:
    dataset = damaged(tmp_path / "x", make_image, ())
    empty: list[Item] = []

    assert in_any_order(dataset) is dataset
    assert len(in_any_order(Dataset("empty", tmp_path, empty))) == 0
