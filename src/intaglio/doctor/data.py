"""Too few or unrepresentative images: all alike, flat, of another kind, or too few to tell."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from intaglio.doctor.case import Case
from intaglio.doctor.evidence import Evidence as Seen
from intaglio.doctor.evidence import ValueSeen, ends_of
from intaglio.doctor.finding import DATA, Figures, Finding
from intaglio.doctor.preprocessing import FEWEST, fit, is_foreign, is_usable, mistake_of
from intaglio.ops.traits import WEIGHTED

FEWEST_FOR_HALVES = 32
"""Images below which two halves of them have little to say about each other's ranges."""

ALIKE = 0.2
"""Difference between images over all variation below which they are called alike.

Measured: photographs 0.74 (two of them) to 0.99; copies of one image 0.
"""

FLAT = 0.1
"""Variation within images over all variation below which they are called flat.

Measured: photographs 0.8 and more; images of one colour 0.
"""

NOISE = 0.3
"""Correlation of neighbouring pixels below which images are noise.

Alone it says nothing (a network may be made for noise); where the batch norm expects something else
too, it tells noise from photographs on a wrong scale. Measured: 64 photographs 0.96, the least
smooth of them 0.74; noise 0.
"""

UNLIKE_HALVES = 0.33
"""How much wider the range of one half is than that of the other, the median over values.

Measured: 0.04 to 0.15 on 32 to 128 right images; 0.43 where every second image is ten times darker.
"""

REMEDY = "calibrate with images like those that the network will see (--data DIR): {}"


def find_unrepresentative_data(case: Case, total: int | None = None) -> Iterator[Finding]:
    """Find images that say little about those to come.

    Args:
        total: How many images there are, where evidence saw only some.
    """
    if case.evidence is None:
        return
    images, reasons = case.evidence.images, list(_reasons(case))
    needed = FEWEST_FOR_HALVES if reasons == [HALVES] else FEWEST
    count = images.count if total is None else total
    growth, layer = _growth(case, case.evidence)
    evidence: Figures = {
        "images": count,
        "images_needed": needed,
        "different_images": images.different,
        "variety": images.variety,
        "contrast": images.own_contrast,
        "correlation_of_neighbours": images.smoothness,
        "range_growth_between_halves": growth,
    }
    seen = case.evidence.first
    if seen is not None and is_usable(seen.layer):
        evidence["std_spread_against_batch_norm"] = fit(seen.layer, seen.moments()).spread
    harm = -float("inf")
    if not reasons:
        if count >= FEWEST:
            return
        harm = float("inf")
    if count < FEWEST:
        reasons.append(f"{count} are too few, take 64 or more")
    unlike = [growth > UNLIKE_HALVES, len(reasons) == 1]
    name = layer if all(unlike) else first_name(case)
    yield Finding(DATA, name, evidence, REMEDY.format("; ".join(reasons)), None, harm)


def spoils_measurements(case: Case) -> bool:
    """Whether the images are so that nothing measured on them means anything."""
    return case.evidence is not None and any(reason in UNUSABLE for reason in _reasons(case))


SAME = "these are all alike"
FLAT_ONES = "these are flat, each has hardly any contrast"
OTHER_KIND = "these are of another kind than the network was trained on"
HALVES = "one half of these goes far beyond the range of the other, take more of them"
UNUSABLE = (SAME, FLAT_ONES, OTHER_KIND)


def _reasons(case: Case) -> Iterator[str]:
    assert case.evidence is not None
    images, seen = case.evidence.images, case.evidence.first
    overall = float(images.std.square().mean().sqrt())
    varies = images.count == 1 or (images.variety >= ALIKE and 2 * images.different >= images.count)
    if not varies:
        yield SAME
    if images.pixel_total.numel() > len(images.mean) and images.own_contrast <= FLAT * overall:
        yield FLAT_ONES
    elif seen is not None and images.count >= FEWEST and is_usable(seen.layer):
        noise = images.smoothness < NOISE and mistake_of(seen).any
        yield from [OTHER_KIND] if noise or is_foreign(seen) else []
    enough = case.evidence.through >= FEWEST_FOR_HALVES
    if enough and _growth(case, case.evidence)[0] > UNLIKE_HALVES:
        yield HALVES


def _growth(case: Case, evidence: Seen) -> tuple[float, str]:
    """Return by how much one half's range exceeds the other's, and the layer where it is most.

    The median over all values that no activation bounds above; those say little.
    """
    found = {
        node.name: growth_of(evidence.values[node.name])
        for node in case.graph
        if node.name in evidence.values and ends_of(node)[1] == torch.inf
    }
    if not found:
        return 0.0, first_name(case)
    layers = [name for name in found if case.graph[name].source]
    worst = max(layers, key=found.__getitem__) if layers else case.graph.inputs[0]
    return float(torch.tensor(list(found.values())).median()), case.layer_name(worst)


def growth_of(seen: ValueSeen) -> float:
    """Return how far one half's range goes beyond the other's, over the wider of both; 0..1."""
    one, two = seen.halves
    if not (one.is_finite() and two.is_finite()):
        return 0.0
    width = torch.maximum(one.high - one.low, two.high - two.low)
    beyond = torch.stack([_beyond(one.low, two.low), _beyond(one.high, two.high)]).max()
    return float(beyond / width) if width > 0 else 0.0


def _beyond(one: Tensor, two: Tensor) -> Tensor:
    return (one - two).abs()


def first_name(case: Case) -> str:
    """Return the first layer with weights, as the user's module calls it."""
    for node in case.graph:
        if node.op in WEIGHTED:
            return case.layer_name(node.name)
    return case.layer_name(case.graph.inputs[0])
