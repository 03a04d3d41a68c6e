"""What of a difference the next layer reads: that which passes the fused activation."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.ops.schema import Activation, activate


def passed_difference(
    floats: Tensor, integers: Tensor, activation: Activation | None
) -> tuple[Tensor, Tensor | None]:
    """Return f(z) - f(z^q), and where z or z^q is inside the bounds of f; None: everywhere.

    Args:
        floats, integers: Results z and z^q before the activation f, of one shape.
    """
    if activation is None:
        return floats - integers, None
    low, high = activation
    difference = activate(floats, activation) - activate(integers, activation)
    inside = ((floats > low) & (floats < high)) | ((integers > low) & (integers < high))
    return difference, inside


def error_at_best_shift(floats: Tensor, integers: Tensor, activation: Activation | None) -> Tensor:
    """Return the sum of squares of f(z) - f(z^q + b) at a good b of each channel, [G, R] float64.

    b starts at 0 or at the difference of means before the activation, whichever proves better, and
    is moved by what then is the mean difference where the activation passes something.

    Args:
        floats, integers: [G, P, R].
    """
    least = None
    for start in (0.0, (floats - integers).mean(1, keepdim=True)):
        difference, inside = passed_difference(floats, integers + start, activation)
        count = difference.shape[1] if inside is None else inside.sum(1).clamp(min=1)
        squares = difference.square().sum(1, dtype=torch.float64)
        error = squares - difference.sum(1, dtype=torch.float64).square() / count
        least = error if least is None else least.minimum(error)
    assert least is not None
    return least.clamp(min=0.0)
