"""Outputs that hold numbers of very different size on one grid: boxes in pixels beside scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.calibrate.float_islands import only_moves
from intaglio.doctor.case import WORTH_DB, Case, add_db
from intaglio.doctor.finding import SHARED, Figures, Finding
from intaglio.numerics.affine import fake_quantize, params_from_range
from intaglio.numerics.spec import QuantParams
from intaglio.ops.traits import GIVEN
from intaglio.tasks.deviation import Deviation, by_channel

LITTLE_DB = 25.0
"""SQNR of a group of channels, nothing but the value's grid in integers, below which that is said:
what networks without a metric are asked to keep as a whole."""

REMEDY = (
    "return these numbers as an output of their own, from a layer of their own, so that they get a"
    " grid of their own (boxes and scores of a detector of a known kind are parted without that:"
    " give the model as intaglio knows it, by its name or as its module)"
)


@dataclass(frozen=True, eq=False)
class Group:
    """Channels of like size.

    Attributes:
        channels: Their indices, [K] int64.
        width: Of the range of all their numbers.
        shared_db: SQNR on the value's grid.
        own_db: SQNR on a grid for these channels alone.
    """

    channels: Tensor
    width: float
    shared_db: float
    own_db: float


def find_shared_outputs(case: Case) -> Iterator[Finding]:
    """Find values that make outputs alone, of which a group of channels gets few steps.

    Groups are those of the SQNR of outputs (tasks/deviation.py): from one to the next the deviation
    grows tenfold. The proof is that a grid of its own would regain at least a bit.
    """
    for name, grid in _ends(case).items():
        groups = _groups(case, name, grid)
        if len(groups) < 2:
            continue
        worst = min(groups, key=lambda group: group.shared_db)
        now, own = worst.shared_db, worst.own_db
        if now < LITTLE_DB and own - now >= WORTH_DB:
            figures = _evidence(worst, groups, grid)
            evidence = add_db(figures, sqnr_of_group_db=now, sqnr_with_own_grid_db=own)
            yield Finding(SHARED, case.layer_name(name), evidence, REMEDY, None, now, node=name)


def _ends(case: Case) -> dict[str, QuantParams]:
    """Return the grid of each value that is computed, and from there on only moved to outputs.

    A grid that the runtime prescribes is none that wide numbers made wide.
    """
    if case.encodings is None or case.evidence is None:
        return {}
    graph, grids, last = case.graph, case.encodings.activations, set[str]()
    found: dict[str, QuantParams] = {}
    for node in reversed(list(graph)):
        readers = graph.readers(node.name)
        if not all(reader.name in last for reader in readers):
            continue
        if not readers and node.name not in graph.outputs:
            continue
        if only_moves(node):
            last.add(node.name)
        elif node.op not in GIVEN and node.name in grids.keys() - case.plan.fixed.keys():
            found[node.name] = grids[node.name]
    return {node.name: found[node.name] for node in graph if node.name in found}


def _groups(case: Case, name: str, grid: QuantParams) -> list[Group]:
    """Return the groups of a value's channels, the one that moves least first.

    Ranges are those on all images, where these were seen by the same channels.
    """
    pieces = [by_channel(values[name]) for values in case.baseline.pieces()]
    whole = torch.cat(pieces, 1).T  # [M, C]
    sums = Deviation()
    sums.add(whole, whole)
    ends = tuple(whole.aminmax(dim=0))
    seen = case.evidence.values.get(name) if case.evidence else None
    if seen is not None and seen.channels == whole.shape[1]:
        ends = (seen.low, seen.high)
    return [_group(whole, ends, channels, grid) for channels in sums.groups()]


def _group(whole: Tensor, ends: tuple[Tensor, ...], channels: Tensor, grid: QuantParams) -> Group:
    """Return what becomes of channels on the value's grid and on their own.

    Args:
        whole: The value, [M, C].
        ends: The lowest and the highest number of each channel, [C].
        channels: [K].
        grid: The value's.
    """
    low, high = ends[0][channels].min(), ends[1][channels].max()
    own, values = params_from_range(low, high, grid.spec), whole[:, channels]
    return Group(channels, float(high - low), _db(values, grid), _db(values, own))


def _db(values: Tensor, grid: QuantParams) -> float:
    """Return the SQNR of channels [M, K] on a grid; their means are no signal."""
    sums = Deviation()
    sums.add(values, fake_quantize(values, grid))
    return float("inf") if sums.sqnr_db is None else sums.sqnr_db


def _evidence(worst: Group, groups: list[Group], grid: QuantParams) -> Figures:
    return {
        "groups": len(groups),
        "channels_of_group": len(worst.channels),
        "first_channel_of_group": int(worst.channels.min()),
        "range_of_group": worst.width,
        "range_of_widest_group": max(group.width for group in groups),
        "steps_of_group": worst.width / float(grid.step),
    }
