"""Images whose brightness, contrast and saturation change each time that training sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intaglio.data.seeded import generator_of


def coloured(
    images: Tensor, positions: Sequence[int], *, strength: float, seed: int, step: int
) -> Tensor:
    """Return the images with other colours; those given are not changed.

    In the network's own numbers, whatever mean and deviation they are normalized by: all numbers of
    an image move by a share of its range (brightness), they go away from their mean by a factor
    (contrast), and the channels of a pixel from theirs (saturation). Nothing is cut off.

    Args:
        images: [N, C, H, W].
        positions: The place of each in the whole batch of the step.
        strength: Largest share, and how far from 1 the factors are at most. 0: nothing changes.
        seed: The same seed does the same.
        step: Of training.

    Returns:
        [N, C, H, W]; `images` themselves where nothing changes.
    """
    if not strength:
        return images
    moves = torch.stack(
        [torch.rand(3, generator=generator_of("colour", seed, step, one)) for one in positions]
    ) if len(positions) else torch.zeros(0, 3)  # fmt: skip
    moves = (strength * (2 * moves - 1)).to(images.device)  # [N, 3]
    light, contrast, saturation = moves[..., None, None, None].unbind(1)  # [N, 1, 1, 1] each
    lowest, highest = (end(images, dim=(1, 2, 3), keepdim=True) for end in (torch.amin, torch.amax))
    grey = images.mean(1, keepdim=True)
    changed = grey + (1 + saturation) * (images - grey)
    mean = changed.mean((1, 2, 3), keepdim=True)
    return mean + (1 + contrast) * (changed - mean) + light * (highest - lowest)
