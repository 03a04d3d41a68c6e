"""Unequal channel ranges: one scale serves channels of which few need it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from intaglio.doctor.case import WORTH_DB, Case, add_db, middle_of
from intaglio.doctor.finding import UNEQUAL, Figures, Finding, Treatment
from intaglio.ops.traits import WEIGHTED

UNEQUAL_ROWS = 8.0
"""Ratio of the widest row of a folded weight to the median one: the median row loses 3 of 8 bits.

Networks that have no trouble with one scale stay below 4 (ResNet-20 of the data pack: 3.8).
"""

REMEDY = (
    "give each channel a scale of its own (a --scheme without -per-tensor), or run with a recipe"
    ' that has the steps fold-dead-channels and equalize ([[steps]] name = "equalize")'
)
TREATMENT = Treatment(steps=("fold-dead-channels", "equalize"))


def find_unequal_ranges(case: Case) -> Iterator[Finding]:
    """Find layers whose weight has one scale and rows of very different size.

    Dead rows are left out: they are a cause of their own. The proof is that a scale for each row
    would regain at least a bit.
    """
    for layer, spec in case.plan.weights.items():
        if spec.axis is not None:
            continue
        rows = case.rows(layer).where(case.live(layer), 0.0)
        ratio = float(rows.max()) / max(middle_of(rows), 1e-30)
        if ratio < UNEQUAL_ROWS:
            continue
        dead = ~case.live(layer)
        shared = case.grid_for(layer, rows, spec)
        own = case.grid_for(layer, rows, replace(spec, axis=WEIGHTED[case.graph[layer].op]))
        now, each = case.alone(
            case.weight_change(layer, shared, kept=dead), case.weight_change(layer, own, kept=dead)
        )
        if each - now >= WORTH_DB and case.is_heard(now):
            evidence = add_db(
                unequal_evidence(case, layer, rows),
                sqnr_alone_db=now,
                sqnr_with_own_scales_db=each,
            )
            yield Finding(UNEQUAL, case.layer_name(layer), evidence, REMEDY, None, now, TREATMENT)


def unequal_evidence(case: Case, layer: str, rows: Tensor) -> Figures:
    """Return how unequal the rows [C_out] are, and the batch norm's variance behind it."""
    widest = int(rows.argmax())
    evidence: Figures = {
        "range_ratio_max_to_median": float(rows.max()) / max(middle_of(rows), 1e-30),
        "largest_weight": float(rows.max()),
        "median_weight": middle_of(rows),
        "widest_channel": widest,
    }
    variance = case.norm_variance(layer)
    if variance is not None:
        evidence["widest_channel_variance"] = float(variance[widest])
        evidence["median_variance"] = float(variance.median())
    return evidence
