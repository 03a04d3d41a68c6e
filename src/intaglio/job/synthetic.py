"""Images that a recipe makes of batch norms, and the ranges that they give."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from intaglio.calibrate import CALIBRATORS, observe_ranges
from intaglio.calibrate.input_range import implied_input
from intaglio.calibrate.loop import unclipped_values
from intaglio.calibrate.noise import noise_images
from intaglio.host.training import Kept
from intaglio.ir.graph import Graph
from intaglio.job.recorder import Recorder
from intaglio.methods.datafree.distill import Distilled, Workshop, distilled
from intaglio.methods.datafree.pixels import Pixels, image_shape
from intaglio.methods.steps.state import Context, Prepared
from intaglio.numerics.plan import Plan
from intaglio.recipe.settings import Settings
from intaglio.targets.runtime import Ranges

WITHIN = 2.0
"""Deviations of a pixel between the middle of an input and its ends, where nothing tells more."""


def made_images(
    shaped: Prepared,
    settings: Settings,
    ends: tuple[Tensor, Tensor],
    recorder: Recorder,
    *,
    context: Context,
    about: Mapping[str, str],
) -> Distilled:
    """Return the images that a recipe's `[synthetic]` asks for.

    Args:
        ends: Of the input, [C] each.
        context: Of the run; it says where this is computed and kept.
        about: What a run that goes on must have in common with the killed one, in words.

    Raises:
        RequestError: If the network takes no images, or no batch norm says anything of it.
    """
    wish = settings.recipe.synthetic
    assert wish is not None, "the recipe makes images"
    pixels = _pixels(shaped, settings.seed, ends)
    kept = Kept(context.place, context.resume).stage("distill")
    workshop = Workshop(
        pixels,
        lambda count, draws: noise_images(count, pixels.low, pixels.high, pixels.shape[1:], draws),
        seed=settings.seed,
        device=context.device,
        place=kept.folder,
        resume=kept.resume,
        about=about,
        progress=recorder.progress,
    )
    return recorder.step(
        "distill images",
        lambda: distilled(shaped, wish, workshop),
        changed=lambda made: {"images": len(made.images)},
    )


def _pixels(shaped: Prepared, seed: int, ends: tuple[Tensor, Tensor]) -> Pixels:
    """Return what the network takes; its moments are what its first layer implies, if it does."""
    graph = shaped.graph
    shape = image_shape(graph[graph.inputs[0]].shape)
    low, high = (end.float().expand(shape[0]) for end in ends)
    mean, std = (low + high) / 2.0, (high - low) / (2.0 * WITHIN)
    implied = implied_input(graph, shaped.statistics, torch.Generator().manual_seed(seed))
    if implied is not None:
        mean, std = implied.mean.float(), implied.std.float()
    return Pixels(shape, mean, std, low, high)


def seen_ranges(
    graph: Graph, plan: Plan, images: Tensor, implied: Ranges, calibrator: str
) -> Ranges:
    """Return the ranges that images give, those of outputs at least as wide as what is implied.

    Args:
        implied: By batch norms, of all values.
    """
    found = dict(observe_ranges(graph, plan, [images], calibrator=CALIBRATORS[calibrator]))
    for name in unclipped_values(graph, plan) & found.keys() & implied.keys():
        (low, high), (wider_low, wider_high) = found[name], implied[name]
        found[name] = torch.minimum(low, wider_low), torch.maximum(high, wider_high)
    return found
