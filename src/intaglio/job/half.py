"""A network in float16: weights rounded, nothing calibrated; images, if any, only measure."""

from __future__ import annotations

from dataclasses import replace

import torch

from intaglio.calibrate import half_network, layer_counts
from intaglio.calibrate.float_islands import ASKED
from intaglio.data.batches import Data, FirstImages, image_batches
from intaglio.ir.graph import Graph
from intaglio.job.islands import planned
from intaglio.job.outcome import Outcome, Seen
from intaglio.job.quantize import MEASURED_IMAGES, judge_of, judged_by
from intaglio.job.recorder import Recorder
from intaglio.methods.steps.state import Prepared, Quantized
from intaglio.numerics.encodings import Encodings
from intaglio.recipe.settings import Settings
from intaglio.report.half_row import HalfRow

MADE_UP_IMAGES = 2
"""Without images file and twin are compared on noise: it shows that the file holds the network."""


def run_half(
    prepared: Prepared, settings: Settings, data: Data | None, recorder: Recorder
) -> Outcome:
    """Return the network in float16, judged on the first MEASURED_IMAGES of the data, if any.

    Nothing is tuned on them, so that all of them judge.
    """
    graph, plan = planned(prepared.graph, settings)

    def made() -> tuple[Graph, Encodings]:
        """Return the rounded network, and what of it is stored as float16."""
        return half_network(graph, plan)

    rounded, encodings = recorder.step("round to float16", made)
    state = Quantized(replace(prepared, reference=graph, graph=rounded), plan, encodings)
    warnings = [
        f"layer '{graph[name].source or name}' stays in float32: {why}"
        for name, why in plan.kept_float.items()
        if why != ASKED
    ]
    shape = graph[graph.inputs[0]].shape[1:]
    if data is None:
        generator = torch.Generator().manual_seed(settings.seed)
        noise = torch.randn((MADE_UP_IMAGES, *shape), generator=generator)
        seen = Seen(torch.empty(0, *shape), 0, made_up=noise)
        return Outcome(state, settings, seen, warnings=warnings)
    first = FirstImages(MEASURED_IMAGES)
    for _ in first.of(image_batches(data, shape)):
        if first.seen >= MEASURED_IMAGES:
            break
    images = torch.cat(first.kept)
    judgement = recorder.step(
        "judge", lambda: judged_by(judge_of(prepared.graph, settings, images), state, settings)
    )
    return Outcome(state, settings, Seen(images, len(images)), judgement, warnings=warnings)


def half_rows(outcome: Outcome) -> list[HalfRow]:
    """Return what float16 does to the numbers of each layer that stores any, in their order."""
    state, rows = outcome.state, []
    for node in state.reference:
        counts = layer_counts(state.reference, node)
        if counts is None:
            continue
        rows.append(
            HalfRow(
                name=node.name,
                op=node.op,
                source=node.source,
                stored="float32" if node.name in state.plan.kept_float else "float16",
                numbers=counts.count,
                overflow=counts.overflow,
                subnormal=counts.subnormal,
                zeros=counts.zeros,
                largest=counts.largest,
            )
        )
    return rows
