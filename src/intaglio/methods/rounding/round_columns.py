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

from intaglio.methods.rounding.row_grids import RowGrids

BLOCK = 64
"""Columns whose errors are collected before the rest of the matrix is touched."""


def round_columns(target: Tensor, hessian: Tensor, grids: RowGrids, sweeps: int) -> Tensor:
    """Return integers [G, R, K]: `second_order`, then `descended`."""
    integers = second_order(target, hessian, grids)
    return descended(integers, target, hessian, grids, sweeps=sweeps)


def second_order(target: Tensor, hessian: Tensor, grids: RowGrids) -> Tensor:
    """Return integers [G, R, K]: columns rounded in turn, each error spread over later ones.

    Args:
        target: [G, R, K].
        hessian: [G, K, K], positive definite.
        grids: Of the rows; integers are centered.
    """
    scales = grids.scales
    upper = inverse_factor(hessian.double()).to(target.dtype)
    rest, integers = target.clone(), torch.empty_like(target)
    count = target.shape[2]
    for begin in range(0, count, BLOCK):
        end = min(begin + BLOCK, count)
        errors = torch.empty_like(target[:, :, begin:end])
        for column in range(begin, end):
            value = rest[:, :, column]
            integer = (value / scales).round_().clamp_(grids.low, grids.high)
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
    integers: Tensor, target: Tensor, hessian: Tensor, grids: RowGrids, *, sweeps: int
) -> Tensor:
    """Return integers after sweeps of coordinate descent: each column at its best, in turn."""
    scales = grids.scales
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
                new = wish.round_().clamp_(grids.low, grids.high)
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


def damped(covariance: Tensor, share: float) -> Tensor:
    """Return H plus a share of its mean diagonal; a layer that never sees anything gets ones."""
    mean = covariance.diagonal(dim1=1, dim2=2).mean(1)
    mean = mean.where(mean > 0, torch.ones_like(mean))
    eye = torch.eye(covariance.shape[1], dtype=covariance.dtype)
    return covariance + share * mean.reshape(-1, 1, 1) * eye
