"""How much each channel of a value matters to what the network says: Fisher information.

    importance of channel c  ~  E[ (d log p(y | image) / d value_c)^2 ],  y drawn from p(y | image)

For small changes of a value this is the diagonal of the curvature of the KL divergence between the
network's class probabilities before and after: at the float network itself the divergence has no
gradient. Source: BRECQ (Li et al. 2021, arXiv:2102.05426, equation 10), which keeps one number for
each element; we average over images and positions, which takes no memory and is steadier.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.methods.blocks.blocks import find_blocks
from intaglio.methods.steps.state import Context
from intaglio.run.float import channels_last, run_node
from intaglio.run.partial import run_whole
from intaglio.run.twin import IMAGES_AT_ONCE

MOST_IMAGES = 64
FLOOR = 0.05
"""Least importance, as a share of the mean: what seems not to matter still has to hold."""


def channel_importance(reference: Graph, context: Context) -> dict[str, Tensor]:
    """Return the importance of the channels of every block's result, mean 1.

    Shapes [1, C, 1, 1] or [1, K]. An output that is no [N, K] logits counts as a Gaussian's mean.
    """
    names = {name for block in find_blocks(reference) for name in block.outputs}
    graph = channels_last(reference)
    generator = torch.Generator().manual_seed(context.seed)
    sums: dict[str, Tensor] = {}
    for images in torch.split(context.tuning_images[:MOST_IMAGES], IMAGES_AT_ONCE):
        for name, gradient in _gradients(graph, images, names, generator).items():
            axes = [axis for axis in range(gradient.ndim) if axis != 1]
            found = gradient.double().square().mean(dim=axes, keepdim=True) * len(images)
            sums[name] = sums[name] + found if name in sums else found
    return {name: _normalized(total) for name, total in sums.items()}


def _gradients(
    graph: Graph, images: Tensor, names: set[str], generator: torch.Generator
) -> dict[str, Tensor]:
    values: dict[str, Tensor] = {}

    def tap(node: Node, value: Tensor) -> None:
        """Hold the value if its gradient is wanted."""
        if node.name in names:
            values[node.name] = value

    with torch.enable_grad():
        given = {graph.inputs[0]: images.clone().requires_grad_()}
        outputs = run_whole(graph, given, functools.partial(run_node, graph), tap)
        likelihood = torch.stack([_drawn(output, generator) for output in outputs]).sum()
    found = torch.autograd.grad(likelihood, list(values.values()), allow_unused=True)
    return {
        name: gradient for name, gradient in zip(values, found, strict=True) if gradient is not None
    }


def _drawn(output: Tensor, generator: torch.Generator) -> Tensor:
    """Return the log likelihood of labels drawn from what the network says."""
    if output.ndim != 2:
        return (output * torch.randn(output.shape, generator=generator)).sum()
    logs = F.log_softmax(output, dim=1)
    labels = torch.multinomial(logs.detach().exp(), 1, generator=generator)
    return logs.gather(1, labels).sum()


def _normalized(total: Tensor) -> Tensor:
    mean = total.mean()
    if float(mean) == 0.0:
        return torch.ones_like(total).float()
    floored = (total / mean).clamp(min=FLOOR)
    return (floored / floored.mean()).float()
