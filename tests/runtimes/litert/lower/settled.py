"""A graph lowered, calibrated, written, run and compared with its twin, for tests of passes."""

from __future__ import annotations

import torch
from torch import Tensor

from calibrate.planned import planned
from intaglio.calibrate.encodings import choose_encodings
from intaglio.calibrate.loop import observe_ranges
from intaglio.calibrate.minmax import MinMax
from intaglio.ir.graph import Graph
from intaglio.passes.canonicalize import canonicalize
from intaglio.run.float import run_float
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import assert_same_bits


def assert_held(
    graph: Graph,
    target: Target,
    images: Tensor,
    *,
    sqnr_db: float = 30.0,
    keep_float: tuple[str, ...] = (),
) -> Graph:
    """Assert that file and twin agree, in one partition, near the float graph; return the lowered.

    Layers in float cut the delegate's part in two.
    """
    copy = graph.copy()
    canonicalize(copy)
    lowered, plan = planned(target.lower(copy).graph, target, "w8a8", keep_float=keep_float)
    ranges = observe_ranges(lowered, plan, [images], calibrator=MinMax)
    encodings = choose_encodings(lowered, plan, ranges, target)
    counts = assert_same_bits(lowered, encodings, target, images)
    assert target is not LITERT or keep_float or (counts.partitions, counts.builtin) == (1, [])
    twin = build_twin(lowered, encodings, target)
    for found, wanted in zip(_tuple(twin(images)), run_float(graph, images), strict=True):
        noise = (found - wanted).double().square().sum().clamp(min=1e-12)
        assert float(10 * torch.log10(wanted.double().square().sum() / noise)) >= sqnr_db
    return lowered


def _tuple(values: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return values if isinstance(values, tuple) else (values,)
