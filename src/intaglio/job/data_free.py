"""A network in integers without a single image: what batch norms imply stands in for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intaglio.calibrate import CALIBRATORS
from intaglio.calibrate.calibrator import Calibrator
from intaglio.calibrate.implied_ranges import ImpliedRanges, NoImages, implied_ranges
from intaglio.calibrate.input_range import implied_input, range_of
from intaglio.calibrate.minmax import MinMax
from intaglio.calibrate.noise import noise_images
from intaglio.calibrate.noise_ranges import calibrated_ranges, noise_ranges, score_ranges
from intaglio.data.guard import forbid_images
from intaglio.data.preprocess import Preprocess
from intaglio.host.training import NOT_KEPT, Kept
from intaglio.ir.graph import Graph
from intaglio.job.islands import planned
from intaglio.job.kept import about_of
from intaglio.job.outcome import Outcome, Seen
from intaglio.job.quantize import chosen_task, encoded, run_steps
from intaglio.job.recorder import Recorder
from intaglio.job.synthetic import made_images, seen_ranges
from intaglio.methods.datafree.distill import Distilled
from intaglio.methods.steps.state import Context, Prepared, Quantized
from intaglio.numerics.normal import Normal
from intaglio.passes.implied_values import implied_values
from intaglio.recipe.settings import Settings
from intaglio.targets.runtime import Ranges

NOISE_IMAGES = 8
CALIBRATING_IMAGES = 32
"""Of noise, for calibrators that weigh what they see."""
NAMED = 8
"""Values that a warning names."""


@dataclass(frozen=True, eq=False)
class Input:
    """What a network takes, as far as it is known without images.

    Attributes:
        low, high: Of each channel, [C].
        range: Of all, [] each.
        how: In words, for a warning; "" where the preprocessing says it.
    """

    low: Tensor
    high: Tensor
    range: tuple[Tensor, Tensor]
    how: str = ""


def run_without_images(
    prepared: Prepared,
    settings: Settings,
    recorder: Recorder,
    *,
    preprocess: Preprocess | None,
    device: str = "cpu",
    images: Distilled | None = None,
    kept: Kept = NOT_KEPT,
) -> Outcome:
    """Return the network of a recipe whose steps need no images, or those that it makes itself.

    Opening an image or a data set meanwhile is refused (`forbid_images`). Images that were made
    judge no step: 32 of them undid trainings by which photographs were answered better.

    Args:
        preprocess: What is done to an image before the network; None where nothing is known.
        device: Where networks that learn, or that images are made for, compute.
        images: Those that the recipe makes, where they were made before.
        kept: Where the run is kept; each stage has a folder of its own there.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    context = _context(prepared, settings, recorder, kept, device=device)
    with forbid_images():
        shaped = run_steps(prepared, context, settings, recorder)
        taken = input_of(shaped, preprocess, generator)
        noise = _noise(shaped, taken, generator)
        made, ends = images, (taken.low, taken.high)
        if made is None and settings.recipe.synthetic is not None:
            about = about_of(prepared.reference, settings)
            made = made_images(shaped, settings, ends, recorder, context=context, about=about)
        if made is not None:
            context = replace(context, images=made.images, labels=made.labels)
        state, from_noise = _ranged(shaped, settings, taken, noise, recorder, made)
        state = run_steps(state, context, settings, recorder)
    empty = torch.empty(0, *noise.shape[1:])
    seen = Seen(empty, 0, made_up=noise, synthetic=made)
    noticed = () if made is None else made.events
    told = [*_warnings(state.graph, taken, from_noise), *noticed]
    return Outcome(state, settings, seen, warnings=told)


def _context(
    prepared: Prepared, settings: Settings, recorder: Recorder, kept: Kept, *, device: str
) -> Context:
    """Return what steps may look at: no images yet."""
    return Context(
        None,
        settings.target,
        settings.seed,
        task=chosen_task(prepared.graph, settings),
        device=device,
        progress=recorder.progress,
        place=kept.folder,
        resume=kept.resume,
    )


def _noise(shaped: Prepared, taken: Input, generator: torch.Generator) -> Tensor:
    size = shaped.graph[shaped.graph.inputs[0]].shape[2:]
    return noise_images(NOISE_IMAGES, taken.low, taken.high, size, generator)


