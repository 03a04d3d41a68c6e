"""Which class of a data set each class of a network is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.postprocess import PostProcess
from intaglio.data.truth import Category
from intaglio.errors import DataError

NONE = -1
"""Stands for a class of the network that the data set does not have."""


def class_map(post: PostProcess, categories: Sequence[Category]) -> NDArray[np.int64]:
    """Return the index of the data set's category for each class of the network, [K]; else NONE.

    By name, where the network's classes have names and the data set's are among them; in order,
    where there are as many, the background left out; by the labels' own numbers, where the network
    has a class for each number (COCO's ids 1 to 90). Without categories, as labels of tensors are,
    classes are the network's own.

    Raises:
        DataError: If none of these can be; names both counts.
    """
    own = np.arange(post.classes, dtype=np.int64)
    if not categories:
        return own
    named = _by_name(post, categories)
    if named is not None:
        return named
    real = own[own != post.background] if post.background is not None else own
    found = np.full(post.classes, NONE, np.int64)
    if len(real) == len(categories):
        found[real] = np.arange(len(categories))
        return found
    numbers = [category.number for category in categories]
    if set(numbers) <= set(real.tolist()) and numbers != list(range(len(numbers))):
        found[numbers] = np.arange(len(categories))
        return found
    raise DataError(
        f"the network tells {len(real)} classes apart and the labels have {len(categories)}"
        f" categories, numbered {min(numbers)} to {max(numbers)}: which is which cannot be told;"
        " give labels of the network's classes, or a network of these"
    )


def _by_name(post: PostProcess, categories: Sequence[Category]) -> NDArray[np.int64] | None:
    places = {name: place for place, name in enumerate(post.names)}
    if not places or any(category.name not in places for category in categories):
        return None
    found = np.full(post.classes, NONE, np.int64)
    for index, category in enumerate(categories):
        found[places[category.name]] = index
    return found
