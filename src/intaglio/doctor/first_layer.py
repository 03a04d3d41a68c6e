"""The first layer and its batch norm, which remembers the images of training.

The layer is linear, so its running mean follows from the mean of the training images:

    mu_c = b_c + sum_i k_ci t_i

with k_ci the sum of the kernel from input channel i, and t_i that channel's mean. With more outputs
than unknowns t can be solved for, and what is left over tells whether the statistics belong to the
weights at all: those of an untrained network do not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.run.float import run_float

LIVE = 1e-3
"""Of the median variance: channels that varied less in training tell nothing."""


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """A convolution that reads the images, and what its batch norm remembers.

    Attributes:
        source: The layer's name in the user's module.
        upto: The captured graph up to the layer's value.
        kernel_sums: [C_out, C_in] float64.
        bias: [C_out] float64.
        mean, std: [C_out] float64, of the layer's value in training.
    """

    source: str
    upto: Graph
    kernel_sums: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor

    @staticmethod
    def of(captured: Graph) -> FirstLayer | None:
        """Return the first layer; None where no convolution with a batch norm reads the images."""
        for norm in captured:
            if norm.op == "batch_norm":
                layer = captured[norm.inputs[0]]
                return (
                    _first_layer(captured, layer, norm) if _reads_images(captured, layer) else None
                )
        return None

    def seen(self) -> FirstLayerSeen:
        """Return what collects the layer's values."""
        zeros = torch.zeros(2, len(self.mean), dtype=torch.float64)
        return FirstLayerSeen(self, zeros, zeros.clone())

    def live(self) -> Tensor:
        """Return which channels tell something, [C_out] bool."""
        return self.std.square() > LIVE * self.std.square().median()


@dataclass
class FirstLayerSeen:
    """Moments of the first layer's values, for the images as they are and with swapped channels.

    Attributes:
        totals, squares: [2, C_out] float64: as they are, swapped.
    """

    layer: FirstLayer
    totals: Tensor
    squares: Tensor
    count: int = field(default=0)

    def add(self, images: Tensor) -> None:
        """Take in images [n, C, H, W]."""
        rows = torch.zeros(0)
        for index, given in enumerate((images, images.flip(1))):
            value = run_float(self.layer.upto, given)[0]
            rows = value.movedim(1, -1).reshape(-1, value.shape[1])
            self.totals[index] += rows.sum(0, dtype=torch.float64)
            self.squares[index] += rows.square().sum(0, dtype=torch.float64)
        self.count += len(rows)

    def moments(self, *, swapped: bool = False) -> tuple[Tensor, Tensor]:
        """Return (mean, std), [C_out] float64 each."""
        mean = self.totals[int(swapped)] / max(self.count, 1)
        square = self.squares[int(swapped)] / max(self.count, 1)
        return mean, (square - mean.square()).clamp(min=0.0).sqrt()


def _first_layer(captured: Graph, layer: Node, norm: Node) -> FirstLayer:
    weight = captured.param(layer, "weight").double()
    upto = captured.copy()
    upto.outputs = [layer.name]
    upto.drop_unused()
    zeros = torch.zeros(len(weight))
    return FirstLayer(
        layer.source or layer.name,
        upto,
        weight.flatten(2).sum(2),
        captured.param(layer, "bias", zeros).double(),
        captured.param(norm, "mean").double(),
        captured.param(norm, "var").double().sqrt(),
    )


def _reads_images(captured: Graph, layer: Node) -> bool:
    if layer.op != "conv2d" or layer.attrs["groups"] != 1:
        return False
    maker = captured[layer.inputs[0]]
    while maker.op == "pad":
        maker = captured[maker.inputs[0]]
    return maker.op == "input"
