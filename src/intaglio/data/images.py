"""Images in: open a folder, a manifest, parquet, tar shards, boxes or masks; draw; stream batches.

    dataset = draw(open_dataset("calib.csv"), 128, seed=0)
    for batch in batches(dataset, preprocess, (1, 3, 224, 224), batch_size=16):
        batch.images  # [N, 3, 224, 224] float32

The same files give the same tensors, bit for bit, in the same order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from intaglio.data.box_sets import box_set
from intaglio.data.dataset import Dataset, Item, check_labels, draw
from intaglio.data.folder import open_folder
from intaglio.data.guard import refuse_if_forbidden
from intaglio.data.manifest import open_manifest
from intaglio.data.mask_sets import mask_set
from intaglio.data.parquet import open_parquet
from intaglio.data.shard_names import ENDING, compression, is_pattern, shards_in, shards_named
from intaglio.data.shards import compressed, open_shards
from intaglio.data.stream import Batch, ImageStream, Skipped, batches
from intaglio.errors import DataError

__all__ = [
    "Batch",
    "Dataset",
    "ImageStream",
    "Item",
    "Skipped",
    "batches",
    "check_labels",
    "draw",
    "open_dataset",
    "require_labels",
]


Labels = Literal["boxes", "masks"]


def open_dataset(
    path: str | Path, *, need_labels: bool = False, labels: Labels | None = None
) -> Dataset:
    """Return the data set at `path`; its list of images is read, no image is, but masks may be.

    Args:
        path: A folder (`folder.py`), a CSV manifest (`manifest.py`), a parquet file
            (`parquet.py`), or tar shards (`shards.py`): one, a folder of nothing else, or a pattern
            such as train-{0000..0009}.tar; or pictures with masks (`mask_sets.py`) or boxes
            (`box_sets.py`). Files are told apart by their ending.
        need_labels: Whether a data set without labels is an error.
        labels: What is wanted of a set that has boxes and masks, as a file of COCO's form has;
            with None such a set is one of boxes. A set that has none of what is wanted is opened as
            it is without: what is asked of its labels then says what they are.

    Raises:
        DataError: If there is nothing at `path`, if it cannot be used, or if labels are missing.
    """
    refuse_if_forbidden(str(path))
    path = Path(path)
    dataset = _open(path, labels)
    return require_labels(dataset) if need_labels else dataset


def require_labels(dataset: Dataset) -> Dataset:
    """Return the data set; raise DataError where it has no labels."""
    if not dataset.labelled:
        path = dataset.path
        raise DataError(f"{path}: there are no labels; {_label_remedy(path)}")
    return dataset


def _open(path: Path, labels: Labels | None) -> Dataset:
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:  # a folder on the way that may not be entered, a name too long
        raise DataError(f"{path}: cannot be opened: {error.strerror}") from error
    found = _boxes_or_masks(path, labels)
    if found is not None:
        return found
    if is_folder:
        shards = shards_in(path)
        return open_shards(path, shards) if shards else open_folder(path)
    kind = compression(path)
    if kind is not None:
        raise compressed(path, kind)
    if not exists and is_pattern(path):
        return open_shards(path, shards_named(path))
    if not exists:
        raise DataError(f"{path}: no such file or folder (looked from {Path.cwd()})")
    ending = path.suffix.lower()
    if ending == ".csv":
        return open_manifest(path)
    if ending == ".parquet":
        return open_parquet(path)
    if ending == ENDING:
        return open_shards(path, [path])
    raise DataError(
        f"{path}: not a data set; give a folder of images, a .csv manifest with the columns"
        f" file,class_index, a .parquet file with the columns jpeg and label, WebDataset .tar"
        f" shards; of boxes, a COCO .json, a VOC folder or a list in it, a YOLO folder or"
        f" data.yaml; of masks, a folder X beside Xannot, one of images and masks, a masks.json"
    )


def _boxes_or_masks(path: Path, labels: Labels | None) -> Dataset | None:
    """Return the set at a path, as one of what is wanted where it may be both; None: neither."""
    boxes = box_set(path) if labels == "boxes" else None
    if boxes is not None:
        return boxes
    masks = mask_set(path, wanted=labels == "masks")
    return box_set(path) if masks is None else masks


def _label_remedy(path: Path) -> str:
    if path.suffix.lower() == ENDING or (path.is_dir() and shards_in(path)):
        return "add a member NAME.cls with the class index to each sample"
    if path.is_dir():
        return "put the images into one folder for each class, or give a CSV manifest"
    if path.suffix.lower() == ".csv":
        return "add the column class_index"
    return "add the column label"
