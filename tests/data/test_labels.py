"""Names of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.box_files import coco, write_coco
from data.generated_images import MakeImage
from intaglio.data.images import open_dataset
from intaglio.data.labels import class_names, names_of
from intaglio.errors import DataError


def test_the_data_pack_tells_its_names(data_pack: Path) -> None:
    imagenet = class_names(data_pack / "imagenet" / "val227.csv")
    cifar = class_names(data_pack / "cifar10_jpeg" / "test.parquet")

    assert imagenet is not None
    assert len(imagenet) == 1000
    assert imagenet[1] == "goldfish, Carassius auratus"
    assert cifar is not None
    assert cifar[3] == "cat"
    assert len(cifar) == 10


def test_class_folders_are_the_names_in_the_order_of_the_indices(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("zebra/a.png", "ant/b.png"):
        make_image(name)
    (tmp_path / "bee").mkdir()

    names = class_names(tmp_path)

    assert names == ["ant", "bee", "zebra"]
    for item in open_dataset(tmp_path).items:
        assert item.label is not None
        assert item.name.startswith(names[item.label])


def test_where_nothing_tells_the_names_there_are_none(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image("a.png")
    (tmp_path / "classes.csv").write_text("class_index,name\n0,cat\n")

    assert class_names(tmp_path) is None
    assert class_names(tmp_path / "rows.parquet") is None
    assert class_names(tmp_path / "elsewhere" / "list.csv") is None


def test_names_may_stand_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text('name,class_index\n"dog, large",1\ncat,0\n')

    assert class_names(tmp_path / "list.csv") == ["cat", "dog, large"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class_index,name\n0,cat\n2,dog\n", "class_index 1 is missing"),
        ("class_index,name\n0,cat\n0,dog\n", "line 3: class_index 0 is there twice"),
        ("class_index,wnid\n0,n1\n", "no column 'name'"),
        ("class_index,name\nx,cat\n", "line 2: class_index 'x'"),
    ],
)
def test_a_broken_list_of_names_beside_a_manifest_is_an_error(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "classes.csv").write_text(text)

    with pytest.raises(DataError, match=message):
        class_names(tmp_path / "list.csv")


@pytest.mark.parametrize("text", ['["cat", 3]', '{"0": "cat"}', "[", "[" * 100_000, '"cat"'])
def test_a_broken_list_of_names_beside_a_parquet_file_is_an_error(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "classes.json").write_text(text)

    with pytest.raises(DataError, match=r"classes\.json"):
        class_names(tmp_path / "rows.parquet")


def test_names_of_an_opened_set_are_the_same_and_its_labels_are_not_read_again(
    tmp_path: Path, make_image: MakeImage
) -> None:
    path = write_coco(tmp_path / "boxes", coco())
    boxes = open_dataset(path)
    expected = class_names(path)
    path.unlink()
    make_image("folders/ant/a.png")
    make_image("plain/a.png")

    assert list(names_of(boxes)) == expected == ["dog", "cup"]
    assert names_of(open_dataset(tmp_path / "folders")) == ("ant",)
    assert names_of(open_dataset(tmp_path / "plain")) == ()
