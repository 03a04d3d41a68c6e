"""Which class of a network each category of a data set of masks is, by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from intaglio.data.mask import IGNORED
from intaglio.data.truth import Category
from intaglio.errors import DataError

BACKGROUND = "background"
SYNONYMS = (
    ("aeroplane", "airplane"),
    ("motorbike", "motorcycle"),
    ("sofa", "couch"),
    ("diningtable", "table"),
    ("tvmonitor", "tv"),
    ("pottedplant",),
)
"""Of Pascal VOC first, of COCO second; spaces, hyphens and capitals make no difference."""
_FIRST = {name: names[0] for names in SYNONYMS for name in names}


def class_table(categories: Sequence[Category], names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the class of the network for each category of a data set, [len(categories)].

    A category has the class of its name, or of a synonym. One that is no class of the network is
    its background, where it has a class called background, else IGNORED.

    Args:
        categories: Of the data set, by index.
        names: Of the network's classes, by index; at most 255.

    Raises:
        DataError: If no category but the background is a class of the network.
    """
    if not categories:
        return np.empty(0, np.uint8)
    found = [_place(category.name, names) for category in categories]
    if not any(
        place is not None and _key(category.name) != BACKGROUND
        for place, category in zip(found, categories, strict=True)
    ):
        raise DataError(
            f"none of the {len(categories)} categories of the labels ({_first(categories)}) is one"
            f" of the {len(names)} classes of the network ({', '.join(names[:4])}, ...): give"
            " labels of its classes, or name them as the network does"
        )
    rest = _place(BACKGROUND, names)
    other = IGNORED if rest is None else rest
    return np.array([other if place is None else place for place in found], np.uint8)


def unmatched(categories: Sequence[Category], names: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence of categories that are no class of the network, and one of the reverse.

    Only what there is; arguments as `class_table`.
    """
    others = [one for one in categories if _place(one.name, names) is None]
    own = {_place(one.name, names) for one in categories}
    lacking = [name for place, name in enumerate(names) if place not in own]
    told = []
    if others:
        what = "its background" if _place(BACKGROUND, names) is not None else "ignored"
        told.append(
            f"{len(others)} of {len(categories)} categories are no class of the network and count"
            f" as {what}: {_first(others)}"
        )
    if lacking:
        some = ", ".join(lacking[:4]) + (", ..." if len(lacking) > 4 else "")
        told.append(f"{len(lacking)} of {len(names)} classes of the network have no labels: {some}")
    return tuple(told)


def _key(name: str) -> str:
    plain = "".join(letter for letter in name.lower() if letter not in " _-")
    return _FIRST.get(plain, plain)


def _place(name: str, names: Sequence[str]) -> int | None:
    """Return which of the names this is: the very same, else the first that means the same."""
    if name in names:
        return list(names).index(name)
    keys = [_key(other) for other in names]
    return keys.index(_key(name)) if _key(name) in keys else None


def _first(categories: Sequence[Category]) -> str:
    some = ", ".join(category.name for category in categories[:4])
    return f"{some}, ..." if len(categories) > 4 else some
