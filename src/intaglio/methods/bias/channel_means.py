"""Channel means of a layer's result before its activation, from the mean of its input.

A layer with weights is linear: the mean of its results over all images is its result for the mean
image, whatever its padding, stride or groups.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.ops import OPS
from intaglio.ops.schema import bare


def mean_image(pieces: Iterable[Tensor]) -> Tensor:
    """Return the mean over all images, [1, ...] float64, of pieces [n, ...]."""
    sums: dict[int, Tensor] = {}
    count = 0
    for piece in pieces:
        if len(piece) in sums:  # whole pieces are added: the quickest, and few enough for float32
            sums[len(piece)] += piece
        else:
            sums[len(piece)] = piece.clone()
        count += len(piece)
    assert count, "there is at least one image"
    total = torch.stack([part.double().sum(0) for part in sums.values()]).sum(0)
    return total.unsqueeze(0) / count


def result_means(node: Node, image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the mean of every output channel, [C_out] float64, before the fused activation.

    Args:
        node: conv2d, conv_transpose2d or linear.
        image: Mean input, [1, ...] float64.
        weight, bias: Real numbers.
    """
    params = {"weight": weight.double(), "bias": bias.double()}
    result = OPS[node.op].function(bare(node), [image], params)
    if node.op == "linear":
        return result.reshape(-1, result.shape[-1]).mean(0)
    return result.mean(dim=(0, 2, 3))
