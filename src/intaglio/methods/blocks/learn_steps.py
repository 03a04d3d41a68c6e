"""Scales of a block's values, learned after its rounding.

Source: step sizes after reconstruction as in BRECQ (Li et al. 2021, arXiv:2102.05426, section 4.1),
by LSQ's gradient (numerics/ste.py). We learn the logarithm of each scale; zero points stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.methods.blocks.block_samples import Sampler
from intaglio.methods.blocks.blocks import Block
from intaglio.methods.blocks.soft_block import BlockRun
from intaglio.methods.steps.state import Quantized
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantParams
from intaglio.targets.target import Target

LEARNING_RATE = 2e-3
LIMIT = math.log(2.0)
"""No scale is more than doubled or halved."""


def with_learned_steps(
    state: Quantized, sampler: Sampler, target: Target, importance: Tensor, *, count: int
) -> Quantized:
    """Return the state with other scales for the block's values; the same where none can learn.

    Values whose grid is prescribed, derived, or shared with values outside the block keep theirs,
    and so do the network's outputs: clipped logits are ties.

    Args:
        importance: Of each channel of the block's result.
        count: Training steps.
    """
    groups = learnable_groups(state.graph, state.plan, sampler.block)
    if not groups:
        return state
    factors = learned_factors(state, sampler, groups, importance, count=count)
    wished = {
        name: _scaled(state.encodings.activations[name], factors[index])
        for index, group in enumerate(groups)
        for name in group
    }
    found = with_scales(Place(state.graph, state.plan, state.encodings, target), wished)
    return state if found is None else replace(state, encodings=found)


def learned_factors(
    state: Quantized,
    sampler: Sampler,
    groups: Sequence[tuple[str, ...]],
    importance: Tensor,
    *,
    count: int,
) -> Tensor:
    """Return what the scales of each group of values are to be multiplied with, [len(groups)]."""
    encodings = state.encodings
    logarithms = torch.zeros(len(groups), requires_grad=True)
    optimizer = torch.optim.Adam([logarithms], lr=LEARNING_RATE)
    for step in range(count):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1.0 - step / count)
        factors = logarithms.exp()
        scales = {
            name: encodings.activations[name].scale * factors[index]
            for index, group in enumerate(groups)
            for name in group
        }
        run = BlockRun(
            state.graph, sampler.block, encodings, {}, sampler.generator, scales, rounds_result=True
        )
        sample = sampler.draw()
        error = ((run(sample) - sample.target).square() * importance).mean()
        optimizer.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            logarithms.clamp_(-LIMIT, LIMIT)
    return logarithms.detach().exp()


@dataclass(frozen=True, eq=False)
class Place:
    """What scales must fit: the network, what is planned, and the scales now."""

    graph: Graph
    plan: Plan
    encodings: Encodings
    target: Target


def with_scales(place: Place, wished: Mapping[str, QuantParams]) -> Encodings | None:
    """Return encodings with other grids where the target can hold them; else None.

    The rules of calibration hold again: sums' operands fit, and both architectures agree to the
    bit. A bias that would leave int32 at a smaller input scale makes it None.
    """
    grids = {**place.encodings.activations, **wished}
    try:
        _, grids = place.target.settle_scales(place.graph, place.plan, grids, {})
    except UnsupportedByTarget:
        return None
    ordered = {name: grids[name] for name in place.encodings.activations}
    found = Encodings(ordered, dict(place.encodings.weights))
    return found if _holds_biases(place.graph, found, place.target) else None


def learnable_groups(graph: Graph, plan: Plan, block: Block) -> list[tuple[str, ...]]:
    """Return the sets of values of a block that share a grid, where it is theirs to choose."""
    inside, kept = set(block.nodes), {*graph.outputs, *plan.fixed, *plan.derived}
    return [
        group for group in plan.groups if inside.issuperset(group) and not kept.intersection(group)
    ]


def _scaled(grid: QuantParams, factor: Tensor) -> QuantParams:
    return QuantParams((grid.scale * factor).float(), grid.zero_point, grid.spec)


def _holds_biases(graph: Graph, encodings: Encodings, target: Target) -> bool:
    for name, params in encodings.weights.items():
        node = graph[name]
        grid = encodings.activations.get(node.inputs[0])
        if grid is None or "bias" not in node.params:
            continue
        step = grid.scale.double() * params.scale.double()
        integers = graph.param(node, "bias").double() / step
        if float(integers.abs().max()) >= target.bias_limit(params.spec.bits):
            return False
    return True
