"""The first layer and its batch norm, which remembers the images of training.

The layer is linear, so its running mean follows from the mean of the training images:

    mu_c = b_c + sum_i k_ci t_i

with k_ci the sum of the kernel from input channel i, and t_i that channel's mean. With more outputs
than unknowns t can be solved for, and what is left over tells whether the statistics belong to the
weights at all: those of an untrained network do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.doctor.chance import GROUPS, Estimate, estimate
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
        columns = 2 * sum(self.kernel_sums.shape) + 1
        sums = torch.zeros(GROUPS, columns, dtype=torch.float64)
        return FirstLayerSeen(self, sums, torch.zeros(GROUPS, dtype=torch.float64))

    def live(self) -> Tensor:
        """Return which channels tell something, [C_out] bool."""
        return self.std.square() > LIVE * self.std.square().median()


@dataclass(frozen=True, eq=False)
class Moments:
    """What some images are, and what the first layer makes of them.

    Attributes:
        mean, std: Of the layer's values, [C_out] float64.
        image_mean, image_std: Of the images' channels, [C_in] float64.
        likeness: Correlation of the first and the last channel over images and positions.
    """

    mean: Tensor
    std: Tensor
    image_mean: Tensor
    image_std: Tensor
    likeness: float

    def swapped(self, layer: FirstLayer) -> Moments:
        """Return the moments for the first and the last channel swapped.

        The mean is exact but for the padding at the border; the standard deviations, which depend
        little on the order of channels as like as those of photographs, are kept.
        """
        other = self.image_mean.flip(0)
        mean = self.mean + layer.kernel_sums @ (other - self.image_mean)
        return Moments(mean, self.std, other, self.image_std.flip(0), self.likeness)


@dataclass
class FirstLayerSeen:
    """Means of the images and of the first layer's values, by group of images.

    Attributes:
        sums: [GROUPS, 2 C_out + 2 C_in + 1] float64: sums over images of each one's means, of the
            layer's values and their squares, of its channels and their squares, and of the product
            of its first and last channel.
        counts: [GROUPS] float64, images in each group.
    """

    layer: FirstLayer
    sums: Tensor
    counts: Tensor

    @property
    def count(self) -> int:
        """How many images."""
        return int(self.counts.sum())

    def add(self, images: Tensor) -> None:
        """Take in images [n, C, H, W]."""
        value = run_float(self.layer.upto, images)[0].flatten(2)
        flat = images.flatten(2)
        products = (flat[:, :1] * flat[:, -1:]).mean(2)
        squares = [part.square().mean(2) for part in (value, flat)]
        means = (value.mean(2), squares[0], flat.mean(2), squares[1], products)
        groups = torch.arange(self.count, self.count + len(images)) % GROUPS
        self.sums.index_add_(0, groups, torch.cat(means, 1).double())
        self.counts += torch.bincount(groups, minlength=GROUPS)

    def moments(self) -> Moments:
        """Return what all images are."""
        return self._moments(self.sums.sum(0) / self.counts.sum().clamp(min=1.0))

    def estimate(self, figures: Callable[[Moments], Tensor]) -> Estimate:
        """Return figures of the images, [...] float64, with what chance adds or takes."""
        total, count = self.sums.sum(0), self.counts.sum()
        filled = [group for group in range(GROUPS) if self.counts[group] > 0]
        left = [(total - self.sums[g]) / (count - self.counts[g]) for g in filled]
        without_each = [figures(self._moments(row)) for row in left] if len(left) > 1 else []
        return estimate(figures(self.moments()), without_each)

    def _moments(self, row: Tensor) -> Moments:
        outputs, inputs = self.layer.kernel_sums.shape
        mean, square, image_mean, image_square, product = torch.split(
            row, [outputs, outputs, inputs, inputs, 1]
        )
        image_std = _deviation(image_mean, image_square)
        covariance = product[0] - image_mean[0] * image_mean[-1]
        likeness = covariance / (image_std[0] * image_std[-1]).clamp(min=1e-12)
        return Moments(mean, _deviation(mean, square), image_mean, image_std, float(likeness))


def _deviation(mean: Tensor, square: Tensor) -> Tensor:
    return (square - mean.square()).clamp(min=0.0).sqrt()


def _first_layer(captured: Graph, layer: Node, norm: Node) -> FirstLayer:
    weight = captured.param(layer, "weight").double()
    upto = captured.copy()
    upto.outputs, upto.output_names = [layer.name], ()
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
