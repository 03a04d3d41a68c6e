"""Pictures with masks: the one door to the forms that they come in.

A form that has boxes as well (a file of COCO, a folder of VOC with Annotations) is a set of masks
where masks are wanted, else one of boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from intaglio.data.coco_file import is_coco
from intaglio.data.coco_masks import coco_mask_categories, open_coco_masks
from intaglio.data.dataset import Dataset
from intaglio.data.guard import refuse_if_forbidden
from intaglio.data.mask_description import described_masks, is_mask_description
from intaglio.data.mask_folder import (
    MaskFolders,
    folders_beside,
    folders_inside,
    folders_of_voc,
    mask_categories_of,
    open_masks,
)
from intaglio.data.mask_values import refuse_lost_object
from intaglio.data.truth import Category, Truth


def mask_set(path: Path, *, wanted: bool = False, names: Sequence[str] = ()) -> Dataset | None:
    """Return the pictures at `path`, each item's label an UnreadMask; None: it is no set of masks.

    Args:
        path: A folder or a list of those that `mask_folder.py` names, a masks.json
            (`mask_description.py`), or, where masks are wanted, a file of COCO (`coco_masks.py`).
        wanted: Whether a set that may be read as one of boxes is to be one of masks.
        names: As of `open_coco_masks`.

    Raises:
        DataError: As the form's own function: naming the file and the value that is wrong; and of
            folders whose masks hold nothing but 0 and 255, which is no class.
        RequestError: If it needs a package that is not installed.
        IntaglioError: Where images are forbidden (`guard.py`).
    """
    found = _folders(path, wanted)
    if found is not None:
        dataset = open_masks(found)
        refuse_lost_object(found, dataset)
        return dataset
    return open_coco_masks(path, names) if wanted and is_coco(path) else None


def mask_categories(path: Path, *, wanted: bool = False) -> tuple[Category, ...] | None:
    """Return the classes of the set at `path`, by index; None where it is no set of masks.

    They are () where nothing tells their names. Arguments and errors as `mask_set`.
    """
    found = _folders(path, wanted)
    if found is not None:
        return mask_categories_of(found)
    return coco_mask_categories(path) if wanted and is_coco(path) else None


def as_masks(dataset: Dataset, names: Sequence[str] = ()) -> Dataset:
    """Return the same pictures with their masks, where a set that has both was opened with boxes.

    Any other set is returned as it is.

    Args:
        dataset: As `open_dataset` returns it.
        names: As of `open_coco_masks`.

    Raises:
        DataError, RequestError: As `mask_set`.
    """
    if not len(dataset) or not isinstance(dataset.items[0].label, Truth):
        return dataset
    masks = mask_set(dataset.path, wanted=True, names=names)
    if masks is None:
        return dataset
    of_name = {item.name: item for item in masks.items}
    items = [of_name[item.name] for item in dataset.items if item.name in of_name]
    return replace(masks, items=items)


def _folders(path: Path, wanted: bool) -> MaskFolders | None:
    refuse_if_forbidden(str(path))
    if is_mask_description(path):
        return described_masks(path)
    return (
        folders_of_voc(path, wanted=wanted)
        or folders_inside(path, wanted=wanted)
        or folders_beside(path)
    )
