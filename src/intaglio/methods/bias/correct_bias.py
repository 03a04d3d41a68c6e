"""Empirical bias correction: every channel's mean is what it is in the float network, where read.

    b' = b + r + s c

r, the shift of a channel's mean before its activation f, is found in closed form
(channel_means.py); c is what is left of it behind the activation, over the positions where f passes
something of the float result z or of the twin's z^q:

    r = E[W x + b] - E[W^q x^q + b]        c = sum f(z) - f(z^q + r) / (positions passed + PRIOR)

x is the layer's input in the float network, x^q the twin's behind layers that are corrected
already. Rounding errors of a few weights shift a channel's mean; on MobileNets that shift, not
noise, is most of what 8-bit weights lose.

A shift of values that are cut anyway is read by nobody: where most are (the last blocks of a
MobileNetV2), r harms. So a channel takes r, or 0 in its place, as is better on images apart; and
the share s of c, 0..1 for the whole layer, is the one of least squared error there. "Apart" is by
folds: what is estimated on all pieces of images but a fold's is judged on the fold's. Without an
activation r is all there is, and s is its share.

Source: Nagel et al. 2019 (arXiv:1906.04721), section 4.2 and appendix D, there r alone, per layer
with expectations from batch norms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.methods.bias.channel_means import mean_image, result_means
from intaglio.methods.bias.passed import passed_difference
from intaglio.methods.steps.layer_rows import row_drawer, row_groups
from intaglio.methods.steps.paired_walk import Layer, Tuned, tune_layers
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step
from intaglio.numerics.affine import fake_quantize
from intaglio.ops import OPS
from intaglio.ops.schema import bare

FOLDS = 8
PRIOR = 30.0
"""Positions without a difference that are added: a channel that hardly passes anything stays."""
MOST_ROWS = 16_384
"""Positions of a layer that are looked at behind its activation, evenly over the images."""


def corrected_bias(layer: Layer, quantized: Tensor, generator: torch.Generator) -> Tensor:
    """Return the corrected bias, [C_out] float32.

    A channel whose corrected bias would leave int32's safe half keeps its own.

    Args:
        layer: The layer and its inputs.
        quantized: Its weight after rounding, real numbers.
        generator: Draws the positions that are looked at.
    """
    means = fold_means(layer, quantized)
    if layer.node.attrs.get("activation") is None:
        shift = means.supported(0.0)
    else:
        shift = _behind_activation(layer, quantized, means, generator)
    corrected = layer.bias.double() + shift
    step = (layer.input_scale * layer.params.scale).double()
    fits = (corrected / step).abs() < layer.target.bias_limit(layer.params.spec.bits)
    return corrected.where(fits, layer.bias.double()).float()


@dataclass(frozen=True, eq=False)
class Folds:
    """Differences of a layer's channels, fold by fold.

    Attributes:
        sums: Of the differences, [F, C] float64.
        counts: Of the positions, [F, C] float64.
        squares: Of the differences' squares, [F, C] float64.
    """

    sums: Tensor
    counts: Tensor
    squares: Tensor

    def mean(self, prior: float) -> Tensor:
        """Return each channel's mean difference, [C]."""
        return self.sums.sum(0) / (self.counts.sum(0) + prior).clamp(min=1.0)

    def apart(self, prior: float) -> Tensor:
        """Return, for each fold, the mean difference of all others, [F, C]; of itself if alone."""
        if len(self.sums) == 1:
            return self.mean(prior).unsqueeze(0)
        counts = self.counts.sum(0) - self.counts + prior
        return (self.sums.sum(0) - self.sums) / counts.clamp(min=1.0)

    def error(self, prior: float) -> Tensor:
        """Return the sum of squares, [C], that the mean of all others leaves of each fold."""
        found = self.apart(prior)
        return (self.squares - 2.0 * found * self.sums + found.square() * self.counts).sum(0)

    def supported(self, prior: float) -> Tensor:
        """Return the mean difference, [C], times the share that is best on folds apart."""
        found = self.apart(prior)
        wish, most = (found * self.sums).sum(), (found.square() * self.counts).sum()
        share = (wish / most).clamp(0.0, 1.0) if most > 0 else 0.0
        return self.mean(prior) * share

    def where(self, chosen: Tensor, other: Folds) -> Folds:
        """Return these for the channels chosen, [C] bool, and the other's for the rest."""
        return Folds(
            self.sums.where(chosen, other.sums),
            self.counts.where(chosen, other.counts),
            self.squares.where(chosen, other.squares),
        )


