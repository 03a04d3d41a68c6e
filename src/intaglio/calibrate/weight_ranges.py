"""Largest magnitudes of weights: where clipping a few of them makes the rest finer.

For symmetric grids. Without clipping the largest magnitude is max |w|; at 8 bits that is hardly
beaten, at 4 bits it is. Layers in which a few large weights do the work are harmed by any clipping,
unless rounding or biases are corrected afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.calibrate.aciq import Moments, likelier_width
from intaglio.errors import SpecError
from intaglio.numerics.spec import QuantSpec

COARSE = torch.linspace(1.0, 0.1, 46)
"""Shares of max |w| that are tried first, the largest first."""
FINE = torch.linspace(0.02, -0.02, 17)
"""What is then added to the best of them."""


def mse_weight_range(rows: Tensor, spec: QuantSpec) -> Tensor:
    """Return the largest magnitudes of least squared error, [C] float32; [] without `spec.axis`.

    Args:
        rows: [C, K] float32, the weights of each output channel.
        spec: A symmetric grid.

    Raises:
        SpecError: If the grid is not symmetric.
    """
    rows = _as_rows(rows, spec)
    full = rows.abs().amax(1)
    best, least = torch.ones_like(full), torch.full_like(full, float("inf"))
    scratch = torch.empty_like(rows)
    for shares in (COARSE, FINE):
        middle = torch.zeros_like(best) if shares is COARSE else best.clone()
        for share in shares:
            tried = (middle + share).clamp(0.0, 1.0)
            error = _squared_error(rows, tried * full, spec, scratch)
            better = error < least
            best, least = tried.where(better, best), error.where(better, least)
    return (best * full).reshape(() if spec.axis is None else (-1,))


def aciq_weight_range(rows: Tensor, spec: QuantSpec) -> Tensor:
    """Return the analytic largest magnitudes, [C] float32; [] without `spec.axis`.

    Of Laplace's and the normal distribution, the likelier one of each channel (calibrate/aciq.py):
    |mean| plus the clipping distance, at most max |w|.

    Args:
        rows: [C, K] float32, the weights of each output channel.
        spec: A symmetric grid.

    Raises:
        SpecError: If the grid is not symmetric.
    """
    rows = _as_rows(rows, spec)
    mean = rows.double().mean(1)
    away = rows.double() - mean[:, None]
    moments = zip(mean, away.abs().mean(1), away.square().mean(1).sqrt(), strict=True)
    found = [
        abs(float(middle)) + likelier_width(Moments(float(middle), float(b), float(std)), spec.bits)
        for middle, b, std in moments
    ]
    clipped = torch.minimum(torch.tensor(found), rows.abs().amax(1))
    return clipped.reshape(() if spec.axis is None else (-1,))


def _as_rows(rows: Tensor, spec: QuantSpec) -> Tensor:
    if not spec.symmetric:
        raise SpecError("a weight range is one magnitude: it needs a symmetric spec")
    return rows if spec.axis is not None else rows.reshape(1, -1)


def _squared_error(rows: Tensor, largest: Tensor, spec: QuantSpec, scratch: Tensor) -> Tensor:
    """Return the squared error of each row, [C], on the grid with these largest magnitudes [C]."""
    scale = largest / spec.qmax
    scale = scale.where(scale > 0, 1.0)[:, None]
    torch.div(rows, scale, out=scratch)
    scratch.round_().clamp_(spec.qmin, spec.qmax).mul_(scale)
    return scratch.sub_(rows).square_().sum(1)
