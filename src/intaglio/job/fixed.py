"""Running a recipe as it stands, and never ending with less than its calibrator alone gives."""

from __future__ import annotations

from dataclasses import replace

import torch

from intaglio.data.batches import Data, FirstImages, image_batches
from intaglio.data.held import HeldImages
from intaglio.job.outcome import Outcome, Seen
from intaglio.job.quantize import (
    HELD_OUT,
    calibrated,
    held_out,
    judge_of,
    judged_by,
    quantize_network,
)
from intaglio.job.recorder import Recorder
from intaglio.job.rungs import DECIDES_BITS
from intaglio.methods.steps.state import Prepared
from intaglio.methods.steps.steps import STEPS, STRUCTURE
from intaglio.recipe.settings import Settings
from intaglio.tasks import Judgement

TRIAL_IMAGES = 64
"""Images that show whether the calibrator alone does better; only then are all gone through."""
JUDGED_OF_STREAM = 16
"""Images of a stream that judge: enough to see that little is left, for the cost of calibrating
with as many."""


def run_stream(
    prepared: Prepared,
    settings: Settings,
    data: Data,
    recorder: Recorder,
    *,
    device: str,
    total: int | None,
) -> Outcome:
    """Return the network of a recipe without steps: all images go by, the first few are kept.

    Memory: these, and one batch.

    Args:
        total: How many images the data holds, for progress; None where unknown.
    """
    first = FirstImages(HELD_OUT)
    shape = prepared.graph[prepared.graph.inputs[0]].shape[1:]
    batches = first.of(image_batches(data, shape))
    state = calibrated(prepared, settings, batches, recorder, total=total, device=device)
    kept = torch.cat(first.kept)
    judging = kept[:JUDGED_OF_STREAM]
    judgement = recorder.step(
        "judge", lambda: judged_by(judge_of(prepared.graph, settings, judging), state, settings)
    )
    return Outcome(state, settings, Seen(kept, first.seen), judgement)


def run_held(
    prepared: Prepared, settings: Settings, held: HeldImages, recorder: Recorder, *, device: str
) -> Outcome:
    """Return the network of a recipe on held images; its calibrator's alone where that is better.

    Whether it is, is judged on images that the recipe's steps on numbers did not see.
    """
    images, labels = held.tuning, held.tuning_labels
    made = quantize_network(prepared, settings, images, recorder, device=device, labels=labels)
    seen = Seen(images, len(images) + len(held.judged), len(held.judged))
    apart = images[held_out(len(images))]
    if not len(apart):
        return Outcome(made.state, settings, seen, warnings=list(made.undone))
    judge = made.judge or judge_of(prepared.graph, settings, apart)
    judgement = made.judgement
    if judgement is None:
        judgement = recorder.step("judge", lambda: judged_by(judge, made.state, settings))
    found = Outcome(made.state, settings, seen, judgement, warnings=list(made.undone))
    if not _restructures(settings) or settings.recipe.judged_share:
        return found  # its calibrator alone was judged already: within it, or by a search
    alone = _alone(settings)
    few = images[:: max(1, len(images) // TRIAL_IMAGES)]

    def trial() -> Judgement:
        """Return the judgement of the calibrator alone, on a few of the images."""
        tried = quantize_network(prepared, alone, few, Recorder(), device=device)
        return judged_by(judge, tried.state, settings)

    other = recorder.step("judge the calibrator alone", trial, changed=lambda made: None)
    if not other.is_better_than(judgement):
        return found
    plain = quantize_network(prepared, alone, images, recorder, device=device)
    warning = (
        f"the steps of recipe '{settings.recipe.name}' were all undone: on {other.n} images that"
        f" they did not see they left {judgement.sqnr_db:.1f} dB, calibrator"
        f" '{settings.calibrator}' alone leaves {other.sqnr_db:.1f} dB"
    )
    return Outcome(plain.state, settings, seen, other, warnings=[warning])


def _restructures(settings: Settings) -> bool:
    return any(STEPS[name].phase == STRUCTURE for name in settings.recipe.step_names)


def _alone(settings: Settings) -> Settings:
    """Return the settings without the steps that are there for accuracy."""
    kept = [step for step in settings.recipe.steps if step["name"] == DECIDES_BITS]
    return replace(settings, recipe=settings.recipe.model_copy(update={"steps": kept}))
