"""Decisions before any data is seen: which values are integers, and which share a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from intaglio.numerics.spec import QuantParams, QuantSpec


@dataclass(frozen=True)
class Plan:
    """What is to be quantized, and how.

    Attributes:
        activations: Spec by value; a value without an entry stays float32.
        groups: Sets of values that share one grid; every quantized value is in exactly one.
        fixed: Grids that are prescribed.
        derived: A value to (source, factor): its grid is the source's with the scale times factor.
            Sources stand before what is derived from them.
        weights: Spec by layer.
        kept_float: Value to the reason why it stays float32.
    """

    activations: dict[str, QuantSpec]
    groups: tuple[tuple[str, ...], ...]
    fixed: dict[str, QuantParams]
    derived: dict[str, tuple[str, float]]
    weights: dict[str, QuantSpec]
    kept_float: dict[str, str]

    @cached_property
    def group_of(self) -> dict[str, tuple[str, ...]]:
        """Value to the set of values, itself among them, that share its grid."""
        return {name: group for group in self.groups for name in group}


def with_derived(plan: Plan, grids: Mapping[str, QuantParams]) -> dict[str, QuantParams]:
    """Return grids with those that the plan derives from others put in their places."""
    found = dict(grids)
    for name, (source, factor) in plan.derived.items():
        grid = found[source]
        # the product that a kernel forms: its multiplier is then exactly 1
        scale = torch.tensor(np.float32(grid.step * np.float32(factor)))
        found[name] = QuantParams(scale, grid.zero_point, grid.spec)
    return found
