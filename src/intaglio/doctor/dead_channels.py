"""Dead channels: constants whose folded kernels, or values, take the grid from the living."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from intaglio.doctor.alone import Change
from intaglio.doctor.case import WORTH_DB, Case, add_db, rounding_to
from intaglio.doctor.finding import DEAD, Finding, Treatment
from intaglio.numerics.affine import params_from_range

WIDER = 1.5
"""How many times farther than the living the dead must reach to be worth a trial: 0.6 bits."""

REMEDY = (
    "run with a recipe that has the step fold-dead-channels (--recipe FILE.toml with [[steps]]"
    ' name = "fold-dead-channels"): constant channels leave the weight and become biases'
)


def find_dead_channels(case: Case) -> Iterator[Finding]:
    """Find layers whose dead channels cost the others their grid.

    A channel is dead by what its batch norm remembers (fold_dead_channels.py). It does harm
    where the weight has one scale and the dead rows are the largest, or where the channel moves on
    the images after all and is the largest of the layer's value. With a scale for each channel a
    row of its own harms nobody: then only the second counts.
    """
    for layer, channels in case.dead.items():
        if layer not in case.plan.weights:
            continue
        by_weight, by_value = _harm_by_weight(case, layer), _harm_by_value(case, layer)
        harms = [harm for harm in (by_weight, by_value) if harm is not None]
        if harms:
            found = _finding(case, layer, channels, *min(harms))
            yield replace(found, node=layer) if by_value else found


def _harm_by_weight(case: Case, layer: str) -> tuple[float, float, float] | None:
    """Return (SQNR now, SQNR without the dead rows, how much farther they reach); None: no harm."""
    spec = case.plan.weights[layer]
    rows, live = case.rows(layer), case.live(layer)
    if spec.axis is not None or not live.any():
        return None
    wider = _ratio(rows, live)
    if wider < WIDER:
        return None
    freed = case.grid_for(layer, rows.where(live, 0.0), spec)
    now, without = case.alone(
        case.weight_change(layer, case.weight_grid(layer)),
        case.weight_change(layer, freed, kept=~live),
    )
    return (now, without, wider) if _does_harm(case, now, without) else None


def _harm_by_value(case: Case, layer: str) -> tuple[float, float, float] | None:
    seen = case.evidence.values.get(layer) if case.evidence else None
    grid = case.encodings.activations.get(layer) if case.encodings else None
    live = case.live(layer)
    if seen is None or grid is None or seen.channels != len(live) or not live.any():
        return None
    wider = _ratio(seen.extent, live)
    if wider < WIDER:
        return None
    freed = params_from_range(seen.low[live].min(), seen.high[live].max(), grid.spec)
    now, without = case.alone(
        Change(layer, value=rounding_to(grid)),
        Change(layer, value=rounding_to(freed, kept=~live)),
    )
    return (now, without, wider) if _does_harm(case, now, without) else None


def _ratio(extent: Tensor, live: Tensor) -> float:
    return float(extent[~live].max() / extent[live].max().clamp(min=torch.finfo().tiny))


def _does_harm(case: Case, now: float, without: float) -> bool:
    return without - now >= WORTH_DB / 2 and case.is_heard(now)


def _finding(
    case: Case, layer: str, channels: list[int], now: float, without: float, wider: float
) -> Finding:
    evidence: dict[str, float | int] = {
        "dead_channels": len(channels),
        "channels": len(case.live(layer)),
        "range_ratio_dead_to_live": wider,
    }
    variance, norm = case.norm_variance(layer), case.norm_behind(layer)
    if variance is not None and norm is not None:
        evidence["smallest_variance"] = float(variance.min())
        evidence["median_variance"] = float(variance.median())
        evidence["epsilon"] = float(norm.attrs["eps"])
    seen = case.evidence.values.get(layer) if case.evidence else None
    if seen is not None and seen.channels == len(case.live(layer)):
        moves = (seen.high > seen.low) & ~case.live(layer)
        evidence["dead_channels_that_vary_on_the_images"] = int(moves.sum())
    evidence = add_db(evidence, sqnr_alone_db=now, sqnr_without_them_db=without)
    treatment = Treatment(steps=("fold-dead-channels",))
    return Finding(DEAD, case.layer_name(layer), evidence, REMEDY, None, now, treatment)
