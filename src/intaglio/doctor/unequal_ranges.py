"""Unequal channel ranges: one scale serves channels of which few need it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from intaglio.doctor.alone import Change
from intaglio.doctor.case import AUDIBLE_DB, WORTH_DB, Case, add_db, middle_of, rounding_to
from intaglio.doctor.finding import UNEQUAL, Figures, Finding, Treatment
from intaglio.numerics.affine import params_from_range
from intaglio.ops.traits import WEIGHTED

UNEQUAL_ROWS = 8.0
"""Ratio of the widest row of a folded weight to the median one: the median row loses 3 of 8 bits.

Networks that have no trouble with one scale stay below 4 (ResNet-20 of the data pack: 3.8).
"""

REMEDY = (
    "give each channel a scale of its own (a --scheme without -per-tensor), or run with a recipe"
    ' that has the steps fold-dead-channels and equalize ([[steps]] name = "equalize")'
)
EQUALIZED = (
    "run with a recipe that has the step{steps} equalize ([[steps]] name ="
    ' "equalize"): channels far larger than others are scaled down here and up in the next layer'
)

FAR_APART = 64.0
"""Ratio of the widest channel to a narrow one, in values and rows: 6 of its 8 bits are lost."""

NARROW = 0.1
"""Share of the channels that may be narrower than the narrow one that is looked at.

Single channels near 0 are in every network.
"""


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
            treatment = equalizing(case)
            yield Finding(UNEQUAL, case.layer_name(layer), evidence, REMEDY, None, now, treatment)


def find_unequal_values(case: Case) -> Iterator[Finding]:
    """Find layers of which many channels are wide and many narrow, in rows as in values.

    However a weight's rows are scaled, the value has one grid, which the wide channels set. Where
    only few are wide they are outliers (outliers.py); here they may be most. The proof is that a
    grid for each channel would regain at least a bit.
    """
    for layer in case.plan.weights:
        seen = case.evidence.values.get(layer) if case.evidence else None
        grid = case.encodings.activations.get(layer) if case.encodings else None
        live = case.live(layer)
        if seen is None or grid is None or seen.channels != len(live) or not live.any():
            continue
        rows = case.rows(layer)
        ratio = _ratio(seen.extent[live])
        if ratio < FAR_APART or _ratio(rows[live]) < FAR_APART:
            continue
        own = params_from_range(seen.low, seen.high, replace(grid.spec, axis=1))
        now, each = case.alone(
            Change(layer, value=rounding_to(grid)), Change(layer, value=rounding_to(own))
        )
        if each - now >= WORTH_DB and now < AUDIBLE_DB and case.matters(now):
            evidence = add_db(
                {
                    "value_ratio_widest_to_narrow": ratio,
                    **unequal_evidence(case, layer, rows.where(live, 0.0)),
                },
                sqnr_alone_db=now,
                sqnr_with_own_grids_db=each,
            )
            yield unequal_values(case, layer, evidence, now)


def unequal_values(case: Case, layer: str, evidence: Figures, harm: float) -> Finding:
    """Return the finding of a layer whose value has channels, from its rows, of unequal size."""
    treatment = equalizing(case)
    steps = "s fold-dead-channels and" if len(treatment.steps) > 1 else ""
    remedy = EQUALIZED.format(steps=steps)
    return Finding(UNEQUAL, case.layer_name(layer), evidence, remedy, None, harm, treatment, layer)


def equalizing(case: Case) -> Treatment:
    """Return the step that makes channels equal; dead ones, if any, must be folded before it."""
    folded = ("fold-dead-channels",) if any(case.dead.values()) else ()
    return Treatment(steps=(*folded, "equalize"))


def _ratio(sizes: Tensor) -> float:
    """Return the widest over a narrow one of [C], those that are 0 left out."""
    alive = sizes[sizes > 0].sort().values
    return float(alive[-1] / alive[int(NARROW * len(alive))]) if len(alive) else 0.0


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
