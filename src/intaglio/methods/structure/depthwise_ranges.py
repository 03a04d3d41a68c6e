"""How unequal the channels of depthwise weights are: what one scale for all of them costs.

Batch norms behind depthwise convolutions, folded, multiply each channel by gamma / sqrt(var + eps);
channels that are nearly always zero have no variance, and set the range of the whole weight.

Source: Kulkarni et al. 2021; Sheng et al. 2018 (arXiv:1803.08607), section 3.
"""

from __future__ import annotations

import torch

from intaglio.ir.graph import Graph
from intaglio.passes.channels import averages


def depthwise_ranges(graph: Graph) -> dict[str, float]:
    """Return, by depthwise convolution, its largest channel over its median one, >= 1.

    A channel's size is the largest magnitude of its weight; channels of zeros are not counted, and
    layers that have no others have no entry.
    """
    found = {}
    for node in graph:
        if node.op != "conv2d" or node.attrs["groups"] < 2 or averages(graph, node):
            continue
        weight = graph.param(node, "weight")
        if weight.shape[1] != 1:
            continue
        sizes = weight.abs().flatten(1).amax(1)
        sizes = sizes[sizes > 0.0]
        if len(sizes):
            found[node.name] = float(sizes.max() / torch.quantile(sizes.double(), 0.5).float())
    return found
