"""Tensors, loaders and streams as batches: the one place that knows what users pass as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from intaglio.errors import DataError, NonFiniteError

BATCH_SIZE = 16
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

Data = Tensor | Iterable[Tensor | tuple[Tensor, ...] | list[Tensor]]
"""A tensor [N, C, H, W], or an iterable of batches: tensors, or tuples that begin with one."""


def image_batches(data: Data, sample_shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Yield float32 batches [N, *sample_shape].

    Raises:
        DataError: If an item is not a float32 tensor of that shape.
        NonFiniteError: If an image holds NaN or infinity.
    """
    for number, item in enumerate(_items(data)):
        images: object = item[0] if isinstance(item, tuple | list) and item else item
        if not isinstance(images, Tensor) or tuple(images.shape[1:]) != sample_shape:
            shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise DataError(
                f"batch {number} of data is {shape}, the network takes [N, {sample_shape}]"
            )
        if images.dtype != torch.float32:
            raise DataError(f"batch {number} of data is {images.dtype}: give float32")
        yield _finite(images.detach().cpu())


def _finite(images: Tensor) -> Tensor:
    """Return images in which every number is one; no integer stands for NaN, none for infinity."""
    good = images.flatten(1).isfinite().all(1) if images.numel() else torch.ones(len(images))
    if bad := int(len(images) - good.sum()):
        raise NonFiniteError(
            f"data holds NaN or infinity, in {bad} of the {len(images)} images of a batch: look at"
            " what prepares the images"
        )
    return images


def labels_of(data: Data, sample_shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield (images, labels) for each batch; labels None where an item states no class indices.

    An item's second tensor is taken for its labels where it holds one integer for each image.

    Raises:
        DataError: As `image_batches`.
    """
    for item in _items(data):
        images = next(image_batches([item], sample_shape))
        labels = item[1] if isinstance(item, tuple | list) and len(item) > 1 else None
        if labels is not None and (
            not isinstance(labels, Tensor)
            or labels.dtype not in INTEGERS
            or labels.numel() != len(images)
        ):
            labels = None
        yield images, None if labels is None else labels.reshape(-1).to(torch.int64).cpu()


def labelled_batches(
    data: tuple[Tensor, Tensor] | Iterable[tuple[Tensor, ...] | list[Tensor]],
    sample_shape: tuple[int, ...],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (images, labels int64 [N]) from (images, labels) or from an iterable of such pairs.

    Raises:
        DataError: If an item has no labels, or not one class index for each image.
    """
    pairs = _split_pair(data)
    for number, item in enumerate(pairs):
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise DataError(f"batch {number} of evaluate has no labels: give (images, labels)")
        images = next(image_batches([item[0]], sample_shape))
        labels = _class_indices(item[1], number)
        if len(labels) != len(images):
            raise DataError(f"batch {number}: {len(images)} images but {len(labels)} labels")
        yield images, labels


def target_batches(
    data: Data | tuple[Tensor, object], sample_shape: tuple[int, ...]
) -> Iterator[tuple[Tensor, tuple[Tensor, ...] | None]]:
    """Yield (images, targets): a float tensor for each output of the network, or None.

    Args:
        data: (images, targets), images alone, or an iterable of either; targets are one tensor
            [N, ...], or several where the network has several outputs.

    Raises:
        DataError: If targets are no numbers, or not as many as there are images.
    """
    pairs: Iterable[object] = _items(data)  # type: ignore[arg-type]
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor):
        images, targets = data[0], _targets(data[1], len(data[0]), 0)
        pieces = [torch.split(part, BATCH_SIZE) for part in (images, *targets)]
        pairs = ((piece, tuple(rest)) for piece, *rest in zip(*pieces, strict=True))
    for number, item in enumerate(pairs):
        given = item if isinstance(item, tuple | list) and item else (item,)
        images = next(image_batches([given[0]], sample_shape))
        yield images, _targets(given[1], len(images), number) if len(given) > 1 else None


