"""From the captured network to integers: what a recipe says, done in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from intaglio.calibrate import (
    CALIBRATORS,
    choose_encodings,
    make_plan,
    observe_ranges,
    unequal_tails,
)
from intaglio.host.progress import told
from intaglio.ir.graph import Graph
from intaglio.job.recorder import Recorder
from intaglio.methods import make_step
from intaglio.methods.steps.state import Context, Prepared, Quantized, State
from intaglio.methods.steps.steps import NUMBERS, STEPS, STRUCTURE, refuse_unmet
from intaglio.numerics.plan import Plan
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.channel_statistics import channel_statistics
from intaglio.recipe.settings import Settings
from intaglio.tasks import output_shapes, task_for

BATCH = 16

S = TypeVar("S", Prepared, Quantized)


def prepare_network(captured: Graph, settings: Settings, recorder: Recorder) -> Prepared:
    """Return the lowered network, once it is certain that the target holds it.

    Raises:
        UnsupportedByTarget: If it does not; names the layer. No image has been opened then.
    """
    canonical, target = captured.copy(), settings.target
    recorder.step("fold and fuse", lambda: canonicalize(canonical))
    lowered = recorder.step(
        "lower",
        lambda: target.lower(canonical),
        changed=lambda made: {name: count for name, count in made.changes.items() if count},
    )
    for refusal in target.refusals(*planned(lowered.graph, settings)):
        raise refusal
    statistics = channel_statistics(captured, canonical, lowered.graph)
    return Prepared(lowered.graph, lowered.graph, statistics)


def planned(
    graph: Graph, settings: Settings, tails: Mapping[str, str] | None = None
) -> tuple[Graph, Plan]:
    """Return the graph that is quantized, with the borders of float islands, and its plan."""
    return make_plan(
        graph,
        settings.target,
        settings.scheme,
        keep_float=settings.keep_float,
        weight_bits=settings.weight_bits,
        float_tails=tails,
    )


def quantize_network(
    prepared: Prepared,
    settings: Settings,
    images: Tensor,
    recorder: Recorder,
    *,
    device: str,
    labels: Tensor | None = None,
) -> Quantized:
    """Return the network in integers, all steps of the settings' recipe done.

    Args:
        images: [N, C, H, W] float32, for calibration and every step.
        device: Where the float network runs while calibrating.
        labels: Class indices of the images, [N] int64; None where they are not known.

    Raises:
        RequestError: If a step needs what there is not; no step was run then.
    """
    context = Context(
        images,
        settings.target,
        settings.seed,
        labels=labels,
        task=task_for(output_shapes(prepared.graph)),
        device=device,
        progress=recorder.progress,
    )
    refuse_unmet(settings.recipe.steps, context.has)
    prepared = run_steps(prepared, context, settings, recorder, phase=STRUCTURE)
    batches = torch.split(images, BATCH)
    state = calibrated(prepared, settings, batches, recorder, total=len(images), device=device)
    return run_steps(state, context, settings, recorder, phase=NUMBERS)


def calibrated(
    prepared: Prepared,
    settings: Settings,
    batches: Iterable[Tensor],
    recorder: Recorder,
    *,
    total: int | None,
    device: str,
) -> Quantized:
    """Return the network with a plan, and encodings for the ranges that the images give."""
    graph, plan = planned(prepared.graph, settings)

    def observed() -> Any:
        """Return the ranges on the images, each batch told to the progress."""
        return observe_ranges(
            graph,
            plan,
            told(batches, recorder.progress.advance),
            calibrator=CALIBRATORS[settings.calibrator],
            device=device,
        )

    ranges = recorder.step("calibrate", observed, total, changed=lambda made: None)
    if tails := unequal_tails(graph, plan, ranges, settings.target):
        graph, plan = planned(prepared.graph, settings, tails)
    encodings = recorder.step(
        "encode", lambda: choose_encodings(graph, plan, ranges, settings.target)
    )
    return Quantized(Prepared(graph, graph, prepared.statistics), plan, encodings)


def run_steps(
    state: S, context: Context, settings: Settings, recorder: Recorder, *, phase: str
) -> S:
    """Return the state after those steps of the recipe that belong to a phase, in their order."""
    for wish in settings.recipe.steps:
        kind = STEPS[str(wish["name"])]
        if kind.phase == phase:
            step = cast(Callable[[S, Context], S], make_step(dict(wish)))  # as its phase says
            state = recorder.step(
                kind.name,
                _bound(step, state, context),
                len(state.graph.nodes),
                changed=_changes_since(state),
            )
    return state


def _bound(step: Callable[[S, Context], S], state: S, context: Context) -> Callable[[], S]:
    return lambda: step(state, context)


def _changes_since(before: State) -> Callable[[State], dict[str, int]]:
    return lambda after: changes(before, after)


def changes(before: State, after: State) -> dict[str, int]:
    """Return how many layers have other weights, biases, weight bits or activation grids."""
    found = {"weights": 0, "biases": 0, "weight_bits": 0, "activation_grids": 0}
    for node in after.graph:
        if node.name not in before.graph.nodes:
            continue
        old = before.graph[node.name]
        for role, what in (("weight", "weights"), ("bias", "biases")):
            if role in node.params and role in old.params:
                same = torch.equal(after.graph.param(node, role), before.graph.param(old, role))
                found[what] += not same
    if isinstance(before, Quantized) and isinstance(after, Quantized):
        for name, grid in after.encodings.weights.items():
            earlier = before.encodings.weights.get(name)
            found["weight_bits"] += earlier is not None and earlier.spec.bits != grid.spec.bits
        for name, grid in after.encodings.activations.items():
            earlier = before.encodings.activations.get(name)
            found["activation_grids"] += earlier is not None and not earlier.same_grid(grid)
    return {what: count for what, count in found.items() if count}
