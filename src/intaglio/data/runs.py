"""Runs of COCO's form: how many pixels are outside, then inside, outside, ..., down each column.

Source: https://github.com/cocodataset/cocoapi states the form of `counts`. It is a list of numbers,
or a text: each number as groups of 5 bits, the lowest first, a character of the code 48 + group,
plus 32 where another group follows; the highest bit of the last group is its sign. From the fourth
number on the text has the difference to the number two before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from intaglio.errors import DataError

_FIRST, _LAST = 48, 48 + 63
_BITS, _MOST_GROUPS = 5, 8
"""No number of pixels needs more than 40 bits."""


def checked_runs(
    form: Mapping[str, object], size: tuple[int, int], where: str
) -> NDArray[np.int64]:
    """Return the runs of a `segmentation`, [n], which fill a picture exactly.

    Args:
        form: With `size` [height, width], and `counts`, a list or a text.
        size: (height, width) of the picture.
        where: For messages.

    Raises:
        DataError: If the size is another, the counts are neither, cut off, below 0, or do not sum
            up to the picture's pixels.
    """
    height, width = size
    if form.get("size") != [height, width]:
        raise DataError(
            f"{where} has runs of the size {form.get('size')!r}, but its picture has"
            f" [{height}, {width}] (height, width)"
        )
    counts = form.get("counts")
    if isinstance(counts, str):
        runs = _from_text(counts, where)
    elif isinstance(counts, list) and all(type(count) is int for count in counts):
        runs = np.array([min(max(count, -1), height * width + 1) for count in counts], np.int64)
    else:
        raise DataError(f"{where} has counts that are neither a text nor a list of whole numbers")
    beyond = runs[(runs < 0) | (runs > height * width)]
    if len(beyond) or int(runs.sum()) != height * width:
        what = "one is below 0 or beyond them" if len(beyond) else f"they sum up to {runs.sum()}"
        raise DataError(
            f"{where} has runs that do not fill the {height * width} pixels of its picture: {what};"
            " the file may be cut off"
        )
    return runs


def filled(runs: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels of a picture (height, width) are inside, [H, W].

    Args:
        runs: As `checked_runs` returns them for this size.
    """
    height, width = size
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.asarray(inside.reshape(width, height).T)


def _from_text(text: str, where: str) -> NDArray[np.int64]:
    codes = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64)
    if ((codes < _FIRST) | (codes > _LAST)).any():
        raise DataError(f"{where} has counts with a character that no runs have; give '0' to 'o'")
    groups = codes - _FIRST
    goes_on = groups >= 2**_BITS
    if len(groups) and goes_on[-1]:
        raise DataError(f"{where} has counts that end within a number: the file may be cut off")
    ends = np.flatnonzero(~goes_on)  # [n], the last group of each number
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    lengths = ends - starts + 1
    if len(lengths) and int(lengths.max()) > _MOST_GROUPS:
        raise DataError(f"{where} has counts with a number of {lengths.max()} characters")
    place = np.arange(len(groups)) - np.repeat(starts, lengths)
    parts = (groups % 2**_BITS) << (_BITS * place)
    numbers = np.add.reduceat(parts, starts) if len(starts) else parts
    negative = groups[ends] >= 2 ** (_BITS - 1)
    numbers = numbers - (negative.astype(np.int64) << (_BITS * lengths))
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return np.asarray(numbers, np.int64)
