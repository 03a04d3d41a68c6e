"""Opening folders, manifests and parquet files; drawing; labels."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.generated_images import MakeImage, jpeg_bytes
from intaglio.data.dataset import FileSource
from intaglio.data.images import Dataset, Item, check_labels, draw, open_dataset
from intaglio.errors import DataError, RequestError


def listed(dataset: Dataset) -> list[tuple[str, int | None]]:
    return [(item.name, item.label) for item in dataset.items]


def numbered(count: int) -> Dataset:
    """A data set of nothing but names; its files do not exist."""
    items = [Item(f"{index}", index, FileSource(f"/nowhere/{index}")) for index in range(count)]
    return Dataset("numbered", Path("/nowhere"), items)


def write_parquet(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


# Folders


def test_a_plain_folder_gives_its_images_sorted_and_without_labels(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("b.png", "A.PNG", "c.JPeG", ".hidden.png"):
        make_image(name)
    (tmp_path / "notes.txt").write_text("no image")

    assert listed(open_dataset(tmp_path)) == [("A.PNG", None), ("b.png", None), ("c.JPeG", None)]


def test_class_folders_get_indices_by_sorted_name_even_when_the_names_are_numbers(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("9/a.png", "10/z.png", "10/b.png", "10/more/c.png", ".cache/x.png"):
        make_image(name)
    (tmp_path / "7").mkdir()

    assert listed(open_dataset(str(tmp_path), need_labels=True)) == [
        ("10/b.png", 0),
        ("10/z.png", 0),
        ("10/more/c.png", 0),
        ("9/a.png", 2),
    ]


def test_a_folder_with_images_and_class_folders_is_ambiguous(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image("a.png")
    make_image("cat/b.png")

    with pytest.raises(DataError, match=r"'a\.png'.*'cat/b\.png'.*unclear"):
        open_dataset(tmp_path)


def test_an_empty_folder_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("")

    with pytest.raises(DataError, match=r"no image found .*\.jpg \.jpeg \.png"):
        open_dataset(tmp_path)


def test_a_link_back_to_the_folder_does_not_lead_in_circles(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image("cat/a.png")
    os.symlink(tmp_path, tmp_path / "cat" / "up")

    assert listed(open_dataset(tmp_path)) == [("cat/a.png", 0)]


@pytest.mark.parametrize("name", ["missing", "missing.csv", "x" * 5000, "nul\0nul"])
def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"no such file or folder|cannot be opened"):
        open_dataset(tmp_path / name)


def test_another_kind_of_file_is_refused_with_the_kinds_there_are(make_image: MakeImage) -> None:
    with pytest.raises(DataError, match=r"not a data set; give a folder.*\.csv.*\.parquet"):
        open_dataset(make_image("a.png"))


def test_needed_labels_that_are_not_there_are_an_error_with_a_remedy(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image("plain/a.png")
    manifest = tmp_path / "list.csv"
    manifest.write_text("file\nplain/a.png\n")
    parquet = write_parquet(tmp_path / "rows.parquet", jpeg=[jpeg_bytes(0)])

    for path, remedy in (
        (tmp_path / "plain", "one folder for each class"),
        (manifest, "add the column class_index"),
        (parquet, "add the column label"),
    ):
        assert not open_dataset(path).labelled
        with pytest.raises(DataError, match=remedy):
            open_dataset(path, need_labels=True)


# Manifests


def test_a_manifest_keeps_its_order_and_takes_quoted_absolute_and_outer_paths(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image("lists/b, c.png")
    outer = make_image("é.png")
    manifest = tmp_path / "lists" / "all.CSV"
    text = f'class_index,file,note\n5,"b, c.png","two\nlines"\n0,../é.png,\n\n7,{outer},x'
    manifest.write_text(text, encoding="utf-8-sig")

    dataset = open_dataset(manifest, need_labels=True)

    assert listed(dataset) == [("b, c.png", 5), ("../é.png", 0), (str(outer), 7)]
    assert dataset.name == "all.CSV"
    assert len(dataset) == 3


def test_the_manifests_of_the_data_pack_open(data_pack: Path) -> None:
    counts = {"val227": 650, "dev2017": 500, "calib": 1000, "judge": 1150}

    for name, count in counts.items():
        dataset = open_dataset(data_pack / "imagenet" / f"{name}.csv", need_labels=True)
        assert len(dataset) == count
        check_labels(dataset, 1000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; its first line must be file"),
        (b"file,class_index\n", "headings and no further line"),
        (b"name,class_index\na.png,1\n", "line 1 has no column 'file'"),
        (b"file,file\na.png,a.png\n", "line 1 has the column 'file' twice"),
        (b"file,class_index\na.png,1\na.png\n", "line 3 has 1 fields, the first line has 2"),
        (b"file,class_index\na.png,1,2\n", "line 2 has 3 fields"),
        (b'file,class_index\n"a.png,1\n', "is not CSV"),
        (b'file,class_index\n"a.png"x,1\n', "line 2 is not CSV"),
        (b"file,class_index\na.png,\xff\n", "not UTF-8"),
        (b"\x00\x01\x02\xfe", "not UTF-8|no column"),
        (b"file,class_index\na.png,cat\n", "line 2: class_index 'cat' is not a whole number"),
        (b"file,class_index\na.png,\n", "line 2: class_index '' is not a whole number"),
        (b"file,class_index\na.png,1.0\n", "line 2: class_index '1.0' is not a whole"),
        (b"file,class_index\na.png,1_0\n", "line 2: class_index '1_0' is not a whole"),
        (b"file,class_index\na.png,-1\n", "line 2: class_index -1 is out of range"),
        (b"file,class_index\na.png,%s\n" % (b"9" * 5000), "line 2: class_index 9+ is out of range"),
        (b"file,class_index\na.png,1\nb.png,1\n", "line 3: there is no file 'b.png' in"),
        (b"file,class_index\n,1\n", "line 2: there is no file ''"),
        (b"file\n%s\n" % (b"a" * 5000), "line 2: there is no file"),
    ],
)
def test_a_broken_manifest_is_an_error_that_names_file_and_line(
    tmp_path: Path, make_image: MakeImage, content: bytes, message: str
) -> None:
    make_image("a.png")
    manifest = tmp_path / "list.csv"
    manifest.write_bytes(content)

    with pytest.raises(DataError, match=message) as caught:
        open_dataset(manifest)

    assert str(manifest) in str(caught.value)


# Parquet


def test_a_parquet_file_gives_its_rows_in_any_order_and_across_row_groups(tmp_path: Path) -> None:
    contents = [jpeg_bytes(row) for row in range(150)]
    table = pa.table({"label": [row % 7 for row in range(150)], "jpeg": contents})
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path, row_group_size=70)

    dataset = open_dataset(path, need_labels=True)

    for row in (*range(150), 149, 3, 70, 69, 71, 0):
        item = dataset.items[row]
        assert item.label == row % 7
        with item.source.open() as file:
            assert file.read() == contents[row]
    assert dataset.items[-1].name == "rows.parquet row 149"
    assert [item.name for item in dataset.items[148:]] == [
        "rows.parquet row 148",
        "rows.parquet row 149",
    ]
    with pytest.raises(IndexError):
        dataset.items[150]


def test_the_parquet_file_of_the_data_pack_opens(data_pack: Path) -> None:
    path = data_pack / "cifar10_jpeg" / "test.parquet"
    expected = pq.read_table(path, columns=["jpeg", "label"]).slice(9_990).to_pylist()

    dataset = open_dataset(path, need_labels=True)

    assert len(dataset) == 10_000
    check_labels(dataset, 10)
    for item, row in zip(dataset.items[9_990:], expected, strict=True):
        with item.source.open() as file:
            assert (item.label, file.read()) == (row["label"], row["jpeg"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [b"x"], "label": [1]}, "needs one column 'jpeg'.* it has image, label"),
        ({"jpeg": ["text"], "label": [1]}, "'jpeg' holds string, not bytes"),
        ({"jpeg": [b"x"], "label": ["cat"]}, "'label' holds string, not whole numbers"),
        ({"jpeg": [b"x"], "label": [1.5]}, "'label' holds double, not whole numbers"),
        ({"jpeg": [b"x", b"x"], "label": [1, None]}, "row 1: the label is missing"),
        ({"jpeg": [b"x", b"x"], "label": [1, -1]}, "row 1: label -1 is out of range"),
        ({"jpeg": [b"x"], "label": [2**40]}, "row 0: label 1099511627776 is out of range"),
        ({"jpeg": pa.array([], pa.binary())}, "the file has no rows"),
    ],
)
def test_a_parquet_file_with_wrong_columns_is_an_error(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    path = write_parquet(tmp_path / "rows.parquet", **columns)

    with pytest.raises(DataError, match=message):
        open_dataset(path)


@pytest.mark.parametrize("kept", [0, 3, 40, 200, -1, -9, -100])
def test_a_truncated_parquet_file_is_an_error(tmp_path: Path, kept: int) -> None:
    path = write_parquet(tmp_path / "rows.parquet", jpeg=[jpeg_bytes(0)] * 9, label=[1] * 9)
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(DataError, match=r"rows\.parquet: corrupt or truncated parquet file"):
        open_dataset(path)


# Drawing and checking


def test_drawing_is_seeded_without_replacement_and_in_the_order_of_the_data_set() -> None:
    dataset = numbered(1000)

    drawn = [item.label for item in draw(dataset, 100, seed=3).items]

    assert drawn == [item.label for item in draw(dataset, 100, seed=3).items]
    assert drawn == sorted(set(drawn))
    assert len(drawn) == 100
    assert drawn != [item.label for item in draw(dataset, 100, seed=4).items]


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    dataset = numbered(300)

    smaller, larger = ({i.name for i in draw(dataset, n, seed=0).items} for n in (20, 50))

    assert smaller < larger


def test_every_image_is_drawn_equally_often() -> None:
    dataset = numbered(10)
    counts = [0] * 10

    for seed in range(2000):
        for item in draw(dataset, 3, seed).items:
            counts[int(item.name)] += 1

    # Expected 600 each, standard deviation sqrt(2000 * 0.3 * 0.7) = 20.5; the seeds are fixed.
    assert all(abs(count - 600) < 5 * 20.5 for count in counts)


@pytest.mark.parametrize("limit", [None, 10, 11])
def test_all_images_are_taken_in_order_when_there_are_no_more(limit: int | None) -> None:
    assert listed(draw(numbered(10), limit, seed=0)) == listed(numbered(10))


def test_a_draw_can_be_drawn_from_and_cut() -> None:
    once = draw(numbered(100), 50, seed=0)

    assert set(listed(draw(once, 10, seed=1))) < set(listed(once))
    assert [item.name for item in once.items[:3]] == [once.items[i].name for i in range(3)]


@pytest.mark.parametrize("limit", [0, -5])
def test_a_draw_of_nothing_is_refused(limit: int) -> None:
    with pytest.raises(RequestError, match=f"limit of {limit} images"):
        draw(numbered(3), limit, seed=0)


def test_a_class_index_beyond_the_outputs_is_an_error_that_names_the_image() -> None:
    check_labels(numbered(10), 10)

    with pytest.raises(DataError, match=r"class index 8 of '8' .* 8 outputs, 0 to 7 \(2 of 10"):
        check_labels(numbered(10), 8)


def test_without_labels_there_is_nothing_to_check() -> None:
    item = Item("a", None, FileSource("/nowhere/a"))

    check_labels(Dataset("one", Path("/nowhere"), [item]), 1)
