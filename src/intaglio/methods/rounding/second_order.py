"""Second-order rounding: the rounding errors of a layer's weights undo each other on real inputs.

For a layer's rows w (one for each output channel), inputs x^q of the twin with centred covariance
H, the rounded row q s is to be as near as possible to the row t that best repeats the float layer
behind a prefix that is quantized already:

    minimize (q s - t)' (H + damping) (q s - t)        t = w + w D (H + ridge)^-1

D is the difference moment (input_moments.py); how columns are rounded is in round_columns.py. Means
are left to the bias (correct_bias.py).

Few images fit H too well: 256 of them leave the late layers of a MobileNetV2 with twice the error
on other images (their results have 7 x 7 positions, much alike, for up to 1280 weights a row). So
ridge and damping are chosen for each layer by the error on images apart from those that were
fitted, and then all images are fitted with them. That error is taken where the next layer reads,
behind the activation, at the best bias of each candidate (bias/passed.py). Nearest rounding is a
candidate too, so that a layer whose weights lie on a grid already, or whose few rows were fitted
too well, keeps what it has.

Source: GPTQ (Frantar et al. 2023, arXiv:2210.17323), which damps all layers by 0.01 and knows no
target but w; the target and the choice are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intaglio.methods.bias.correct_bias import corrected_bias
from intaglio.methods.rounding.input_moments import InputMoments, Moments, input_moments
from intaglio.methods.rounding.round_columns import (
    damped,
    descended,
    round_columns,
    second_order,
)
from intaglio.methods.rounding.row_grids import (
    RowGrids,
    best_grids,
    params_of,
    refitted,
    row_grids,
)
from intaglio.methods.steps.paired_walk import Layer, Tuned, tune_layers
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step
from intaglio.numerics.affine import fake_quantize
from intaglio.numerics.spec import QuantParams, QuantSpec

BIAS_MARGIN = 1.01
"""Scales stay so far above those at which the bias would leave its integers."""
EXACT = 1e-3
"""Of a step: what float32 leaves of weights that were integers times a scale once."""
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
DAMPINGS = (0.01, 0.1, 0.5, 2.0, 10.0)
"""What is chosen from, relative to H's mean diagonal."""
UNKNOWN = 1.0
"""Ridge and damping where there are too few images to keep some apart."""
MOST_COLUMNS = 4608
"""Weights of a row, at most, whose moments are held: each of these takes 8 bytes times their
square, and choices hold some ten of them: 2 GB. A 3x3 convolution of 512 channels has as many."""
SAMPLE = 64
"""Rows of a weight that choices look at: rows are rounded each for itself, and much alike."""


@register_step("round-second-order", NUMBERS)
@dataclass(frozen=True)
class RoundSecondOrder:
    """Second-order rounding of every convolution and fully connected layer, then its bias.

    Transposed convolutions, and layers whose rows have more than MOST_COLUMNS weights (a 7x7
    convolution of 320 channels has 15,680), are rounded to nearest; their bias is corrected, too.

    Attributes:
        ridge: Added to H for the corrected target, relative to its mean diagonal; None: chosen for
            each layer.
        damping: The same for rounding.
        sweeps: Passes of coordinate descent.
        search_scale: Whether scales are chosen anew (per channel only).
        refits: How often scales are fitted to the integers found.
    """

    ridge: float | None = None
    damping: float | None = None
    sweeps: int = 2
    search_scale: bool = True
    refits: int = 1

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state with rounded weights and corrected biases."""
        generator = torch.Generator().manual_seed(context.seed)

        def tuner(layer: Layer) -> Tuned:
            """Return the weight, rounded if `is_rounded`, and its bias."""
            if not is_rounded(layer):
                weight = layer.weight
                params = layer.params
            else:
                moments = input_moments(layer, generator)
                weight, params = self.rounded(layer, moments)
            tuned = replace(layer, params=params)
            return Tuned(weight, corrected_bias(tuned, weight, generator), params)

        return tune_layers(state, context, tuner)

    def rounded(self, layer: Layer, moments: InputMoments) -> tuple[Tensor, QuantParams]:
        """Return the weight on its grid, as real numbers, and the grid.

        It is the nearest one, on the layer's grid, where that is exact, or where rounding fitted to
        other images is no better on those held apart.
        """
        nearest = fake_quantize(layer.weight, layer.params)
        if is_exact(nearest, layer.weight, layer.params):
            return nearest, layer.params
        shape, spec = layer.weight.shape, layer.params.spec
        groups = moments.every.covariance.shape[0]
        rows = layer.weight.double().reshape(groups, -1, moments.every.covariance.shape[1])
        grids = row_grids(layer.params, groups, rows.shape[1])
        ridge = chosen_ridge(rows, moments) if self.ridge is None else self.ridge
        damping = chosen_damping(rows, grids, spec, moments, ridge)
        if damping is None:
            return nearest, layer.params
        damping = damping if self.damping is None else self.damping
        target = corrected_target(rows, moments.every, ridge).float()
        # means are exact; here ratios count
        hessian = damped(moments.every.covariance, damping).float()
        if spec.axis is None:
            integers, params = round_columns(target, hessian, grids, self.sweeps), layer.params
        else:
            integers, grids = self._searched(target, hessian, grids, spec)
            largest_bias = layer.input_scale.double() * layer.target.bias_limit(spec.bits)
            floor = layer.bias.abs().double() * BIAS_MARGIN / largest_bias  # for a scale of 1
            scales = torch.maximum(grids.scales.double(), floor.reshape(grids.scales.shape))
            params = params_of(replace(grids, scales=scales), spec)
        spread = params.scale if spec.axis is None else params.scale.reshape(groups, -1, 1)
        return (integers.float() * spread).reshape(shape), params

    def _searched(
        self, target: Tensor, hessian: Tensor, start: RowGrids, spec: QuantSpec
    ) -> tuple[Tensor, RowGrids]:
        grids = best_grids(target, hessian, start, spec) if self.search_scale else start
        integers = round_columns(target, hessian, grids, self.sweeps)
        if not self.search_scale:
            return integers, grids
        for _ in range(self.refits):
            grids = refitted(integers, target, hessian, grids)
            integers = descended(integers, target, hessian, grids, sweeps=1)
        return integers, grids


def is_rounded(layer: Layer) -> bool:
    """Whether a layer's weights are rounded by second order: the others to nearest."""
    columns = math.prod(layer.weight.shape[1:])
    return layer.node.op != "conv_transpose2d" and columns <= MOST_COLUMNS


