"""Whether the images of a batch stay apart in a module, by trying it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.errors import CaptureError

TOLERANCE = 1e-5
"""Of the largest value: what a float32 kernel may round otherwise beside another image."""

CLEARLY = 1e4
"""How many times nearer a result is to the one in its place than to the other."""


def refuse_mixed_images(model: nn.Module, example: Tensor) -> None:
    """Raise CaptureError where what a module makes of an image depends on the others of its batch.

    It is run on an image beside each of two others: the same must come out for it, and in its
    place. A module that fails on two images, or is random, says nothing and is let through.
    """
    generator = torch.Generator().manual_seed(0)
    image, second, third = torch.randn((3, *example.shape[1:]), generator=generator)
    try:
        with torch.no_grad():
            beside, again, other, alone = (
                _tensors(model(torch.stack(batch)))
                for batch in ((image, second), (image, second), (image, third), (image,))
            )
    except Exception:  # whatever the module raises on a batch that it was not made for
        return
    for at, made in enumerate(beside):
        if not torch.equal(made, again[at]):
            continue  # it is random
        where = f"output {at} of the network" if len(beside) > 1 else "the network"
        if made.shape[:1] != (2,):
            raise CaptureError(
                f"{where} returns the shape {list(made.shape)} for two images: keep the batch as"
                " axis 0 of every output"
            )
        if _stands_at(alone[at], made) != 0:
            raise CaptureError(
                f"{where} gives the results of a batch in another order than its images: keep the"
                " batch as axis 0 of every tensor, in its order"
            )
        if made.is_floating_point() and not _same(made[0], other[at][0]):
            raise CaptureError(
                f"{where} gives other values for an image where another one lies beside it in the"
                " batch: images of a batch must not mix; keep the batch as axis 0 of every tensor"
            )


def _tensors(made: object) -> list[Tensor]:
    return [leaf.clone() for leaf in pytree.tree_leaves(made) if isinstance(leaf, Tensor)]


def _same(first: Tensor, second: Tensor) -> bool:
    largest = max(float(value.abs().max()) if value.numel() else 0.0 for value in (first, second))
    return largest == 0.0 or float((first - second).abs().max()) <= TOLERANCE * largest


def _stands_at(alone: Tensor, made: Tensor) -> int:
    """Return where in a batch of two an image's result stands: 1 where it clearly is there."""
    if not made.is_floating_point() or alone.shape != made[:1].shape:
        return 0
    first, second = (float((alone[0] - one).double().square().sum()) for one in made)
    return int(second * CLEARLY < first)
