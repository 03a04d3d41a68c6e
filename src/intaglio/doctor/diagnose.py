"""From a network and images to a diagnosis: measure once, ask for every cause, rank by harm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from intaglio.boxes.postprocess import PostProcess
from intaglio.calibrate import choose_encodings, make_plan, unequal_tails
from intaglio.data.preprocess import Preprocess
from intaglio.doctor.biases import find_coarse_bias, find_overflow
from intaglio.doctor.built_in import built_in_recipe
from intaglio.doctor.case import Case
from intaglio.doctor.consequences import without_consequences
from intaglio.doctor.data import find_unrepresentative_data, spoils_measurements
from intaglio.doctor.dead_channels import find_dead_channels
from intaglio.doctor.evidence import KEPT_IMAGES, Evidence, observe
from intaglio.doctor.finding import Diagnosis, Finding, ranked
from intaglio.doctor.operands import find_unbalanced_operands
from intaglio.doctor.outliers import find_outliers
from intaglio.doctor.preprocessing import find_wrong_preprocessing
from intaglio.doctor.saturation import find_saturation
from intaglio.doctor.shared_output import find_shared_outputs
from intaglio.doctor.unequal_ranges import find_unequal_ranges, find_unequal_values
from intaglio.errors import DataError
from intaglio.ir.graph import Graph
from intaglio.methods.steps.state import Quantized
from intaglio.numerics.normal import Normal
from intaglio.numerics.plan import Plan
from intaglio.numerics.scheme import Scheme
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.channel_statistics import channel_statistics
from intaglio.runtimes import DEFAULT_TARGET, TARGETS
from intaglio.targets.ending import Ending
from intaglio.targets.target import Target, integer_scheme
from intaglio.tasks.detect.split_outputs import split_outputs

IMAGES_IN_REPORT = 2
"""Images on which a report's diagnosis measures harm: it must not take long beside compressing."""

VALUES_IN_REPORT = 8
"""Images that go through the whole network for a report's diagnosis; all others only through the
first layer, which knows the images of training."""

FEWEST_FOR_VALUES = 4
"""Images below which nothing is said of values: what one shows is that image's own."""

IN_WEIGHTS = (find_dead_channels, find_unequal_ranges)
"""What needs no image; with images it knows more."""

IN_VALUES = (
    find_overflow,
    find_outliers,
    find_unequal_values,
    find_saturation,
    find_unbalanced_operands,
    find_coarse_bias,
    find_shared_outputs,
)
"""What images must show; of two that do the same harm, the earlier is the cause of the later."""