def fold_means(layer: Layer, quantized: Tensor) -> Folds:
    """Return the differences before the activation, in closed form; their squares are left 0."""
    pieces = len(layer.floats)
    sums, counts = [], []
    for fold in range(min(FOLDS, pieces)):
        chosen = range(fold, pieces, FOLDS)
        floats = mean_image(layer.floats[index] for index in chosen)
        integers = mean_image(layer.integers[index].float() for index in chosen)
        integers = (integers - layer.zero) * layer.input_scale.double()
        wanted = result_means(layer.node, floats, layer.weight, layer.bias)
        found = result_means(layer.node, integers, quantized, layer.bias)
        count = torch.full_like(found, float(sum(len(layer.floats[index]) for index in chosen)))
        sums.append((wanted - found) * count)
        counts.append(count)
    return Folds(torch.stack(sums), torch.stack(counts), torch.zeros(len(sums), len(found)))


def _behind_activation(
    layer: Layer, quantized: Tensor, means: Folds, generator: torch.Generator
) -> Tensor:
    """Return the shift of each channel, [C]: r or 0, and what c adds to it."""
    starts = (torch.zeros_like(means.sums), means.apart(0.0))
    found = [torch.zeros(3, *means.sums.shape, dtype=torch.float64) for _ in starts]
    for index, floats, integers in _results(layer, quantized, generator):
        fold = index % FOLDS
        for start, total in zip(starts, found, strict=True):
            moved = integers + start[fold].float()
            difference, inside = passed_difference(floats, moved, layer.node.attrs["activation"])
            assert inside is not None
            total[0, fold] += difference.sum(0)
            total[1, fold] += inside.sum(0)
            total[2, fold] += difference.square().sum(0)
    resting, shifted = (Folds(*total) for total in found)
    is_shifted = shifted.error(PRIOR) < resting.error(PRIOR)
    shift = means.mean(0.0) * is_shifted
    return shift + shifted.where(is_shifted, resting).supported(PRIOR)


def _results(
    layer: Layer, quantized: Tensor, generator: torch.Generator
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield each piece's index and the results before the activation, [P, C], of both sides."""
    if layer.node.op == "conv_transpose2d":
        plain = bare(layer.node)
        for index, piece in enumerate(layer.floats):
            sides = ((piece, layer.weight), (layer.quantized(index), quantized))
            first, second = (
                OPS[plain.op].function(plain, [values], {"weight": weight, "bias": layer.bias})
                for values, weight in sides
            )
            yield index, first.movedim(1, -1).flatten(0, 2), second.movedim(1, -1).flatten(0, 2)
        return
    shape = (row_groups(layer), -1, layer.weight[0].numel())
    bias = layer.bias.reshape(shape[0], 1, -1)
    weights = [weight.reshape(shape).mT for weight in (layer.weight, quantized)]
    images = sum(len(piece) for piece in layer.floats)
    for index, piece in enumerate(layer.floats):
        draw = row_drawer(layer, piece, -(-MOST_ROWS // images), generator)
        first = torch.baddbmm(bias, draw(piece), weights[0])  # [G, P, R]
        second = torch.baddbmm(bias, draw(layer.quantized(index)), weights[1])
        yield index, first.transpose(0, 1).flatten(1), second.transpose(0, 1).flatten(1)


@register_step("correct-bias", NUMBERS)
@dataclass(frozen=True)
class CorrectBias:
    """Empirical bias correction, layer by layer, of the weights as they are rounded now."""

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state with corrected biases."""
        generator = torch.Generator().manual_seed(context.seed)

        def tuner(layer: Layer) -> Tuned:
            """Return the weight as the state holds it, and its corrected bias."""
            weight = state.graph.param(state.graph[layer.node.name], "weight")
            quantized = fake_quantize(weight, layer.params)
            bias = corrected_bias(layer, quantized, generator)
            return Tuned(weight, bias, layer.params)

        return tune_layers(state, context, tuner)
