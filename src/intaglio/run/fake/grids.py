"""The grids of a network in training: what is wished for, and what counts.

What counts is what the runtime settles the wishes to. It is settled again every few steps, since
wishes move a little with each, and whenever the network is measured or read out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from intaglio.errors import RangeError, SpecError, UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantParams
from intaglio.run.fake.clamps import clamps_of, within_clamp
from intaglio.run.fake.fake_quantize import Edges
from intaglio.run.fake.fixed import FixedValues
from intaglio.run.fake.names import key_of
from intaglio.run.fake.ranges import RangeMethod, Together, ValueRange, edges_of
from intaglio.targets.target import Target

SETTLE_EVERY = 10
"""Training steps between two settlings."""


@dataclass(frozen=True, eq=False)
class Deployment:
    """What a network is quantized to.

    Attributes:
        plan: Which values have a grid, and which share one.
        encodings: The grids that training starts from.
        target: The runtime, which settles grids and whose kernels count.
    """

    plan: Plan
    encodings: Encodings
    target: Target


class Grids(nn.Module):
    """The grids of all values.

    Attributes:
        used_scale, used_zero: Of each value in the encodings' order, the grid that counts, [n].
    """

    used_scale: Tensor
    used_zero: Tensor

    def __init__(self, graph: Graph, deployment: Deployment, method: RangeMethod) -> None:
        """Start from the deployment's encodings."""
        super().__init__()
        self.graph, self.deployment = graph, deployment
        start, plan = deployment.encodings.activations, deployment.plan
        self.names = list(start)
        self.ranges = nn.ModuleDict()
        self.leader: dict[str, str] = {}
        self._clamps: dict[str, tuple[float, float]] = {}
        for group in plan.groups:
            first = group[0]
            if first in plan.fixed or first in plan.derived:
                continue
            is_stored = all(graph[name].op == "constant" for name in group)
            made = FixedValues(start[first]) if is_stored else method.values(start[first])
            self.ranges[key_of(first)] = made
            self.leader.update(dict.fromkeys(group, first))
            self._clamps[first] = clamps_of(graph, group, start[first])
        self.register_buffer("used_scale", torch.stack([start[n].scale for n in self.names]))
        self.register_buffer("used_zero", torch.stack([start[n].zero_point for n in self.names]))
        self._used: dict[str, QuantParams] = dict(start)
        self.register_load_state_dict_post_hook(_again_from_buffers)  # type: ignore[no-untyped-call]

    def __contains__(self, name: object) -> bool:
        return name in self._used

    def used(self, name: str) -> QuantParams:
        """Return the grid of a value that counts."""
        return self._used[name]

    @property
    def activations(self) -> dict[str, QuantParams]:
        """The grids that count, by value, in the graph's order."""
        return dict(self._used)

    @property
    def observing(self) -> list[ValueRange]:
        """The ranges that observe values."""
        ranges = [one for one in self.ranges.values() if isinstance(one, ValueRange)]
        return [one for one in ranges if one.observes]

    def range_of(self, name: str) -> ValueRange | None:
        """Return what learns the grid of a value; None where it is prescribed or derived."""
        leader = self.leader.get(name)
        if leader is None:
            return None
        found = self.ranges[key_of(leader)]
        assert isinstance(found, ValueRange), "these are made here"
        return found

    def edges(self, name: str, count: int) -> Edges:
        """Return the edges of a value's grid, with gradients for what learns it.

        Args:
            count: Numbers of one image's value.
        """
        used, learned = self._used[name], self.range_of(name)
        return edges_of(used, used.scale) if learned is None else learned.edges(used, count)

    @torch.no_grad()
    def settle(self) -> bool:
        """Settle the grids that count anew; return whether one has moved.

        Where a wish is no grid (a learned scale that is not finite), or the target has no scale for
        a layer at what is wished, all stay as they are.
        """
        plan = self.deployment.plan
        wished = dict(plan.fixed)
        try:
            for name, leader in self.leader.items():
                wished[name] = self._cpu(leader)
            _, settled = self.deployment.target.settle_scales(self.graph, plan, wished, {})
        except (UnsupportedByTarget, SpecError, RangeError):
            return False
        moved = [name for name in self.names if not settled[name].same_grid(self._used[name])]
        self._take({name: settled[name] for name in self.names})
        return bool(moved)

    @torch.no_grad()
    def follow(self, together: Together | None) -> None:
        """Let ranges follow what they observed in a step, in all processes at once."""
        following = self.observing
        if not following:
            return
        lows, highs = (
            torch.stack(ends) for ends in zip(*(one.seen() for one in following), strict=True)
        )
        if together is not None:
            lows, highs = together.lowest(lows), together.highest(highs)
        for one, low, high in zip(following, lows, highs, strict=True):
            one.follow(low, high)

    def _cpu(self, leader: str) -> QuantParams:
        found = self.range_of(leader)
        assert found is not None, "a leader has one"
        grid = found.wished()
        grid = QuantParams(grid.scale.cpu(), grid.zero_point.cpu(), grid.spec)
        start = self.deployment.encodings.activations[leader]
        return within_clamp(grid, self._clamps[leader], start)

    def _take(self, grids: Mapping[str, QuantParams]) -> None:
        self.used_scale.copy_(torch.stack([grids[name].scale for name in self.names]))
        self.used_zero.copy_(torch.stack([grids[name].zero_point for name in self.names]))
        self._used = dict(grids)


def _again_from_buffers(grids: Grids, keys: Any) -> None:
    """Make the grids that count of the buffers that were loaded."""
    scales, zeros = grids.used_scale.cpu(), grids.used_zero.cpu()
    grids._used = {
        name: QuantParams(scales[index].clone(), zeros[index].clone(), grids._used[name].spec)
        for index, name in enumerate(grids.names)
    }
