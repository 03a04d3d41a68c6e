"""Values whose range a few numbers, or a few channels, take for themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from intaglio.calibrate.histogram import Histogram
from intaglio.calibrate.mse import least_error_range
from intaglio.doctor.alone import Change
from intaglio.doctor.case import AUDIBLE_DB, WORTH_DB, Case, add_db, middle_of, rounding_to
from intaglio.doctor.evidence import ValueSeen
from intaglio.doctor.finding import OUTLIERS, Figures, Finding, Treatment
from intaglio.doctor.unequal_ranges import UNEQUAL_ROWS, unequal_evidence, unequal_values
from intaglio.ir.graph import Node
from intaglio.numerics.affine import fake_quantize, params_from_range
from intaglio.numerics.spec import QuantParams
from intaglio.ops.traits import SHARING

FAR_OUT = 6.0
"""Largest magnitude over that of 99.9 % of the numbers; trained networks stay below 2.5."""

WIDE_CHANNEL = 16.0
"""Extent of the widest channel over the median one's: 4 bits; trained networks stay below 9."""

RARE = 0.125
"""Share of the channels that may be as wide and still be exceptions among the others.

Where more are, the small ones are what is rare: an untrained network has channels near 0 anywhere.
Then only what is heard at AUDIBLE_DB counts, however quiet the network's other values are.
"""

HEARD_DB = 1.0
"""Gain that is enough where a whole channel is far out: its size alone costs the others 4 bits."""

SURE_DB = 2 * WORTH_DB
"""Gain that shows the cause even where the network hides its noise: two bits."""

CLIPPED = "run with --calibrator mse: the few numbers are clipped and the others get finer steps"
KEPT = "keep the layer in float (--keep-float {layer}): what is far out carries signal"


def find_outliers(case: Case) -> Iterator[Finding]:
    """Find values whose grid serves few numbers, and name what makes them so large.

    Where rows of the layer's weight are as unequal as the channels that they make, the cause is
    unequal-channel-ranges; else it is outlier-activations. The proof is that a grid for the others,
    with what is far out left in float32, would make the outputs better.
    """
    for node in case.graph:
        seen = _own_value(case, node)
        if seen is None:
            continue
        few, wide = _far_out(seen, _live(case, node, seen))
        if not few and not wide:
            continue
        now, without = case.alone(
            Change(node.name, value=rounding_to(_grid(case, node))),
            Change(node.name, value=_bulk_rounded(case, node, seen)),
        )
        gain, needed = without - now, HEARD_DB if wide else WORTH_DB
        exceptional = few or _is_rare(seen.extent[_live(case, node, seen)])
        heard = case.is_heard(now) if exceptional else now < AUDIBLE_DB
        proven = (gain >= SURE_DB and exceptional) or (gain >= needed and heard)
        if proven and case.matters(now):
            yield _finding(case, node, seen, now)


def _own_value(case: Case, node: Node) -> ValueSeen | None:
    """Return what was seen of a value that has a grid of its own; None otherwise."""
    if case.evidence is None or case.encodings is None or node.op in SHARING | {"input"}:
        return None
    if node.name not in case.encodings.activations or node.name in case.plan.fixed:
        return None
    return case.evidence.values.get(node.name)


def _grid(case: Case, node: Node) -> QuantParams:
    assert case.encodings is not None
    return case.encodings.activations[node.name]


def _live(case: Case, node: Node, seen: ValueSeen) -> Tensor:
    live = torch.ones(seen.channels, dtype=torch.bool)
    if node.name in case.plan.weights and len(case.live(node.name)) == seen.channels:
        live = case.live(node.name)
    return live


def _far_out(seen: ValueSeen, live: Tensor) -> tuple[bool, bool]:
    """Return whether a few numbers, and whether a whole channel, are far beyond the others."""
    extent = seen.extent[live]
    largest = float(extent.max()) if len(extent) else 0.0
    if largest == 0.0:
        return False, False
    few = largest >= FAR_OUT * max(seen.bulk(), 1e-30)
    return few, largest >= WIDE_CHANNEL * max(middle_of(extent), 1e-30)


def _is_rare(extent: Tensor) -> bool:
    """Whether few channels [C] are as wide as the widest, to within WIDE_CHANNEL."""
    wide = int((extent * WIDE_CHANNEL >= extent.max()).sum())
    return wide <= max(1.0, RARE * len(extent))


def _bulk_rounded(case: Case, node: Node, seen: ValueSeen) -> Callable[[Tensor], Tensor]:
    """Return what rounds all but far numbers, on the grid that all but far numbers need."""
    middle = middle_of(seen.extent[_live(case, node, seen)])
    bound = min(seen.bulk(), WIDE_CHANNEL * middle)
    low, high = (end.clamp(-bound, bound) for end in seen.range)
    grid = params_from_range(low, high, _grid(case, node).spec)

    def rounded(value: Tensor) -> Tensor:
        """Return the value on the grid, as real numbers; what lies beyond the bound as it was."""
        return fake_quantize(value, grid).where(value.abs() <= bound, value)

    return rounded


def _finding(case: Case, node: Node, seen: ValueSeen, now: float) -> Finding:
    extent = seen.extent.where(_live(case, node, seen), 0.0)
    widest = int(extent.argmax())
    layer = case.layer_name(node.name)
    evidence: Figures = {
        "largest_magnitude": float(extent.max()),
        "magnitude_of_99.9_percent": seen.bulk(),
        "channel_extent_max_to_median": float(extent.max()) / max(middle_of(extent), 1e-30),
        "widest_channel": widest,
    }
    rows = case.rows(node.name) if node.name in case.plan.weights else torch.zeros(0)
    if len(rows) == seen.channels and rows[widest] >= UNEQUAL_ROWS * middle_of(rows):
        evidence = add_db(
            {**unequal_evidence(case, node.name, rows), **evidence}, sqnr_alone_db=now
        )
        return unequal_values(case, node.name, evidence, now)
    clipped = case.alone(Change(node.name, value=rounding_to(_clipping_grid(case, node, seen))))[0]
    evidence = add_db(evidence, sqnr_alone_db=now, sqnr_clipped_db=clipped)
    remedy, treatment = CLIPPED, Treatment(calibrator="mse")
    if clipped - now < HEARD_DB:
        remedy, treatment = KEPT.format(layer=layer), Treatment(keep_float=(node.name,))
    return Finding(OUTLIERS, layer, evidence, remedy, None, now, treatment, node.name)


def _clipping_grid(case: Case, node: Node, seen: ValueSeen) -> QuantParams:
    """Return the grid of least squared error for the value."""
    spec = _grid(case, node).spec
    middles, counts = [], []
    for half in seen.halves:
        if half.has_spread():
            found, edges = half.filled()
            middles.append(_inside(half, (edges[:-1] + edges[1:]) / 2.0))
            counts.append(found)
    low, high = (float(end) for end in seen.range)
    if middles:
        low, high = least_error_range(torch.cat(middles), torch.cat(counts), (low, high), spec)
    return params_from_range(torch.tensor(low), torch.tensor(high), spec)


def _inside(half: Histogram, middles: Tensor) -> Tensor:
    return middles.clamp(float(half.low), float(half.high)).float()
