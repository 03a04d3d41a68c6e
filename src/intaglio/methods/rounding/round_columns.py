"""Rounding of a weight's columns one after the other, each error undone by those still to come.

For rows t to be met, a curvature H of the error and scales s, the integers q are to make

    (q s - t)' H (q s - t)

small. Source: GPTQ (Frantar et al. 2023, arXiv:2210.17323, equations 2 and 3), batched over the
groups of a convolution; we add sweeps of coordinate descent, which can only lower the objective,
and the best scale for the integers found, s = q'Ht / q'Hq.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.numerics.spec import QuantSpec

BLOCK = 64
"""Columns whose errors are collected before the rest of the matrix is touched."""
SHRINKS = torch.linspace(0.35, 1.0, 40)


def round_columns(
    target: Tensor, hessian: Tensor, scales: Tensor, spec: QuantSpec, sweeps: int
) -> Tensor:
    """Return integers [G, R, K]: `second_order`, then `descended`."""
    integers = second_order(target, hessian, scales, spec)
    return descended(integers, target, hessian, scales, spec, sweeps=sweeps)


def second_order(target: Tensor, hessian: Tensor, scales: Tensor, spec: QuantSpec) -> Tensor:
    """Return integers [G, R, K]: columns rounded in turn, each error spread over later ones.

    Args:
        target: [G, R, K].
        hessian: [G, K, K], positive definite.
        scales: [G, R].
    """
    upper = inverse_factor(hessian.double()).to(target.dtype)
    rest, integers = target.clone(), torch.empty_like(target)
    count = target.shape[2]
    for begin in range(0, count, BLOCK):
        end = min(begin + BLOCK, count)
        errors = torch.empty_like(target[:, :, begin:end])
        for column in range(begin, end):
            value = rest[:, :, column]
            integer = (value / scales).round().clamp(spec.qmin, spec.qmax)
            integers[:, :, column] = integer
            error = (value - integer * scales) / upper[:, column, column].unsqueeze(1)
            errors[:, :, column - begin] = error
            follow = upper[:, column, column + 1 : end].unsqueeze(1)
            rest[:, :, column + 1 : end] -= error.unsqueeze(2) * follow
        rest[:, :, end:] -= errors @ upper[:, begin:end, end:]
    return integers


def inverse_factor(hessian: Tensor) -> Tensor:
    """Return upper triangular U with U'U = H^-1, [G, K, K], for H positive definite.

    With the order of rows and columns turned round, H = L L' gives H = V V' where V is upper
    triangular, and U = V^-1: a third of the arithmetic of inverting H first.
    """
    lower = torch.linalg.cholesky(hessian.flip(1, 2))
    eye = torch.eye(hessian.shape[1], dtype=hessian.dtype).expand_as(hessian)
    factor: Tensor = torch.linalg.solve_triangular(lower.flip(1, 2), eye, upper=True)
    return factor


def descended(
    integers: Tensor,
    target: Tensor,
    hessian: Tensor,
    scales: Tensor,
    spec: QuantSpec,
    *,
    sweeps: int,
) -> Tensor:
    """Return integers after sweeps of coordinate descent: each column at its best, in turn."""
    integers = integers.clone()
    gradient = (integers * scales.unsqueeze(2) - target) @ hessian  # [G, R, K]
    curvature = hessian.diagonal(dim1=1, dim2=2).unsqueeze(1) * scales.unsqueeze(2)
    count = target.shape[2]
    for _ in range(sweeps):
        changed = False
        for begin in range(0, count, BLOCK):
            end = min(begin + BLOCK, count)
            before = integers[:, :, begin:end].clone()
            local = gradient[:, :, begin:end].clone()
            for column in range(begin, end):
                old = integers[:, :, column]
                wish = old - local[:, :, column - begin] / curvature[:, :, column]
                new = wish.round().clamp(spec.qmin, spec.qmax)
                move = ((new - old) * scales).unsqueeze(2)
                local += move * hessian[:, column, begin:end].unsqueeze(1)
                integers[:, :, column] = new
            moves = (integers[:, :, begin:end] - before) * scales.unsqueeze(2)
            if bool(moves.any()):
                changed = True
                gradient += moves @ hessian[:, begin:end]
        if not changed:
            break
    return integers


def best_scales(target: Tensor, hessian: Tensor, start: Tensor, spec: QuantSpec) -> Tensor:
    """Return scales [G, R] that make nearest rounding's error, weighed by H's diagonal, smallest.

    Candidates shrink the scale that covers the largest magnitude.
    """
    weights = hessian.diagonal(dim1=1, dim2=2).unsqueeze(1)  # [G, 1, K]
    whole = target.abs().amax(2) / spec.qmax
    whole = torch.where(whole > 0, whole, start)  # of an empty row, which any scale holds
    best, least = whole, torch.full_like(whole, float("inf"))
    for shrink in SHRINKS:
        scales = whole * float(shrink)
        spread = scales.unsqueeze(2)
        integers = (target / spread).round_().clamp_(spec.qmin, spec.qmax)
        error = ((integers * spread - target).square_() * weights).sum(2)
        best = torch.where(error < least, scales, best)
        least = torch.minimum(error, least)
    return best


def refitted_scales(integers: Tensor, target: Tensor, hessian: Tensor, scales: Tensor) -> Tensor:
    """Return s = q'Ht / q'Hq, [G, R]; the old scale where that is not positive."""
    image = integers @ hessian
    above, below = (image * target).sum(2), (image * integers).sum(2)
    found = above / below
    return torch.where((below > 0) & (above > 0), found, scales)


def damped(covariance: Tensor, share: float) -> Tensor:
    """Return H plus a share of its mean diagonal; a layer that never sees anything gets ones."""
    mean = covariance.diagonal(dim1=1, dim2=2).mean(1)
    mean = mean.where(mean > 0, torch.ones_like(mean))
    eye = torch.eye(covariance.shape[1], dtype=covariance.dtype)
    return covariance + share * mean.reshape(-1, 1, 1) * eye
