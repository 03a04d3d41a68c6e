"""In which numbers a network computes while it trains; what stays float32 whatever is chosen.

torch.autocast computes convolutions and products of matrices in the chosen type, forward and back,
from weights that it rounds to it; weights and their optimizers know nothing of it.
Source: Micikevicius et al. 2018, arXiv:1710.03740, sections 3.1 and 3.2.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F

from intaglio.errors import RequestError, cause
from intaglio.methods.learn.options import TrainOptions

TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""Precisions in which convolutions and products are computed, but for torch's own."""
LOWEST_LOSS_SCALE = 2.0**-14
"""The least normal number of fp16: below it, the gradient of a loss itself is lost."""


def precision_of(options: TrainOptions, device: str) -> AbstractContextManager[Any]:
    """Return a context in which a network computes in the chosen precision."""
    if options.precision not in TYPES:
        return nullcontext()
    return torch.autocast(torch.device(device).type, TYPES[options.precision])


def check_precision(options: TrainOptions, device: str) -> None:
    """Make sure, by a small convolution forward and back, that a device has the chosen precision.

    Raises:
        RequestError: If it has not; says what to do.
    """
    if options.precision not in TYPES:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns where it computes in float32 all the same
            reason = _difference(options, device)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = cause(error)[:300]
    if reason is not None:
        raise RequestError(
            f"device '{device}' cannot train in {options.precision} here ({reason}): train in fp32"
            " (--precision fp32, TrainOptions(precision='fp32')), or on another device such as cpu"
        )


def _difference(options: TrainOptions, device: str) -> str | None:
    """Return what is wrong with a convolution of ones in the chosen precision; None: nothing."""
    weight = torch.ones(1, 1, 3, 3, device=device, requires_grad=True)
    with precision_of(options, device):
        made = F.conv2d(torch.ones(1, 1, 4, 4, device=device), weight)  # [1, 1, 2, 2] of 9
    made.float().sum().backward()  # type: ignore[no-untyped-call]
    if made.dtype != TYPES[options.precision]:
        return f"a convolution comes out in {made.dtype}"
    assert weight.grad is not None, "the sum depends on it"
    found = sorted({*made.detach().flatten().tolist(), *weight.grad.flatten().tolist()})
    return None if found == [4.0, 9.0] else f"a convolution of ones makes {found} of 4 and 9"


def told_precision(options: TrainOptions, *, has_grids: bool, loss_scale: float) -> str | None:
    """Return what is computed in the chosen precision and what is not; None where all is float32.

    Args:
        options: Of the run.
        has_grids: Whether values and weights are rounded to grids.
        loss_scale: By how much losses are multiplied at first.
    """
    name = options.precision
    if name not in TYPES:
        return None
    until = "the next rounding to a grid" if has_grids else "the outputs"
    grids = "the rounding of values and weights to grids, " * has_grids
    told = (
        f"trains in {name}: convolutions and products of matrices, forward and back, and what they"
        f" make, as far as {until} at most. In fp32 stay the weights that learn and what moves"
        f" them, the statistics of batch norms, {grids}losses, and all that is measured"
    )
    if name == "fp16":
        told += f". Losses are multiplied by {loss_scale:g}, and gradients divided by as much"
    return told
