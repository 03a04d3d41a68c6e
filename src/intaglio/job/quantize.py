"""From the captured network to integers: what a recipe says, done in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from intaglio.boxes.postprocess import PostProcess
from intaglio.calibrate import (
    CALIBRATORS,
    choose_encodings,
    observe_ranges,
    unequal_tails,
)
from intaglio.data.held import JUDGED_BYTES, Share, judged_within
from intaglio.host.progress import told
from intaglio.host.training import Kept
from intaglio.ir.graph import Graph
from intaglio.job.islands import held_settings, planned
from intaglio.job.recorder import Recorder
from intaglio.methods import make_step
from intaglio.methods.steps.state import Context, Prepared, Quantized, State
from intaglio.methods.steps.steps import NUMBERS, STEPS, STRUCTURE, StepKind, refuse_unmet
from intaglio.numerics.plan import Plan
from intaglio.numerics.scheme import DEPLOYABLE
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.folded_norms import folded_norms
from intaglio.recipe.settings import Settings
from intaglio.run.twin import build_twin
from intaglio.targets.runtime import Ranges
from intaglio.tasks import Judge, Judgement, Task, output_shapes, task_for
from intaglio.tasks.detect.detect import Detect
from intaglio.tasks.detect.split_outputs import split_outputs

BATCH = 16
MEASURED_IMAGES = 64
"""Images on which a network in float16 is measured, as nothing is tuned on them."""
HELD_OUT, FEWEST_HELD_OUT, HELD_OUT_SHARE = 32, 4, 0.25
"""Of the tuning images that many, but no more than a share of them, are kept from steps on numbers:
they say of each step whether it did any good. Fewer than a few would say nothing."""

S = TypeVar("S", Prepared, Quantized)


def prepare_network(
    captured: Graph, settings: Settings, recorder: Recorder
) -> tuple[Prepared, Settings]:
    """Return the lowered network, once it is certain that the target holds it, and its settings.

    Where float is allowed, layers without an integer form are among those that they keep in float.

    Raises:
        UnsupportedByTarget: If it does not; names all such layers. No image has been opened then.
    """
    canonical, target = captured.copy(), settings.target
    recorder.step("fold and fuse", lambda: canonicalize(canonical))
    post = split_by(settings)
    if post is not None:
        recorder.step(
            "split outputs",
            lambda: split_outputs(captured, canonical, post, whole=named_layers(settings)),
            changed=lambda split: {"layers": len(split.made)} if split.made else None,
        )
    lowered = recorder.step(
        "lower",
        lambda: target.lower(canonical),
        changed=lambda made: {name: count for name, count in made.changes.items() if count},
    )
    settings = held_settings(lowered.graph, settings)
    return _prepared(captured, canonical, lowered.graph), settings


def split_by(settings: Settings) -> PostProcess | None:
    """Return what says how boxes come of the outputs, where that parts a layer; None: nothing does.

    Where there are no grids, or a paper says which values have one, layers stay whole.
    """
    task, scheme = settings.own_task, settings.scheme
    has_grids = scheme.coverage == DEPLOYABLE and not scheme.is_half
    return task.post if has_grids and isinstance(task, Detect) else None


def named_layers(settings: Settings) -> tuple[str, ...]:
    """Return the layers that caller or recipe name: they stay as they are called."""
    return (*settings.keep_float, *settings.weight_bits)


def prepare_float(captured: Graph) -> Prepared:
    """Return a captured network as it is trained in float: canonical, and not lowered."""
    canonical = captured.copy()
    canonicalize(canonical)
    return _prepared(captured, canonical, canonical)


def _prepared(captured: Graph, canonical: Graph, lowered: Graph) -> Prepared:
    norms = folded_norms(captured, canonical, lowered)
    statistics = {layer: norm.normal() for layer, norm in norms.items()}
    return Prepared(lowered, lowered, statistics, norms)


@dataclass(frozen=True, eq=False)
class Quantization:
    """What the steps of a recipe made.

    Attributes:
        state: The network in integers.
        judgement: Of it, on images that no step on numbers looked at; None where there were none,
            or nothing depended on it.
        judge: Who judged it.
        undone: A sentence for each step that was undone.
    """

    state: Quantized
    judgement: Judgement | None = None
    judge: Judge | None = None
    undone: tuple[str, ...] = ()


def quantize_network(
    prepared: Prepared,
    settings: Settings,
    images: Tensor,
    recorder: Recorder,
    *,
    device: str,
    labels: Tensor | None = None,
) -> Quantization:
    """Return the network in integers, all steps of the settings' recipe done.

    Steps on numbers do not see HELD_OUT of the images, on which each of them is judged by itself:
    one that lowers the outputs there is undone as a whole.

    Args:
        images: [N, C, H, W] float32, for calibration and every step.
        device: Where the float network runs while calibrating.
        labels: Class indices of the images, [N] int64; None where they are not known.

    Raises:
        RequestError: If a step needs what there is not; no step was run then.
    """
    context = context_of(prepared, settings, images, recorder, device=device, labels=labels)
    refuse_unmet(settings.recipe.steps, context.has)
    shaped = run_steps(prepared, context, settings, recorder)
    batches = torch.split(images, BATCH)
    state = calibrated(shaped, settings, batches, recorder, total=len(images), device=device)
    return _numbered(state, prepared, context, settings, recorder)


def context_of(
    prepared: Prepared,
    settings: Settings,
    images: Tensor,
    recorder: Recorder,
    *,
    device: str,
    labels: Tensor | None = None,
) -> Context:
    """Return what the steps of a run may look at; arguments as of `quantize_network`."""
    return Context(
        images,
        settings.target,
        settings.seed,
        labels=labels,
        task=chosen_task(prepared.graph, settings),
        device=device,
        progress=recorder.progress,
    )


def _numbered(
    state: Quantized,
    prepared: Prepared,
    context: Context,
    settings: Settings,
    recorder: Recorder,
) -> Quantization:
    """Return the state after the steps on numbers, judged on images that these did not see."""
    if not any(_kind(wish).phase == NUMBERS for wish in settings.recipe.steps):
        return Quantization(state)
    tuning, apart = set_apart(context)
    if not len(apart):
        return Quantization(run_steps(state, context, settings, recorder))
    judge = judge_of(prepared.graph, settings, apart)
    return _judged_steps(state, tuning, settings, recorder, judge)


def set_apart(context: Context) -> tuple[Context, Tensor]:
    """Return what steps on numbers look at, and the images that they do not see, [M, C, H, W]."""
    images, labels = context.tuning_images, context.labels
    apart = held_out(len(images))
    rest = torch.ones(len(images), dtype=torch.bool)
    rest[apart] = False
    tuning = replace(context, images=images[rest], labels=None if labels is None else labels[rest])
    return tuning, images[apart]


def is_streamed(settings: Settings) -> bool:
    """Whether all images go by once, and none is looked at again."""
    recipe = settings.recipe
    return not recipe.search and not recipe.steps and not recipe.judged_share


def share_of(settings: Settings, graph: Graph) -> Share:
    """Return how the images of a run are shared out between tuning and judging."""
    numbers = sum(math.prod(shape[1:]) for shape in output_shapes(graph))
    sample_shape = graph[graph.inputs[0]].shape[1:]
    share = settings.recipe.judged_share
    judging = judged_within(sample_shape, numbers, JUDGED_BYTES) if share else 0
    return Share(settings.tuning_images, share, judging)


def most_used(settings: Settings, graph: Graph) -> int | None:
    """Return how many images a run can use; None: all that there are."""
    if settings.scheme.is_half:
        return MEASURED_IMAGES
    return None if is_streamed(settings) else share_of(settings, graph).most


def chosen_task(graph: Graph, settings: Settings) -> Task:
    """Return the task of the user's word, else the one that the outputs fit."""
    return task_for(output_shapes(graph), name=settings.task, own=settings.own_task)


