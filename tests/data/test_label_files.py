"""Files of labels: what is listed, what is read, and what is taken for a number."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.box_files import write_picture, write_text
from intaglio.data.dataset import FileSource
from intaglio.data.guard import forbid_images
from intaglio.data.label_files import (
    counted,
    file_bytes,
    files_below,
    finite,
    header_size,
    names_in,
    read_lines,
    whole_sides,
)
from intaglio.errors import DataError, IntaglioError


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp", "tif", "ppm"])
def test_the_size_of_a_picture_is_its_height_and_width(tmp_path: Path, ending: str) -> None:
    path = write_picture(tmp_path / f"a.{ending}", 17, 5)

    assert header_size(FileSource(str(path))) == (5, 17)


def test_the_size_is_read_without_the_pixels(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", 300, 200)
    path.write_bytes(path.read_bytes()[:100])

    assert header_size(FileSource(str(path))) == (200, 300)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.png: not a readable image"),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", r"a\.png: not a readable image"),
        (b"P6 90000 1000 255 ", r"a\.png: .*90000"),
    ],
)
def test_what_is_no_picture_or_too_large_is_an_error(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)

    with pytest.raises(DataError, match=message):
        header_size(FileSource(str(path)))


def test_a_missing_picture_is_an_error_and_a_forbidden_one_is_not_opened(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.png", "no picture")

    with pytest.raises(DataError, match=r"b\.png: cannot be read"):
        header_size(FileSource(str(tmp_path / "b.png")))
    with forbid_images(), pytest.raises(IntaglioError, match="without data tried to read"):
        header_size(FileSource(str(path)))


def test_files_are_listed_in_order_by_their_ending_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.TXT", "a.txt", ".c.txt", "d.png", "deep/a.txt", ".hidden/a.txt"):
        write_text(tmp_path / name, "")

    assert names_in(tmp_path, (".txt",)) == ["a.txt", "b.TXT"]
    below = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, (".txt",))]
    assert below == ["a.txt", "b.TXT", "deep/a.txt"]


def test_a_link_that_leads_in_a_circle_is_not_followed(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "a.txt", "")
    (tmp_path / "deep" / "round").symlink_to(tmp_path, target_is_directory=True)

    assert len(list(files_below(tmp_path, (".txt",)))) == 1


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"

    with pytest.raises(DataError, match="nowhere: the folder cannot be read"):
        names_in(nowhere, (".txt",))
    with pytest.raises(DataError, match="nowhere: the folder cannot be read"):
        list(files_below(nowhere, (".txt",)))


def test_lines_have_the_numbers_of_the_file_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf one \r\n\n\tthree\n")

    assert read_lines(path, 100) == [(1, "one"), (3, "three")]


def test_a_file_is_read_up_to_its_limit_and_not_beyond(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "0123456789")

    assert file_bytes(path, 10) == b"0123456789"
    with pytest.raises(DataError, match=r"a\.txt: more than 9 bytes"):
        file_bytes(path, 9)
    with pytest.raises(DataError, match="nowhere: cannot be read"):
        file_bytes(tmp_path / "nowhere", 9)


def test_text_that_is_no_utf_8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9")

    with pytest.raises(DataError, match=r"a\.txt: not UTF-8 text"):
        read_lines(path, 100)


@pytest.mark.parametrize("value", [True, None, [1], "x", "", "nan", float("inf"), "1e999", 10**400])
def test_what_is_no_finite_number_is_none(value: object) -> None:
    assert finite(value) is None
    assert whole_sides([value, 3]) is None


def test_numbers_and_texts_of_numbers_are_floats() -> None:
    assert [finite(value) for value in (3, 2.5, " 4 ", "-1e2")] == [3.0, 2.5, 4.0, -100.0]


@pytest.mark.parametrize(
    ("sides", "size"),
    [([3, "4"], (3, 4)), ([3.0, 4], (3, 4)), ([0, 4], None), ([2.5, 4], None), ([4], None)],
)
def test_sides_are_whole_numbers_from_1_on(
    sides: list[object], size: tuple[int, int] | None
) -> None:
    assert whole_sides(sides) == size


def test_things_are_counted_in_words() -> None:
    told = [counted(count, thing) for count, thing in ((1, "box"), (2, "box"), (1000, "picture"))]

    assert told == ["1 box", "2 boxes", "1,000 pictures"]
