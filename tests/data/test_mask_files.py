"""Masks that are PNG files: indices as they are, and every way in which a file may be wrong."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from data.mask_pictures import SIZE, some_classes, write_mask
from intaglio.data.decode import UnreadableImage
from intaglio.data.guard import forbid_images
from intaglio.data.mask import IGNORED, UnreadMask
from intaglio.data.mask_files import MaskFile
from intaglio.errors import DataError, IntaglioError, RequestError


@pytest.mark.parametrize("mode", ["L", "P"])
@pytest.mark.parametrize("most", [2, 4, 16, 256])
def test_grey_levels_and_palette_indices_are_the_classes(
    tmp_path: Path, mode: str, most: int
) -> None:
    classes = some_classes(most)
    file = MaskFile(str(write_mask(tmp_path / "a.png", classes, mode)))

    read = file.read(SIZE, "a.jpg")

    assert isinstance(file, UnreadMask)
    assert read.dtype == np.uint8
    assert np.array_equal(read, classes)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("mode", ["L", "P"])
def test_indices_of_few_bits_are_not_stretched(tmp_path: Path, bits: int, mode: str) -> None:
    classes = some_classes(2**bits)
    path = write_mask(tmp_path / "a.png", classes, mode)
    if mode == "P":
        Image.open(path).save(path, bits=bits)
    else:
        path.write_bytes(grey_png(classes, bits))

    assert path.read_bytes()[24] == bits
    assert np.array_equal(MaskFile(str(path)).read(SIZE, "a.jpg"), classes)


def test_grey_of_16_bits_is_taken_as_long_as_its_numbers_are_classes(tmp_path: Path) -> None:
    path, classes = tmp_path / "a.png", some_classes(9).astype(np.uint16)
    Image.fromarray(classes).save(path)

    assert path.read_bytes()[24] == 16
    assert np.array_equal(MaskFile(str(path)).read(SIZE, "a.jpg"), classes)

    classes[3, 4] = 256
    Image.fromarray(classes).save(path)
    with pytest.raises(DataError, match=r"a\.png: the mask holds 256, above 255; save it"):
        MaskFile(str(path)).read(SIZE, "a.jpg")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_refused_with_what_to_do(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(some_classes()).convert(mode).save(path)

    with pytest.raises(DataError, match=rf"a\.png: .* mode {mode}: colours, .*mode P .*index"):
        MaskFile(str(path)).read(SIZE, "a.jpg")


def test_a_file_that_loses_indices_is_refused_though_it_is_called_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(some_classes()).save(path, "JPEG")

    with pytest.raises(DataError, match=r"a\.png: the mask is JPEG, not PNG"):
        MaskFile(str(path)).read(SIZE, "a.jpg")


@pytest.mark.parametrize("size", [(30, 41), (29, 40), (40, 30)])
def test_a_mask_of_another_size_is_refused_with_both_sizes(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    file = MaskFile(str(write_mask(tmp_path / "a.png", some_classes(size=size))))

    told = rf"a\.png: the mask is {size[1]}x{size[0]} pixels, its picture b\.jpg is 40x30"
    with pytest.raises(DataError, match=told):
        file.read(SIZE, "b.jpg")


def test_what_is_to_be_ignored_is_and_255_always(tmp_path: Path) -> None:
    classes = some_classes(5)
    classes[0] = IGNORED
    path = str(write_mask(tmp_path / "a.png", classes))

    read = MaskFile(path, 3, (3, 4)).read(SIZE, "a.jpg")

    assert np.array_equal(read == IGNORED, (classes == 3) | (classes == 4) | (classes == IGNORED))
    assert np.array_equal(read[read != IGNORED], classes[read != IGNORED])


def test_an_index_of_no_class_is_refused_by_its_number_and_its_pixels(tmp_path: Path) -> None:
    classes = np.zeros(SIZE, np.uint8)
    classes[2, :7], classes[9, 9] = 11, 200
    path = write_mask(tmp_path / "a.png", classes)

    told = r"a\.png: the mask holds 11 \(7 pixels\), 200 \(1 pixel\), .* 11 classes, 0 to 10: .*ign"
    with pytest.raises(DataError, match=told) as caught:
        MaskFile(str(path), 11).read(SIZE, "a.jpg")
    assert not isinstance(caught.value, UnreadableImage)  # no picture to go on without

    MaskFile(str(path), 11, (11, 200)).read(SIZE, "a.jpg")
    MaskFile(str(path)).read(SIZE, "a.jpg")


def test_a_mask_that_is_ignored_all_over_is_one(tmp_path: Path) -> None:
    path = write_mask(tmp_path / "a.png", np.full(SIZE, IGNORED, np.uint8))

    assert (MaskFile(str(path), 2).read(SIZE, "a.jpg") == IGNORED).all()


def test_a_damaged_file_is_an_unreadable_image_that_can_be_passed_over(tmp_path: Path) -> None:
    path = write_mask(tmp_path / "a.png")
    content = path.read_bytes()
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for broken in (content[:middle], changed, b"", b"no image at all"):
        path.write_bytes(broken)
        with pytest.raises(UnreadableImage, match=r"a\.png: .*--skip-bad-images"):
            MaskFile(str(path)).read(SIZE, "a.jpg")
    path.unlink()
    with pytest.raises(UnreadableImage, match=r"a\.png"):
        MaskFile(str(path)).read(SIZE, "a.jpg")


def test_while_images_are_forbidden_or_truncated_ones_allowed_no_mask_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = MaskFile(str(write_mask(tmp_path / "a.png")))

    with forbid_images(), pytest.raises(IntaglioError, match="without data tried to read"):
        file.read(SIZE, "a.jpg")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(RequestError, match="LOAD_TRUNCATED_IMAGES"):
        file.read(SIZE, "a.jpg")


def grey_png(classes: NDArray[np.uint8], bits: int) -> bytes:
    """Return a grey PNG of few bits, which Pillow does not write, by the letter of the format."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    height, width = classes.shape
    shifts = np.arange(8 - bits, -1, -bits)
    padded = np.pad(classes, ((0, 0), (0, -width % (8 // bits))))
    packed = (padded.reshape(height, -1, 8 // bits) << shifts).sum(-1).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