def diagnose(
    captured: Graph,
    images: Iterable[Tensor] | None,
    *,
    target: Target | str = DEFAULT_TARGET,
    scheme: str | None = None,
    preprocess: Preprocess | None = None,
    postprocess: Ending | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Return what `--recipe plain` will cost in accuracy, and why, the worst first.

    Args:
        captured: As `capture` made it; it is not changed.
        images: Calibration images [N, C, H, W] float32, batch by batch; gone through once. None:
            what weights and batch norms show, its harm measured on noise.
        target: The runtime, or its name.
        scheme: As on the command line; None: the target's first.
        preprocess: What was done to the images; remedies then name what to do in its place.
        postprocess: What the outputs are made into; a detector's are split as by `compress`.
        seed: Of the noise.

    Raises:
        RequestError: If the target does not exist, or does not hold network or scheme; of an
            activation that is NaN or infinite, a NonFiniteError.
    """
    runtime = TARGETS[target] if isinstance(target, str) else target
    asked = integer_scheme(scheme, runtime)
    graph, plan, statistics = _planned(captured, runtime, asked, postprocess)
    if images is None:
        case = Case(captured, graph, plan, runtime, statistics, _noise(graph, seed))
        return Diagnosis(tuple(_findings(case, preprocess)))
    evidence = observe(captured, graph, images)
    _refuse_nothing(evidence)
    ranges = evidence.ranges(graph, plan)
    tails = unequal_tails(graph, plan, ranges, runtime)
    graph, plan = make_plan(graph, runtime, asked, float_tails=tails)
    encodings = choose_encodings(graph, plan, ranges, runtime)
    case = Case(captured, graph, plan, runtime, statistics, evidence.kept, evidence, encodings)
    return Diagnosis(tuple(_findings(case, preprocess)))


def _refuse_nothing(evidence: Evidence) -> None:
    if not evidence.images.count:
        raise DataError("there are no images to look at: the data is empty")


def findings_for_report(
    captured: Graph,
    state: Quantized,
    images: Iterable[Tensor],
    *,
    target: Target,
    total: int,
    preprocess: Preprocess | None = None,
) -> list[Finding]:
    """Return what ails a network that is being compressed, from what compressing has at hand.

    The images are judged by all of them, values by the first VALUES_IN_REPORT, harm by the first
    IMAGES_IN_REPORT.

    Args:
        captured: As `capture` made it.
        state: The network, whatever steps were done.
        images: All calibration images that are at hand, [N, C, H, W] batch by batch; at least one.
        target: The runtime.
        total: How many calibration images there were.
        preprocess: What was done to the images.
    """
    graph = state.reference
    evidence = observe(captured, graph, images, most=VALUES_IN_REPORT)
    judged = evidence.kept[:IMAGES_IN_REPORT]
    case = Case(
        captured,
        graph,
        state.plan,
        target,
        state.statistics,
        judged,
        evidence,
        state.encodings,
    )
    return list(_findings(case, preprocess, total))


def _findings(
    case: Case, preprocess: Preprocess | None, total: int | None = None
) -> Iterator[Finding]:
    spoilt = spoils_measurements(case)
    wrong = [] if spoilt else list(find_wrong_preprocessing(case, preprocess))
    found = wrong + list(find_unrepresentative_data(case, total))
    for find in IN_WEIGHTS:
        found += find(case)
    if not wrong and not spoilt:
        found += _in_values(case)
    seen: set[tuple[str, str]] = set()
    for finding in ranked(without_consequences(case, found)):
        if (finding.cause, finding.layer) not in seen:
            seen.add((finding.cause, finding.layer))
            yield _with_recipe(case, finding)


def _with_recipe(case: Case, finding: Finding) -> Finding:
    """Return the finding, its remedy with the built-in recipe that holds it, where one does."""
    per_channel = any(spec.axis is not None for spec in case.plan.weights.values())
    treatment = finding.treatment
    name = None if treatment is None else built_in_recipe(treatment, per_channel=per_channel)
    if name is None:
        return finding
    return replace(finding, remedy=f"{finding.remedy}; or the whole recipe: --recipe {name}")


def _in_values(case: Case) -> Iterator[Finding]:
    """Yield what images show of values, with how many images showed it and how many it takes."""
    through = 0 if case.evidence is None else case.evidence.through
    if through >= FEWEST_FOR_VALUES:
        for find in IN_VALUES:
            for finding in find(case):
                enough = {"images": through, "images_needed": FEWEST_FOR_VALUES}
                yield replace(finding, evidence={**finding.evidence, **enough})


def _planned(
    captured: Graph, target: Target, scheme: Scheme, post: Ending | None
) -> tuple[Graph, Plan, Mapping[str, Normal]]:
    """Return graph, plan and statistics, once it is certain that the target holds the network."""
    canonical = captured.copy()
    canonicalize(canonical)
    if isinstance(post, PostProcess):
        split_outputs(captured, canonical, post)
    lowered = target.lower(canonical).graph
    statistics = channel_statistics(captured, canonical, lowered)
    graph, plan = make_plan(lowered, target, scheme)
    for refusal in target.refusals(graph, plan):
        raise refusal
    return graph, plan, statistics


def _noise(graph: Graph, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((KEPT_IMAGES, *graph[graph.inputs[0]].shape[1:]), generator=generator)
