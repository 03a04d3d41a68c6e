"""The images of each step, taken ahead: this process's part of the batch, and what is mixed in."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from intaglio.data.ahead import taken_ahead
from intaglio.data.augment import Augment, augmented
from intaglio.data.augment_boxes import Reframe, moved_truths, reframed
from intaglio.data.augment_colour import coloured
from intaglio.data.augment_masks import Zoom, moved_masks, zoomed
from intaglio.data.given_masks import given_masks
from intaglio.data.order import steps_from
from intaglio.data.samples import Samples, Taken
from intaglio.data.seen import are_truths
from intaglio.data.seen_mask import are_masks, seen_mask
from intaglio.errors import RequestError
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.processes import Processes
from intaglio.tasks.task import Labels


@dataclass(frozen=True, eq=False)
class Fed:
    """What a process sees in a step.

    Attributes:
        own: Its part of the batch, mirrored and moved as the options say.
        partners: The images at the mirrored places of the whole batch, one for each of `own`; None
            where none are mixed, as in a step in which one of either could not be read.
    """

    own: Taken
    partners: Taken | None


@dataclass(frozen=True)
class Places:
    """A process's part of a whole batch.

    Attributes:
        indices: Of the images, in the whole batch's order.
        positions: Their places in the whole batch.
    """

    indices: tuple[int, ...]
    positions: tuple[int, ...]


def fed_from(
    samples: Samples, options: TrainOptions, processes: Processes, *, step: int, total: int
) -> Generator[Fed, None, None]:
    """Yield what this process sees in each step from `step` to the last.

    Close it when it is not gone through: images are taken ahead by a thread.
    """
    parts = [own_places, partner_places] if options.mixup else [own_places]
    ahead = (
        part(batch, processes).indices
        for batch in _batches(samples, options, step, count=total - step)
        for part in parts
    )
    with closing(taken_ahead(samples, ahead)) as taken:
        for number, batch in enumerate(_batches(samples, options, step, count=total - step), step):
            found = [
                _changed(next(taken), part(batch, processes), options, number, len(batch))
                for part in parts
            ]
            yield _paired(found, batch, processes)


def _batches(
    samples: Samples, options: TrainOptions, step: int, *, count: int
) -> Iterator[list[int]]:
    return islice(steps_from(len(samples), options.batch, seed=options.seed, step=step), count)


def _paired(found: Sequence[Taken], batch: Sequence[int], processes: Processes) -> Fed:
    """Return own images and partners, if all of both are there."""
    if len(found) == 1:
        return Fed(found[0], None)
    own, partners = found
    is_whole = (
        tuple(own.indices) == own_places(batch, processes).indices
        and tuple(partners.indices) == partner_places(batch, processes).indices
    )
    return Fed(own, partners if is_whole else None)


def own_places(batch: Sequence[int], processes: Processes) -> Places:
    """Return a process's part of a batch."""
    positions = range(len(batch))[processes.part(len(batch))]
    return Places(tuple(batch[position] for position in positions), tuple(positions))


def partner_places(batch: Sequence[int], processes: Processes) -> Places:
    """Return the images at the mirrored places of a process's part: last for first, and so on."""
    own = range(len(batch))[processes.part(len(batch))]
    positions = [len(batch) - 1 - position for position in own]
    return Places(tuple(batch[position] for position in positions), tuple(positions))


def _changed(taken: Taken, places: Places, options: TrainOptions, step: int, batch: int) -> Taken:
    """Return images with other colours, cut, mirrored and moved, and boxes or masks with them.

    Each by what is drawn for its place in the whole batch.
    """
    place_of = dict(zip(places.indices, places.positions, strict=True))
    positions = [place_of[index] for index in taken.indices]
    seed, images, labels = options.seed, taken.images, taken.labels
    check_changes(options, labels)
    images = coloured(images, positions, strength=options.colour, seed=seed, step=step)
    augment = Augment(options.flip, options.crop)
    if are_truths(labels):
        reframe = Reframe(options.cut, options.shrink)
        images, labels = reframed(
            reframe, images, labels, positions=positions, seed=seed, step=step
        )
        labels = moved_truths(augment, labels, positions, batch=batch, seed=seed, step=step)
    elif are_masks(labels) or _are_maps(labels):
        zoom = Zoom(1.0 / options.zoom, options.zoom)
        maps = _seen(labels, images)
        images, maps = zoomed(zoom, images, maps, positions=positions, seed=seed, step=step)
        labels = moved_masks(augment, maps, positions, batch=batch, seed=seed, step=step)
    images = augmented(augment, images, positions, batch=batch, seed=seed, step=step)
    return Taken(images, labels, taken.indices)


def _are_maps(labels: Labels) -> bool:
    """Whether labels are whole numbers [N, H, W]: the class of each pixel."""
    return isinstance(labels, Tensor) and labels.ndim == 3 and not labels.is_floating_point()


def _seen(labels: Labels, images: Tensor) -> Tensor:
    """Return the classes at the pixels of images [N, C, H, W], [N, H, W] uint8."""
    size = (images.shape[2], images.shape[3])
    if isinstance(labels, Tensor):
        if tuple(labels.shape[1:]) == size:
            return labels.to(torch.uint8)
        labels = given_masks(labels, len(labels), size)
    return torch.from_numpy(np.stack([seen_mask(mask, size) for mask in labels]))


def check_changes(options: TrainOptions, labels: Labels) -> None:
    """Make sure that what is done to images can be done to such labels.

    Raises:
        RequestError: If boxes or masks are to be mixed, or what is done to images with boxes, or
            with masks, is to be done to others.
    """
    is_map = are_masks(labels) or _are_maps(labels)
    if is_map and options.mixup:
        raise RequestError(
            f"mixup = {options.mixup:g} mixes two images, and what a pixel then is, is neither of"
            " both: train with mixup = 0"
        )
    if not is_map and (options.zoom > 1.0 or options.hard):
        raise RequestError(
            f"zoom = {options.zoom:g} and hard = {options.hard:g} are for images with masks, and"
            " these have none: train with zoom = 1 and hard = 0"
        )
    if are_truths(labels):
        if options.mixup:
            raise RequestError(
                f"mixup = {options.mixup:g} mixes two images, and what is then in a box is neither"
                " of both: train with mixup = 0"
            )
    elif options.cut or options.shrink > 1.0:
        raise RequestError(
            f"cut = {options.cut:g} and shrink = {options.shrink:g} are for images with boxes, and"
            " these have none: train with cut = 0 and shrink = 1"
        )


def plain_images(
    samples: Samples, options: TrainOptions, *, step: int, images: int
) -> Iterator[Tensor]:
    """Yield some `images` of the steps from `step` on, in whole batches and unchanged.

    Every process sees the same. Those that cannot be read are not there.
    """
    wanted, size = min(images, len(samples)), min(options.batch, len(samples))
    batches = _batches(samples, options, step, count=-(-wanted // size))
    with closing(taken_ahead(samples, batches)) as taken:
        for part in taken:
            if len(part.indices):
                yield part.images