def paired_batches(data: Any, labels: str, form: str) -> Iterable[object]:
    """Return what a user gives to evaluate on, a batch at a time: (images, labels) cut up.

    What is an iterable of batches already is returned as it is; nobody has looked at its items.

    Args:
        data: (images, labels), of which labels has an entry for each image, or an iterable.
        labels: What they are, for messages: "boxes".
        form: How they are given, for messages.

    Raises:
        DataError: If it is none of these, or there are as many images and another number of labels.
    """
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor):
        images, given = data
        if not isinstance(given, Sized) or _length(given) != len(images):
            raise DataError(
                f"evaluate has {len(images)} images and other labels than {labels}: {form}"
            )
        parts = (slice(start, start + BATCH_SIZE) for start in range(0, len(images), BATCH_SIZE))
        return ((images[part], given[part]) for part in parts)  # type: ignore[index]
    if not isinstance(data, Iterable) or isinstance(data, Tensor):
        raise DataError(f"evaluate is {type(data).__name__}: {form}")
    return data


def _length(given: Sized) -> int:
    """Return how many entries there are; of a tensor that is one number, none."""
    return 0 if isinstance(given, Tensor) and not given.ndim else len(given)


def _targets(targets: object, count: int, number: int) -> tuple[Tensor, ...]:
    parts = targets if isinstance(targets, tuple | list) else (targets,)
    try:
        found = tuple(torch.as_tensor(part).detach().cpu().float() for part in parts)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"the targets of batch {number} are no tensors: {error}") from error
    if any(not part.ndim or len(part) != count for part in found):
        raise DataError(f"batch {number}: {count} images and another number of targets")
    return found


def _class_indices(labels: object, number: int) -> Tensor:
    try:
        found = torch.as_tensor(labels).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"the labels of batch {number} are no class indices: {error}") from error
    if found.dtype not in INTEGERS and not are_decisions(found):
        raise DataError(f"the labels of batch {number} are {found.dtype}: give class indices")
    return found.reshape(-1).to(torch.int64)


def are_decisions(labels: Tensor) -> bool:
    """Whether labels are the numbers 0 and 1, whatever their type: what losses of one logit take.

    Those of one image at least, and nothing but one for each.
    """
    is_flat = labels.numel() == len(labels) if labels.ndim else False
    return is_flat and bool(((labels == 0) | (labels == 1)).all())


@dataclass
class FirstImages:
    """Passes batches on and keeps a copy of the first few images for checks and reports.

    Attributes:
        count: How many to keep.
        kept: Those seen so far.
        seen: How many images went by.
    """

    count: int
    kept: list[Tensor] = field(default_factory=list)
    seen: int = 0

    def of(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the batches unchanged."""
        for batch in batches:
            missing = self.count - self.seen
            if missing > 0:
                self.kept.append(batch[:missing].clone())
            self.seen += len(batch)
            yield batch


def _items(data: Data) -> Iterable[Tensor | tuple[Tensor, ...] | list[Tensor]]:
    if isinstance(data, Tensor):
        return torch.split(data, BATCH_SIZE) if data.ndim else [data]
    if not isinstance(data, Iterable):
        raise DataError(f"data is {type(data).__name__}: give a tensor, or an iterable of batches")
    return data


def _split_pair(
    data: tuple[Tensor, Tensor] | Iterable[tuple[Tensor, ...] | list[Tensor]],
) -> Iterable[tuple[Tensor, ...] | list[Tensor]]:
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor):
        images, labels = data[0], _class_indices(data[1], 0)
        if len(images) != len(labels):
            raise DataError(f"evaluate has {len(images)} images but {len(labels)} labels")
        parts = torch.split(images, BATCH_SIZE), torch.split(labels, BATCH_SIZE)
        return zip(*parts, strict=True)
    return cast(Iterable[tuple[Tensor, ...] | list[Tensor]], data)
