"""What one run of a detector shows of its post-processing: pictures, anchors, raw outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.boxes import bounds
from intaglio.read.module.core_whole import Core, Whole
from intaglio.read.module.families.limits import held_at

Size = tuple[int, int]
"""Height, width."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """What a part without weights returned: a box for each position.

    Attributes:
        boxes: [P, 4], left, top, right, bottom in pixels of the first core's input.
        maps: Height and width of each map that it was given; () where it was given none.
        counts: Anchors of a cell of each map, where the part says so; else ().
    """

    boxes: Tensor
    maps: tuple[Size, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was seen.

    Attributes:
        input_size: Of what the first core is given.
        seen: Of each picture in there, without what was padded.
        given: Of each picture as the user gave it; boxes come back in its pixels.
        anchors: As they were returned, each once.
        cores: In the order in which they are entered.
        outputs: Of each core for the example; () of one that nothing reached.
    """

    input_size: Size
    seen: tuple[Size, ...]
    given: tuple[Size, ...]
    anchors: tuple[Anchors, ...]
    cores: tuple[Core, ...]
    outputs: tuple[tuple[Tensor, ...], ...]


def gathered(whole: Whole) -> Evidence | None:
    """Return what a run on the example shows; None where its cores take no pictures.

    The module is run once, and each core once on its own example.
    """
    cores = tuple(sorted(whole.cores, key=lambda core: core.entered))
    given = picture_sizes(whole.example)
    if not given or not cores or cores[0].example.ndim != 4:
        return None
    watch = _Watch()
    hooks = [
        part.register_forward_hook(watch.returned, with_kwargs=True)
        for part in whole.module.modules()
    ]
    try:
        with torch.no_grad():
            whole.module(pytree.tree_map_only(Tensor, torch.clone, whole.example))
    finally:
        for hook in hooks:
            hook.remove()
    with torch.no_grad():
        outputs = tuple(core.module(core.example.clone()) for core in cores)
    height, width = cores[0].example.shape[2:]
    seen = watch.seen if len(watch.seen) == len(given) else ((height, width),) * len(given)
    return Evidence((height, width), seen, given, tuple(watch.anchors), cores, outputs)


def picture_sizes(example: object) -> tuple[Size, ...]:
    """Return height and width of each picture of what a detector takes; () where there is none."""
    if isinstance(example, Tensor):
        whole = example if example.ndim == 4 else torch.empty(0)
        return tuple((whole.shape[2], whole.shape[3]) for _ in range(len(whole)))
    if not isinstance(example, list | tuple):
        return ()
    if not all(isinstance(one, Tensor) and one.ndim == 3 for one in example):
        return ()
    return tuple((one.shape[1], one.shape[2]) for one in example)


@dataclass(eq=False)
class _Watch:
    """Sees what parts return, by hooks."""

    seen: tuple[Size, ...] = ()
    anchors: list[Anchors] = field(default_factory=list)

    def returned(self, part: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        """Note pictures with their sizes, and anchors."""
        for one in (result, *(result if isinstance(result, tuple | list) else ())):
            sizes = held_at(one, "image_sizes")
            if isinstance(held_at(one, "tensors"), Tensor) and isinstance(sizes, list):
                self.seen = tuple((int(height), int(width)) for height, width in sizes)
        if any(True for _ in part.parameters()):
            return
        boxes = _boxes(result)
        if boxes is not None and not any(torch.equal(boxes, old.boxes) for old in self.anchors):
            self.anchors.append(Anchors(boxes, tuple(_maps((args, kwargs))), _counts(part)))


def _boxes(result: Any) -> Tensor | None:
    """Return anchors [P, 4], where a result is such, or the same ones for each picture."""
    found = list(result) if isinstance(result, list | tuple) else [result]
    for one in found:
        if not isinstance(one, Tensor) or one.ndim != 2 or one.shape[1] != 4:
            return None
        if not one.is_floating_point() or not torch.equal(one, found[0]):
            return None
        is_ordered = (one[:, 2:] >= one[:, :2]).all() & (one.abs() < bounds.FARTHEST).all()
        if not bool(is_ordered):
            return None  # centres and sizes, or no boxes at all
    return found[0].detach().clone() if found and len(found[0]) > 1 else None


def _maps(arguments: Any) -> Iterator[Size]:
    """Give the sizes of the maps [N, C, H, W] in the lists of what a part was given."""
    if isinstance(arguments, Mapping):
        arguments = list(arguments.values())
    if not isinstance(arguments, list | tuple):
        return
    tensors = [one for one in arguments if isinstance(one, Tensor) and one.ndim == 4]
    if tensors and len(tensors) == len(arguments):
        yield from ((one.shape[2], one.shape[3]) for one in tensors)
        return
    for one in arguments:
        yield from _maps(one)


def _counts(part: nn.Module) -> tuple[int, ...]:
    """Return what a part's method `num_anchors_per_location` says; () where it has none."""
    method = held_at(part, "num_anchors_per_location")
    try:
        told = method() if callable(method) else ()
    except Exception:  # the user's code, which we only ask
        return ()
    if not isinstance(told, Sequence) or not all(isinstance(one, int) for one in told):
        return ()
    return tuple(told)
