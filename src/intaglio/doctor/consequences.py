"""Which findings only follow from others: what is wrong in one layer shows in those behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from intaglio.doctor.case import Case
from intaglio.doctor.evidence import ends_of
from intaglio.doctor.finding import (
    HARD_SWISH,
    OUTLIERS,
    RELU6,
    SHARED,
    SQUEEZE_EXCITE,
    UNEQUAL,
    Finding,
)
from intaglio.doctor.outliers import WIDE_CHANNEL
from intaglio.doctor.saturation import MOST_SATURATED
from intaglio.numerics.normal import Normal

REACH = 4.0
"""Standard deviations that a channel reaches on images, roughly."""


def without_consequences(case: Case, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings without those in values that have it from a layer before.

    A layer behind an ill one is ill of its own where its batch norm expects what the images show:
    the norm saw the training images through a sound network. Without a batch norm it gets the
    benefit of the doubt. Where an output shares its grid, that its channels are unequal is the same
    thing, and what helps values in the middle does not help there. Findings without a value (of
    weights, of images) always stay. Each that stays says in its evidence how many layers behind it
    follow.
    """
    order = {node.name: number for number, node in enumerate(case.graph)}
    shared = {finding.node for finding in findings if finding.cause == SHARED}
    findings = [f for f in findings if f.cause not in (OUTLIERS, UNEQUAL) or f.node not in shared]
    roots: list[str] = []
    followers: dict[str, int] = {}
    kept = [finding for finding in findings if not finding.node]
    for finding in sorted((f for f in findings if f.node), key=lambda f: order[f.node]):
        above = ancestors(case, finding.node)
        first = next((root for root in roots if root in above), None)
        if first is None or is_own(case, finding):
            kept.append(finding)
            roots.append(finding.node)
        else:
            followers[first] = followers.get(first, 0) + 1
    return [
        replace(
            finding,
            evidence={**finding.evidence, "layers_behind_that_follow": followers[finding.node]},
        )
        if followers.get(finding.node)
        else finding
        for finding in kept
    ]


def ancestors(case: Case, name: str) -> set[str]:
    """Return all values that a value is computed from."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for source in case.graph[waiting.pop()].inputs:
            if source not in found:
                found.add(source)
                waiting.append(source)
    return found


def is_own(case: Case, finding: Finding) -> bool:
    """Whether the layer's batch norm expects what was found."""
    normal = _expected(case, finding.node)
    if normal is None:
        return False
    if finding.cause in (OUTLIERS, UNEQUAL):
        extent = normal.mean.abs() + REACH * normal.std
        return bool(extent.max() >= WIDE_CHANNEL * extent.median())
    if finding.cause not in (RELU6, HARD_SWISH, SQUEEZE_EXCITE):
        return False
    low, high = ends_of(case.graph[finding.node])
    if case.graph[finding.node].op == "add":  # a hard-swish's gate is its input plus 3
        low, high = low - 3.0, high - 3.0
    std = normal.std.clamp(min=1e-12)
    share = torch.special.ndtr((normal.mean - high) / std)
    if finding.cause != RELU6:
        share = share + torch.special.ndtr((low - normal.mean) / std)
    return float(share.mean()) > MOST_SATURATED[finding.cause] / 2


def _expected(case: Case, name: str) -> Normal | None:
    """Return what batch norms expect of a value before its activation, or of a gate's input."""
    node = case.graph[name]
    if name not in case.statistics and node.op in ("add", "sigmoid"):
        known = [source for source in node.inputs if source in case.statistics]
        name = known[0] if len(known) == 1 else name
    return case.statistics.get(name)
