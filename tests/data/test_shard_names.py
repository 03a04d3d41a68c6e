"""Which shards a pattern names."""

from __future__ import annotations

from pathlib import Path

import pytest

from intaglio.data.shard_names import is_pattern, shards_in, shards_named
from intaglio.errors import DataError


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{0..2}.tar", ["0.tar", "1.tar", "2.tar"]),
        ("{0008..0011}.tar", ["0008.tar", "0009.tar", "0010.tar", "0011.tar"]),
        ("{9..11}.tar", ["9.tar", "10.tar", "11.tar"]),
        ("{b,a}-{0..1}.tar", ["b-0.tar", "b-1.tar", "a-0.tar", "a-1.tar"]),
        ("{x,y}/{5..5}.tar", ["x/5.tar", "y/5.tar"]),
    ],
)
def test_braces_name_shards_that_need_not_be_there(pattern: str, names: list[str]) -> None:
    assert shards_named(Path(pattern)) == [Path(name) for name in names]


def test_a_star_names_the_shards_that_are_there_sorted(tmp_path: Path) -> None:
    for name in ("b-1.tar", "a-2.tar", "a-10.tar", "a-1.txt"):
        (tmp_path / name).touch()

    assert [path.name for path in shards_named(tmp_path / "a-*.tar")] == ["a-10.tar", "a-2.tar"]
    assert [p.name for p in shards_named(tmp_path / "{b,a}-?.tar")] == ["b-1.tar", "a-2.tar"]
    with pytest.raises(DataError, match=r"c-\*\.tar: no file fits this pattern"):
        shards_named(tmp_path / "c-*.tar")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{a..c}.tar", r"'\{a\.\.c\}' is no range of shards"),
        ("{}.tar", r"'\{\}' is no range of shards"),
        ("{5..3}.tar", "counts down or names more than 100000"),
        ("{0..999999999}.tar", "counts down or names more than 100000"),
        ("{0..9999}-{0..9999}.tar", "names more than 100000 shards"),
        ("{0..9999999999999}.tar", "is no range of shards"),
    ],
)
def test_other_braces_and_endless_ones_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        shards_named(Path(pattern))


def test_only_names_of_tar_files_are_patterns() -> None:
    assert is_pattern(Path("a-{0..1}.tar"))
    assert is_pattern(Path("a*/x.TAR"))
    assert not is_pattern(Path("a.tar"))
    assert not is_pattern(Path("a*.csv"))


def test_a_folder_of_shards_has_no_images_and_no_folders(tmp_path: Path) -> None:
    for name in ("b.tar", "a.TAR", ".c.tar", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in shards_in(tmp_path)] == ["a.TAR", "b.tar"]

    (tmp_path / "x.png").touch()
    assert shards_in(tmp_path) == []
