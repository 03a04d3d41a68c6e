"""SQuant: nearest rounding, changed where sums of rounding errors cancel better. No data.

For e = q - w / s, each within half a step, a row of a weight [C_in / groups, kH kW] is to have

    |sum of e over each kernel| <= 0.5,  then  |sum of e over the row| <= 0.5 (kernels <= 1)

by flipping integers to their second nearest: as many as the sum's nearest integer says, those first
that are nearest to it. Inputs of one kernel are neighbours in one channel and much alike, those of
a row less so, and what is alike adds up by the sum.

Source: Guo et al. 2022 (arXiv:2202.07471), sections 3.3 and 3.4: element, kernel and channel terms
of a Hessian taken as diagonal, constant in a kernel, and constant in a row. Ties go to the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step
from intaglio.numerics.affine import centered_ends
from intaglio.numerics.spec import QuantParams


@register_step("round-squant", NUMBERS, needs=())
@dataclass(frozen=True)
class RoundSquant:
    """SQuant's rounding of every convolution and fully connected layer: milliseconds, no data."""

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state with rounded weights; scales and biases are as they were."""
        graph = state.graph.copy()
        for name, params in state.encodings.weights.items():
            node = graph[name]
            if node.op != "conv_transpose2d":
                graph.set_param(node, "weight", squant(graph.param(node, "weight"), params))
            context.progress.advance(1)
        return state.with_graph(graph)


def squant(weight: Tensor, params: QuantParams) -> Tensor:
    """Return a weight on its grid, as real numbers of its shape, [C_out, C_in / groups, ...].

    Args:
        params: Its grid; one scale, or one for each output channel.
    """
    rows = weight.reshape(len(weight), weight.shape[1], -1)
    scale = params.scale.reshape(-1, 1, 1).double()
    wanted = rows.double() / scale
    ends = centered_ends(params.zero_point, params.spec)
    low, high = (end.reshape(-1, 1, 1).double() for end in ends)
    integers = wanted.round().clamp(low, high)
    if rows.shape[2] > 1:
        integers = _flipped(integers, wanted, (low, high), axis=2)
    integers = _kernels_flipped(integers, wanted, (low, high))
    return (integers.float() * scale.float()).reshape(weight.shape)


def _flipped(integers: Tensor, wanted: Tensor, ends: tuple[Tensor, Tensor], *, axis: int) -> Tensor:
    """Return integers whose errors sum up to at most half a step along an axis."""
    errors = integers - wanted
    sums = errors.sum(axis, keepdim=True)
    gain, flipped = _second_nearest(integers, errors, sums.sign(), ends)
    order = gain.argsort(dim=axis, descending=True, stable=True).argsort(dim=axis)
    chosen = (order < sums.abs().round()) & (gain > 0.0)
    return torch.where(chosen, flipped, integers)


def _kernels_flipped(integers: Tensor, wanted: Tensor, ends: tuple[Tensor, Tensor]) -> Tensor:
    """Return integers whose errors sum up to half a step a row at most: one more a kernel."""
    errors = integers - wanted
    of_kernels = errors.sum(2)  # [C_out, C_in / groups]
    sums = of_kernels.sum(1, keepdim=True)
    sign = sums.sign()
    gain, flipped = _second_nearest(integers, errors, sign.unsqueeze(2), ends)
    best, place = gain.max(2, keepdim=True)
    toward = (of_kernels * sign).where(best.squeeze(2) > 0.0, -torch.inf)
    order = toward.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    chosen = ((order < sums.abs().round()) & (toward > 0.0)).unsqueeze(2)
    here = torch.zeros_like(integers, dtype=torch.bool).scatter_(2, place, chosen)
    return torch.where(here, flipped, integers)


def _second_nearest(
    integers: Tensor, errors: Tensor, sign: Tensor, ends: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the error of that sign that a flip takes away, 0 where none may be, and the flip."""
    flipped = integers - sign
    may = (flipped >= ends[0]) & (flipped <= ends[1])
    return (errors * sign).clamp(min=0.0).where(may, 0.0), flipped
