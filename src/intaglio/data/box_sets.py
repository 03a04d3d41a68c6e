"""Pictures with boxes: the one door to the forms that labels of boxes come in.

Each form says for itself whether a path is one of its sets; the first that does reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from intaglio.data.coco_boxes import open_coco
from intaglio.data.coco_file import coco_categories, is_coco
from intaglio.data.dataset import Dataset
from intaglio.data.guard import refuse_if_forbidden
from intaglio.data.truth import Category
from intaglio.data.voc_boxes import is_voc, open_voc, voc_categories
from intaglio.data.yolo_boxes import is_yolo, open_yolo, yolo_categories


@dataclass(frozen=True)
class _Form:
    """One form of labels.

    Attributes:
        fits: Whether a path is a set of this form.
        open: Reads the labels of such a set.
        categories: Reads no more than its classes need.
    """

    fits: Callable[[Path], bool]
    open: Callable[[Path], Dataset]
    categories: Callable[[Path], tuple[Category, ...]]


_FORMS = (
    _Form(is_coco, open_coco, coco_categories),
    _Form(is_voc, open_voc, voc_categories),
    _Form(is_yolo, open_yolo, yolo_categories),
)


def box_set(path: Path) -> Dataset | None:
    """Return the pictures at `path`, each item's label a Truth; None where it is no set of boxes.

    Args:
        path: A COCO file (`coco_boxes.py`), a VOC folder or one of its lists (`voc_boxes.py`), a
            YOLO folder, a data.yaml or a split of it, `data.yaml:train` (`yolo_boxes.py`).

    Raises:
        DataError: As the form's own function: naming the file and the value that is wrong.
        RequestError: If it needs a package that is not installed.
        IntaglioError: Where images are forbidden (`guard.py`).
    """
    form = _form(path)
    return None if form is None else form.open(path)


def box_categories(path: Path) -> tuple[Category, ...] | None:
    """Return the categories of the set at `path`, by index; None where it is no set of boxes.

    Raises:
        DataError, RequestError, IntaglioError: As `box_set`.
    """
    form = _form(path)
    return None if form is None else form.categories(path)


def _form(path: Path) -> _Form | None:
    refuse_if_forbidden(str(path))
    return next((form for form in _FORMS if form.fits(path)), None)