def judge_of(
    graph: Graph,
    settings: Settings,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    seconds: float | None = None,
) -> Judge:
    """Return the judge of a run on images that are apart; arguments as `Judge` has them."""
    return Judge(
        graph,
        images,
        labels,
        chosen_task(graph, settings),
        is_told=settings.task is not None,
        seconds=seconds,
    )


def judged_by(judge: Judge, state: Quantized, settings: Settings) -> Judgement:
    """Return the judgement of a network in integers."""
    return judge.of(build_twin(state.graph, state.encodings, settings.target))


def held_out(count: int) -> Tensor:
    """Return which of `count` tuning images steps on numbers do not see, evenly spread; [M]."""
    most = min(HELD_OUT, int(count * HELD_OUT_SHARE))
    if most < FEWEST_HELD_OUT:
        return torch.zeros(0, dtype=torch.int64)
    return torch.linspace(0, count - 1, most).round().long()


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
    return encoded(prepared, settings, (graph, plan), ranges, recorder)


def encoded(
    prepared: Prepared,
    settings: Settings,
    made: tuple[Graph, Plan],
    ranges: Ranges,
    recorder: Recorder,
) -> Quantized:
    """Return the network with encodings for ranges, planned anew where these part a float tail.

    Args:
        made: The planned graph and its plan, of which the ranges are.
    """
    graph, plan = made
    if tails := unequal_tails(graph, plan, ranges, settings.target):
        graph, plan = planned(prepared.graph, settings, tails)
    encodings = recorder.step(
        "encode", lambda: choose_encodings(graph, plan, ranges, settings.target)
    )
    return Quantized(replace(prepared, reference=graph, graph=graph), plan, encodings)