def corrected_target(rows: Tensor, moments: Moments, ridge: float) -> Tensor:
    """Return rows t [G, R, K] that repeat `rows` [G, R, K] best behind the quantized prefix."""
    shift: Tensor = torch.linalg.solve(
        damped(moments.covariance, ridge), rows @ moments.difference, left=False
    )
    return rows + shift


def is_exact(nearest: Tensor, weight: Tensor, params: QuantParams) -> bool:
    """Whether every weight is its nearest point of the grid, to a thousandth of a step."""
    step = params.scale.reshape(-1, *[1] * (weight.ndim - 1))
    return bool(((nearest - weight).abs() <= EXACT * step).all())


def chosen_ridge(rows: Tensor, moments: InputMoments) -> float:
    """Return the ridge whose target does best on the images held apart, for some of the rows."""
    if moments.fitted is None or moments.held is None:
        return UNKNOWN
    fitted, chosen = moments.fitted, _sampled(rows)
    rows = rows[:, chosen]
    targets = torch.stack([corrected_target(rows, fitted, ridge) for ridge in RIDGES])
    errors = moments.held.errors(targets, rows, chosen)
    return RIDGES[errors.index(min(errors))]


def chosen_damping(
    rows: Tensor, grids: RowGrids, spec: QuantSpec, moments: InputMoments, ridge: float
) -> float | None:
    """Return the damping whose integers do best on the images held apart, for some of the rows.

    None where nearest rounding on the grids does as well.

    Args:
        rows: [G, R, K].
        grids: To start from.
        ridge: For the target.
    """
    if moments.fitted is None or moments.held is None:
        return UNKNOWN
    chosen = _sampled(rows)
    rows, grids = rows[:, chosen], grids.of(chosen)
    nearest = grids.nearest(rows) * grids.scales.unsqueeze(2)
    target = corrected_target(rows, moments.fitted, ridge).float()
    # all candidates at once, as if they were more groups: columns cost calls, not arithmetic
    count = len(DAMPINGS)
    hessian = torch.cat([damped(moments.fitted.covariance, d).float() for d in DAMPINGS])
    target, grids = target.repeat(count, 1, 1), grids.repeated(count)
    if spec.axis is not None:
        grids = best_grids(target, hessian, grids, spec)
    integers = second_order(target, hessian, grids)
    weights = (integers * grids.scales.unsqueeze(2)).reshape(count, *rows.shape)
    candidates = torch.cat([nearest.unsqueeze(0).float(), weights])
    errors = moments.held.errors(candidates, rows, chosen)
    best = errors.index(min(errors))
    return DAMPINGS[best - 1] if best else None


def _sampled(rows: Tensor) -> Tensor:
    """Return indices of at most SAMPLE of the rows [G, R, K], evenly spread."""
    return torch.linspace(0, rows.shape[1] - 1, min(SAMPLE, rows.shape[1])).long()
