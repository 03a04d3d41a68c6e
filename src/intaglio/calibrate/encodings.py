"""From ranges to numbers: the grid of every value and the scales of every weight."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from intaglio.errors import NonFiniteError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.affine import params_from_range
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.ops.traits import WEIGHTED
from intaglio.passes.read_bounds import read_bounds
from intaglio.targets.runtime import Ranges
from intaglio.targets.target import Target

BIAS_STEPS = 2**20
"""Integer that a channel whose weights are all zero gives its bias (or 1.0 where that is zero too).

It is fine enough for any output grid, and keeps the channel's multiplier small: there are kernels
that take none from 256 on, even where nothing is multiplied.
"""
FOLDED_WEIGHTS = "weights, once what is around it is folded into it,"
"""What messages call weights that are no numbers: the user's own may be."""
BIAS_MARGIN = 2**10
"""How far below the limit a bias stays: its scale and its step are both rounded to float32."""


def choose_encodings(
    graph: Graph, plan: Plan, ranges: Ranges, target: Target, *, trial: bool = False
) -> Encodings:
    """Return the encodings for ranges that calibration saw.

    A group's range is the union of its members' ranges; that of a value alone ends where nothing is
    read of it any more. The target then moves scales to where its kernels are exact.

    Args:
        trial: Whether they are for trying what the target can hold: then no scale is moved.

    Raises:
        UnsupportedByTarget: If the target has no scale for a layer; names it.
        NonFiniteError: If a weight or constant is infinite or NaN; names the layer.
    """
    grids: dict[str, QuantParams] = dict(plan.fixed)
    for group in plan.groups:
        seen = [ranges[name] for name in group if name in ranges]
        if group[0] in grids or group[0] in plan.derived or not seen:
            continue
        low = torch.stack([bounds[0] for bounds in seen]).min()
        high = torch.stack([bounds[1] for bounds in seen]).max()
        require_finite(graph[group[0]], "values", low, high)
        if len(group) == 1:
            read = read_bounds(graph, plan.fixed, group[0])
            low, high = low.clamp(*read), high.clamp(*read)
        found = params_from_range(low, high, plan.activations[group[0]])
        grids.update(dict.fromkeys(group, found))
    plan, grids = target.settle_scales(graph, plan, grids, ranges, trial=trial)
    weights = {
        name: weight_params(
            graph, graph[name], spec, _scale_of(grids, graph[name].inputs[0]), target=target
        )
        for name, spec in plan.weights.items()
    }
    ordered = {node.name: grids[node.name] for node in graph if node.name in grids}
    return Encodings(ordered, weights)


def _scale_of(grids: Mapping[str, QuantParams], name: str) -> Tensor | None:
    grid = grids.get(name)
    return None if grid is None else grid.scale


def trial_encodings(graph: Graph, plan: Plan, target: Target) -> Encodings:
    """Return encodings as if every range were [-1, 1]: for trying what the target can hold."""
    ranges = {name: (torch.tensor(-1.0), torch.tensor(1.0)) for name in plan.activations}
    return choose_encodings(graph, plan, ranges, target, trial=True)


def weight_params(
    graph: Graph, node: Node, spec: QuantSpec, input_scale: Tensor | None, *, target: Target
) -> QuantParams:
    """Return the grid of a weight: from its extremes, the scales raised where the bias needs it.

    A bias is int32 with step s_x * s_w. Where weights are tiny beside their bias (a dead channel
    behind a folded batch norm) that integer would overflow; the scale is raised until it stays
    below the target's limit.

    Args:
        input_scale: Of what the layer reads, []; None: it reads floats, and its bias is one.
    """
    weight = graph.param(node, "weight")
    axis = WEIGHTED[node.op]
    rows = weight.transpose(0, axis).flatten(1)  # [C_out / groups, ...]
    largest = rows.abs().amax(1) if spec.axis is not None else rows.abs().max()
    require_finite(node, FOLDED_WEIGHTS, largest)
    found = params_from_range(*_extremes(rows, largest, spec), spec)
    if input_scale is None:
        return found
    bias = graph.param(node, "bias", torch.zeros(rows.shape[0])).abs().double()
    if spec.axis is None:
        bias = bias.max()
    step = input_scale.double()
    needed = bias / (step * (target.bias_limit(spec.bits) - BIAS_MARGIN))
    silent = bias.where(bias > 0, 1.0) / (step * BIAS_STEPS)
    scale = silent.where(largest == 0, found.scale.double())
    return QuantParams(torch.maximum(scale, needed).float(), found.zero_point, spec)


def _extremes(rows: Tensor, largest: Tensor, spec: QuantSpec) -> tuple[Tensor, Tensor]:
    """Return the ends of a weight's range, [C] or [] each; of a symmetric grid, its magnitudes."""
    if spec.symmetric:
        return -largest, largest
    return (rows.min(), rows.max()) if spec.axis is None else (rows.amin(1), rows.amax(1))


def require_finite(node: Node, what: str, *bounds: Tensor) -> None:
    """Raise NonFiniteError, naming the layer and what of it is meant, unless bounds are numbers."""
    if not all(bool(bound.isfinite().all()) for bound in bounds):
        raise NonFiniteError(
            f"layer '{node.source or node.name}' ({node.op}) has {what} that are NaN or beyond"
            " float32: check its weights, and those of the layers before it"
        )
