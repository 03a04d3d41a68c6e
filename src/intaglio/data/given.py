"""What Python users give to train on, as samples: the one place that knows its forms."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, TypeGuard, cast

from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from intaglio.data.dataset import Dataset
from intaglio.data.map_samples import MapDataset, MapSamples
from intaglio.data.samples import Samples
from intaglio.data.tensor_samples import TensorSamples
from intaglio.errors import DataError

FORMS = (
    "give (images, labels) as tensors, images [N, C, H, W] alone, or a data set with __len__ and"
    " __getitem__ whose items are (image [C, H, W], label)"
)


def samples_of(data: Any, sample_shape: tuple[int, ...]) -> Samples:
    """Return what was given as samples in any order.

    Args:
        data: (images, labels), of which labels may be a tuple of tensors; images alone; a data set
            of the map style, such as torch.utils.data.TensorDataset; or samples, returned as they
            are.
        sample_shape: What the network takes of one image.

    Raises:
        DataError: If it is nothing of these, says what to give; if it is, as `TensorSamples` and
            `MapSamples`.
        NonFiniteError: If an image that was looked at holds NaN or infinity.
    """
    if isinstance(data, Tensor):
        return TensorSamples(data, None, sample_shape)
    if isinstance(data, tuple) and data and isinstance(data[0], Tensor):
        if len(data) != 2:
            raise DataError(
                f"data has {len(data)} parts: give (images, labels); several labels are one tuple"
            )
        return TensorSamples(data[0], data[1], sample_shape)
    if _is_samples(data):
        return data
    _refuse_other_forms(data)
    return MapSamples(cast(MapDataset, data), sample_shape)


def first_image(data: Any) -> Tensor:
    """Return the first image of what was given, [1, C, H, W], to show what a network takes.

    Raises:
        DataError: As `samples_of`.
    """
    images = data[0] if isinstance(data, tuple) and data else data
    if isinstance(images, Tensor):
        if not images.ndim or not len(images):
            raise DataError(f"data has no images: {FORMS}")
        return images[:1]
    if _is_samples(data):
        return data.take([0]).images
    _refuse_other_forms(data)
    item = cast(MapDataset, data)[0]
    image = item[0] if isinstance(item, tuple | list) and item else item
    if not isinstance(image, Tensor):
        raise DataError(f"item 0 of data is {type(item).__name__}: {FORMS}")
    return image[None]


def _is_samples(data: object) -> TypeGuard[Samples]:
    return all(hasattr(data, word) for word in ("take", "skipped", "__len__"))


def _refuse_other_forms(data: object) -> None:
    kind = type(data).__name__
    why = "training takes images in an order of its own, again and again"
    if isinstance(data, DataLoader):
        raise DataError(f"data is a DataLoader, but {why}: give its data set, loader.dataset")
    if isinstance(data, Dataset):
        raise DataError(
            f"data is the list of images of '{data.name}', and how to prepare them is not known:"
            f" give intaglio.data.image_samples.ImageSamples(dataset, preprocess, input_shape)"
        )
    if isinstance(data, str | bytes | PathLike):
        raise DataError(f"data is a path ({data!r}): {FORMS}")
    if isinstance(data, tuple) and data and not isinstance(data[0], tuple | list):
        raise DataError(f"data is a tuple that begins with {type(data[0]).__name__}: {FORMS}")
    is_map = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    if not is_map or isinstance(data, Mapping | IterableDataset):
        raise DataError(f"data is {kind}, but {why}: {FORMS}")