def input_of(
    prepared: Prepared, preprocess: Preprocess | None, generator: torch.Generator
) -> Input:
    """Return what the network takes: bytes prepared so, else what its first layer tells."""
    graph = prepared.graph
    channels = graph[graph.inputs[0]].shape[1]
    if preprocess is not None:
        mean, std = (
            torch.tensor(part or (other,))
            for part, other in ((preprocess.mean, 0.0), (preprocess.std, 1.0))
        )
        low, high = ((level - mean) / std for level in (0.0, 1.0))
        if len(low) in (1, channels):  # else it is not what feeds this network
            ends = low.min().clamp(max=0.0), high.max().clamp(min=0.0)
            return Input(low.expand(channels), high.expand(channels), ends)
    found = implied_input(graph, prepared.statistics, generator)
    how = "estimated from the batch norm of the first layer"
    if found is None:
        unit = torch.ones(channels, dtype=torch.float64)
        found, how = Normal(0.0 * unit, unit), "taken as normalized, as no batch norm tells"
    low, high = (end.float() for end in (found.lower(2.0), found.upper(2.0)))
    return Input(low, high, range_of(found), how)


def _ranged(
    shaped: Prepared,
    settings: Settings,
    taken: Input,
    noise: Tensor,
    recorder: Recorder,
    images: Distilled | None = None,
) -> tuple[Quantized, tuple[str, ...]]:
    """Return the network with a plan and encodings, and the values whose ranges noise gave.

    Args:
        images: Whose ranges count, where there are some and the calibrator weighs what it sees:
            the least and the most of few images that were made say less than batch norms. Those of
            outputs are at least what these imply: made images reach half of what photographs do.
    """
    graph, plan = planned(shaped.graph, settings)

    def found() -> ImpliedRanges:
        """Return the ranges."""
        known = _known(graph, shaped.statistics, taken, noise, settings.seed)
        return implied_ranges(graph, plan, known, calibrator=CALIBRATORS[settings.calibrator])

    made = recorder.step("ranges from batch norms", found, changed=lambda made: None)
    if images is None or CALIBRATORS[settings.calibrator] is MinMax:
        return encoded(shaped, settings, (graph, plan), made.ranges, recorder), made.from_noise
    ranges = recorder.step(
        "calibrate",
        lambda: seen_ranges(graph, plan, images.images, made.ranges, settings.calibrator),
        changed=lambda made: None,
    )
    return encoded(shaped, settings, (graph, plan), ranges, recorder), ()


def _known(
    graph: Graph, statistics: Mapping[str, Normal], taken: Input, noise: Tensor, seed: int
) -> NoImages:
    """Return what is known of values in place of images."""

    def on_noise(names: set[str]) -> Ranges:
        """Return ranges on the images of noise."""
        return noise_ranges(graph, noise, statistics, names)

    def of_scores(names: set[str]) -> Ranges:
        """Return ranges of scores of classes."""
        return score_ranges(graph, noise, statistics, names)

    def observed(by: Mapping[str, Calibrator]) -> Ranges:
        """Return ranges that calibrators see on more images of noise."""
        size, draws = noise.shape[2:], torch.Generator().manual_seed(seed)
        many = noise_images(CALIBRATING_IMAGES, taken.low, taken.high, size, draws)
        return calibrated_ranges(graph, many, statistics, by)

    values = implied_values(graph, statistics)
    return NoImages(values, taken.range, on_noise, of_scores, observed)


def _warnings(graph: Graph, taken: Input, from_noise: tuple[str, ...]) -> list[str]:
    told = []
    if taken.how:
        low, high = (float(end) for end in taken.range)
        told.append(
            f"the range of the input, {low:.3g} to {high:.3g}, is {taken.how}: no image was opened"
            " and nobody said how images are prepared; say it (--preprocess), or give images"
        )
    if from_noise:
        sources = [graph[name].source or name for name in from_noise[:NAMED]]
        more = f" and {len(from_noise) - NAMED} more" if len(from_noise) > NAMED else ""
        told.append(
            f"no batch norm says how large {len(from_noise)} values get ({', '.join(sources)}"
            f"{more}): their ranges are those of noise, and images may go beyond them; give images,"
            " or measure the result (--eval)"
        )
    return told
