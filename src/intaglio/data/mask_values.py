"""Masks of 0 and 255 alone, as many tools draw one object: 255 is no class, so it would be lost.

No mask says so by itself, as pictures without an object hold the same two numbers where others of
their set hold classes. So the set is looked at, until one of its masks holds a class.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from intaglio.data.dataset import Dataset
from intaglio.data.label_files import counted
from intaglio.data.mask import IGNORED
from intaglio.data.mask_description import NAME
from intaglio.data.mask_files import MaskFile, index_image
from intaglio.data.mask_folder import MaskFolders
from intaglio.errors import DataError

MOST_LOOKED_AT = 1000
"""Masks of a set, spread over it; of a usual one the first or second ends the search."""
_BOTH = [0, IGNORED]


def refuse_lost_object(found: MaskFolders, dataset: Dataset) -> None:
    """Do nothing, but where all that masks hold of classes is 0, and 255 beside it.

    Masks that cannot be read are passed over: they are told when their picture's turn comes.

    Args:
        found: Where the masks are; nothing is read where it says what 255 is, in `values` or in
            `ignore`.
        dataset: As `open_masks` returns it for these folders.

    Raises:
        DataError: With the masks.json that says what 255 is.
    """
    if found.values or IGNORED in found.ignore:
        return
    files = [item.label.path for item in dataset.items if isinstance(item.label, MaskFile)]
    step = -(-len(files) // MOST_LOOKED_AT) or 1
    looked_at = files[::step]
    if not _hold_both_alone(looked_at, found.ignore):
        return
    several = counted(len(looked_at), "mask") + (" that were looked at" if step > 1 else "")
    raise DataError(
        f"{found.path}: {several} in {found.masks} hold 0 and {IGNORED} alone, and {IGNORED} counts"
        f" for nothing, so that what it marks would be lost; {_way(found)}"
    )


def _hold_both_alone(files: Sequence[str], ignore: Sequence[int]) -> bool:
    """Whether there are pixels of 255, and no others than of 0 and of what is ignored."""
    is_told = np.isin(np.arange(IGNORED + 1), [*_BOTH, *ignore])  # [256]
    is_there = False
    for file in files:
        try:
            numbers = index_image(file)
        except DataError:
            continue
        if not is_told[numbers].all():
            return False
        is_there = is_there or bool((numbers == IGNORED).any())
    return is_there


def _way(found: MaskFolders) -> str:
    """Return what to do: a description for all pictures of the folders, but not for a list."""
    if found.stems is not None:
        return f"save the masks with 1 in place of {IGNORED}"
    place, content = _description(found)
    return (
        f"if it is a class, write {content} into {place} and name that file (if it truly counts"
        f' for nothing, with "ignore": [{IGNORED}] in place of values)'
    )


def _description(found: MaskFolders) -> tuple[Path, str]:
    """Return the path and the text of a description that makes 255 the class 1."""
    images, masks = Path(os.path.abspath(found.images)), Path(os.path.abspath(found.masks))
    if os.path.isfile(found.path):  # a description it is already
        place = found.path
    elif found.images == found.path:
        place = images.parent / f"{images.name}-{NAME}"
    else:
        place = found.path / NAME
    folder = os.path.abspath(place.parent)
    parts: dict[str, object] = {
        "images": Path(os.path.relpath(images, folder)).as_posix(),
        "masks": Path(os.path.relpath(masks, folder)).as_posix(),
    }
    if len(found.names) == len(_BOTH):
        parts["classes"] = list(found.names)
    if found.ignore:
        parts["ignore"] = [number for number in found.ignore if number not in _BOTH]
    return place, json.dumps(parts | {"values": _BOTH}, ensure_ascii=False)
