"""Whether the images of a batch stay apart in a module, by trying it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.errors import CaptureError

TOLERANCE = 1e-5
"""Of the largest value: what a float32 kernel may round otherwise beside another image."""


def refuse_mixed_images(model: nn.Module, example: Tensor) -> None:
    """Raise CaptureError where what a module makes of an image depends on the others of its batch.

    It is run on an image beside each of two others: the same must come out for it, and in its
    place. A module that fails on two images, or is random, says nothing and is let through.
    """
    generator = torch.Generator().manual_seed(0)
    image, second, third = torch.randn((3, *example.shape[1:]), generator=generator)
    try:
        with torch.no_grad():
            beside, again, other, swapped = (
                _tensors(model(torch.stack(pair)))
                for pair in ((image, second), (image, second), (image, third), (second, image))
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
        if made.is_floating_point() and _distance(swapped[at][1], made[1]) < _distance(
            swapped[at][1], made[0]
        ):
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


def _distance(first: Tensor, second: Tensor) -> float:
    return float((first - second).double().square().sum())