def run_steps(state: S, context: Context, settings: Settings, recorder: Recorder) -> S:
    """Return the state after those steps of the recipe that belong to its phase, in their order."""
    phase = STRUCTURE if isinstance(state, Prepared) else NUMBERS
    for number, wish in enumerate(settings.recipe.steps):
        if _kind(wish).phase == phase:
            state = _stepped(state, wish, _at_step(context, settings, number), recorder)
    return state


def _judged_steps(
    state: Quantized, context: Context, settings: Settings, recorder: Recorder, judge: Judge
) -> Quantization:
    """Return the state after the steps on numbers, without those that lowered the outputs.

    A step that changes how many bits weights have is not judged: it was asked for a smaller file.
    """
    judgement = judged_by(judge, state, settings)
    undone = []
    for number, wish in enumerate(settings.recipe.steps):
        if _kind(wish).phase != NUMBERS:
            continue
        made = _stepped(state, wish, _at_step(context, settings, number), recorder)
        found = judged_by(judge, made, settings)
        if "weight_bits" not in changes(state, made) and judgement.is_better_than(found):
            undone.append(_undone(str(wish["name"]), found, judgement))
            continue
        state, judgement = made, found
    return Quantization(state, judgement, judge, tuple(undone))


def _undone(name: str, found: Judgement, before: Judgement) -> str:
    agreed = "" if found.percent is None else f", {found.percent:.1f} % agreement"
    without = "" if before.percent is None else f", {before.percent:.1f} %"
    return (
        f"step '{name}' was undone: on {found.n} images that it did not see it left"
        f" {found.sqnr_db:.1f} dB{agreed}, without it there are {before.sqnr_db:.1f} dB{without}"
    )


def _kind(wish: dict[str, Any]) -> StepKind:
    return STEPS[str(wish["name"])]


def _at_step(context: Context, settings: Settings, number: int) -> Context:
    """Return what a step may look at: of a run that is kept, a folder of its own."""
    names = settings.recipe.step_names
    before = names[:number].count(names[number])
    name = f"{names[number]}-{before + 1}" if before else names[number]
    kept = Kept(context.place, context.resume).stage(name)
    return replace(context, place=kept.folder, resume=kept.resume)


def _stepped(state: S, wish: dict[str, Any], context: Context, recorder: Recorder) -> S:
    step = cast(Callable[[S, Context], S], make_step(dict(wish)))  # as its phase says
    return recorder.step(
        _kind(wish).name,
        _bound(step, state, context),
        len(state.graph.nodes),
        changed=_changes_since(state),
    )


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
