"""Whether the images of a batch stay apart in a module, by trying it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.errors import CaptureError

TOLERANCE = 1e-3
"""Of the largest value: float32 kernels round otherwise for another batch, far below this."""


def refuse_mixed_images(model: nn.Module, example: Tensor) -> None:
    """Raise CaptureError where what a module makes of an image depends on the others of its batch.

    It is run on two images together, and on each by itself: the same numbers must come out. A
    module that fails on two images, or is random, says nothing and is let through.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((2, *example.shape[1:]), generator=generator)
    try:
        with torch.no_grad():
            both, again, first, second = (
                _tensors(model(batch)) for batch in (images, images, images[:1], images[1:])
            )
    except Exception:  # whatever the module raises on a batch that it was not made for
        return
    for at, (a, b) in enumerate(zip(first, second, strict=True)):
        if not torch.equal(both[at], again[at]) or not both[at].is_floating_point():
            continue
        where = f"output {at} of the network" if len(first) > 1 else "the network"
        if both[at].numel() != 2 * a.numel() or not _same(both[at], a, b):
            raise CaptureError(
                f"{where} gives other values for an image alone than in a batch of two: images of a"
                " batch must not mix; keep the batch as axis 0 of every tensor"
            )
        if both[at].shape[:1] != (2,):
            raise CaptureError(
                f"{where} returns the shape {list(both[at].shape)} for two images: keep the batch"
                " as axis 0 of every output"
            )
        if a.shape[:1] == (1,) and not _close(both[at], torch.cat([a, b])):
            raise CaptureError(
                f"{where} gives the results of a batch in another order than its images: keep the"
                " batch as axis 0 of every tensor, in its order"
            )


def _tensors(made: object) -> list[Tensor]:
    return [leaf.clone() for leaf in pytree.tree_leaves(made) if isinstance(leaf, Tensor)]


def _same(both: Tensor, first: Tensor, second: Tensor) -> bool:
    """Whether the values of two images together are those of each by itself, in some order."""
    apart = torch.cat([first.flatten(), second.flatten()]).sort().values
    together = both.flatten().sort().values
    return _close(apart, together)


def _close(first: Tensor, second: Tensor) -> bool:
    largest = float(torch.maximum(first.abs(), second.abs()).max()) if first.numel() else 0.0
    return bool((first - second).abs().max() <= TOLERANCE * largest) if largest else True
