"""Files of labels, whatever they label: found, read within bounds, and their numbers understood.

What is in them is a stranger's: nothing is read without a limit, and no number is taken for one
before it is known to be.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from intaglio.data.dataset import Source
from intaglio.data.preprocess import MAX_PIXELS
from intaglio.errors import DataError, cause

# As decode.py reads; Pillow tells them apart by their first bytes.
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")


def counted(count: int, thing: str) -> str:
    """Return "1 box", "2 boxes", "1,000 pictures"."""
    plural = f"{thing}es" if thing.endswith("x") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else plural}"


def finite(value: object) -> float | None:
    """Return a number of a file as a float; None where it is no number, infinite or NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def whole_sides(sides: Sequence[object]) -> tuple[int, int] | None:
    """Return (height, width) that a file states; None where one is no whole number from 1 on."""
    numbers = [number for number in map(finite, sides) if number is not None]
    if len(numbers) < 2 or any(one < 1 or not one.is_integer() for one in numbers):
        return None
    height, width = map(int, numbers)
    return height, width


def header_size(source: Source) -> tuple[int, int]:
    """Return (height, width) of a picture as it is stored, from its header; no pixel is decoded.

    An orientation tag is not obeyed, as `decode` obeys none.

    Raises:
        DataError: Naming the file, if it cannot be read, is no image, or has too many pixels.
        IntaglioError: Where images are forbidden (guard.py).
    """
    hint = "labels need the size of their picture: repair it, or remove it and its labels"
    try:
        file = source.open()
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror}); {hint}") from error
    try:
        with file, Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
    # As in decode.py: parsers of corrupt bytes raise whatever they stumble over.
    except Exception as error:
        raise DataError(f"{source}: not a readable image ({cause(error)}); {hint}") from error
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{source}: {width}x{height} pixels, more than {MAX_PIXELS} are not read; {hint}"
        )
    return height, width


def file_bytes(path: Path, largest: int) -> bytes:
    """Return the bytes of a file of labels.

    Raises:
        DataError: If it cannot be read, or has more than `largest` bytes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {cause(error)}") from error
    if len(content) > largest:
        raise DataError(f"{path}: more than {largest} bytes, which no such file of labels has")
    return content


def read_lines(path: Path, largest: int) -> list[tuple[int, str]]:
    """Return (number from 1, stripped text) of the lines that are not empty.

    Raises:
        DataError: If it cannot be read, is no UTF-8, or has more than `largest` bytes.
    """
    try:
        text = file_bytes(path, largest).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in lines if line]


def names_in(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """Return the files directly in a folder that end so, sorted; hidden ones are left out.

    Raises:
        DataError: If the folder cannot be read.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.is_dir())
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read: {error.strerror}") from error
    return [n for n in names if n.lower().endswith(endings) and not n.startswith(".")]


def files_below(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files in a folder that end so, sorted, then those in its folders; none is hidden.

    Links to folders are not followed: they could lead in circles.

    Raises:
        DataError: If a folder cannot be read.
    """
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(endings) and not name.startswith("."):
                yield Path(place, name)


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: the folder cannot be read: {error.strerror}") from error
