"""The search for a recipe: a ladder of methods, climbed until the wish is met.

Two ladders: `auto`, and the published one, `workflow` (workflow.py). Source of `auto`: that
workflow too (Wu et al. 2020, arXiv:2004.09602, section 6): calibrators, then corrections, then
partial quantization. It differs: the remedy that the doctor names comes first, then whole recipes;
in a low-bit network the worst layers get more bits; layers stay in float only where that is
allowed. What is found is an ordinary recipe: run again, it gives the same file without a search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from intaglio.calibrate.float_islands import CHOSEN
from intaglio.data.held import HeldImages
from intaglio.doctor import findings_for_report
from intaglio.doctor.finding import Finding
from intaglio.ir.graph import Graph
from intaglio.job.climb import FEWEST, Search, worst_first
from intaglio.job.outcome import Outcome, Seen
from intaglio.job.quantize import judge_of
from intaglio.job.recorder import Recorder
from intaglio.job.rungs import (
    LOW_BITS,
    RAISED,
    Rung,
    first_rungs,
    keeping,
    last_rungs,
    plain_settings,
    raising,
)
from intaglio.job.verdict import wish_of
from intaglio.job.workflow import workflow
from intaglio.methods.steps.state import Prepared
from intaglio.recipe.recipe import AUTO, WORKFLOW
from intaglio.recipe.settings import Settings

JUDGING_SHARE = 1 / 15
"""Of the minutes, what the float network's answers may take: all rungs together take four to five
times that to be judged, a third of the minutes."""
SEARCHED = 0.95
"""Of the minutes; the rest is for writing and checking what was found."""
FLOAT_LAYERS_TRIED = (1, 2, 4, 8)
WORST_IN_FLOAT = "the worst layers in float"


def search(
    captured: Graph,
    prepared: Prepared,
    settings: Settings,
    held: HeldImages,
    recorder: Recorder,
    *,
    device: str,
) -> Outcome:
    """Return the best network that the recipe's ladder gives within the minutes.

    The first rung, a calibrator alone, always runs; with too few images to judge on, it alone.
    Minutes count from the beginning of the run, with what the recorder knows of it.
    """
    seconds = settings.minutes * 60.0 * SEARCHED
    began = time.perf_counter() - sum(step.seconds for step in recorder.steps)
    judge = judge_of(
        prepared.graph, settings, held.judged, held.labels, seconds=seconds * JUDGING_SHARE
    )
    work = Search(
        captured,
        prepared,
        settings,
        held,
        judge,
        recorder,
        device,
        began=began,
        seconds=seconds,
        wish=wish_of(settings),
    )
    work.climb(LADDERS[settings.recipe.ladder or AUTO](work))
    return _outcome(work)


def _outcome(work: Search) -> Outcome:
    found, tuning, judged = work.best, work.held.tuning, len(work.judge.images)
    return Outcome(
        found.state,
        found.settings,
        Seen(tuning, len(tuning) + judged, judged),
        found.judgement if found.judgement.n else None,
        attempts=work.attempts,
        warnings=[*found.notes, *_warnings(work)],
    )


def _auto(work: Search) -> Iterator[Rung]:
    """Yield the rungs of recipe `auto`, in order."""
    plain = plain_settings(work.settings)
    yield Rung("plain", "always", lambda _: plain)
    if not len(work.judge.images):
        return
    yield from first_rungs(plain, _findings(work))
    yield from _bits_raised(work)
    yield from last_rungs(plain)
    if work.settings.allow_float:
        yield from _worst_in_float(work)


def _findings(work: Search) -> list[Finding]:
    """Return what the doctor says of the first rung, unless that is good enough."""
    found = work.best
    if found.judgement.proves(work.wish):
        return []
    images = work.held.tuning
    return work.recorder.step(
        "ask the doctor",
        lambda: findings_for_report(
            work.captured, found.state, [images], target=found.settings.target, total=len(images)
        ),
        changed=lambda made: {"findings": len(made)},
    )


def _bits_raised(work: Search) -> Iterator[Rung]:
    """Yield what gives the layers that gain most for each byte more bits.

    A file never gets as large as with 8 bits everywhere.
    """
    state, settings = work.best.state, work.best.settings
    scheme, target = settings.scheme, settings.target
    if not scheme.mixed and scheme.weight_bits >= LOW_BITS:
        return
    own = {name: grid.spec.bits for name, grid in state.encodings.weights.items()}
    small = target.size_bytes(state.graph, own)
    large = target.size_bytes(state.graph, dict.fromkeys(own, LOW_BITS))
    if small >= large:
        return
    least = min(own.values())
    bits = [width for width in sorted(target.weight_bits, reverse=True) if width >= least]
    for share in RAISED:
        yield raising(small + int(share * (large - small)), share, bits)


def _worst_in_float(work: Search) -> Iterator[Rung]:
    """Yield what leaves more and more of the worst layers in float."""
    if not work.is_missed:
        return
    worst = worst_first(work, work.best, WORST_IN_FLOAT)
    for count in FLOAT_LAYERS_TRIED:
        if count < len(worst):
            yield keeping(worst[:count], CHOSEN)


LADDERS: Mapping[str, Callable[[Search], Iterator[Rung]]] = {AUTO: _auto, WORKFLOW: workflow}
"""By the word of a recipe that searches; `recipe.LADDERS` has the same."""


def _warnings(work: Search) -> list[str]:
    if work.best.judgement.meets(work.wish):
        return []
    said = work.best.judgement.against(work.wish)
    if work.best.judgement.n < FEWEST:
        few = (
            f"{work.best.judgement.n} images to judge on are too few for a search: give 50 or more"
        )
        return [f"the wish was not shown to be met: {said}; {few}"]
    ended = (
        f"the {work.settings.minutes:g} minutes were spent before everything was tried: give more"
        " with --minutes"
        if work.out_of_time
        else "everything on the ladder was tried"
    )
    return [f"the wish was not met: {said}; {ended}. The best that was found is kept."]
