"""The search for a recipe: a ladder of methods, climbed until the wish is met.

Source: the workflow of Wu et al. 2020 (arXiv:2004.09602), section 6: calibrators, then corrections,
then partial quantization. We differ: the remedy that the doctor names comes first, then whole
recipes; in a low-bit network the worst layers get more bits; layers stay in float only where that
is allowed. Every rung is judged on all images that nothing was tuned on, and rolled back where it
does not help. What is found is an ordinary recipe: run again, it gives the same file without a
search.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from intaglio.data.held import HeldImages
from intaglio.doctor import findings_for_report
from intaglio.doctor.finding import Finding
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.job.deadline import Deadline, OutOfTime
from intaglio.job.outcome import Outcome, Seen, simulated_size
from intaglio.job.quantize import judge_of, quantize_network
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
from intaglio.methods.bits.sensitivity import worst_layers
from intaglio.methods.steps.state import Context, Prepared, Quantized
from intaglio.recipe.settings import Settings
from intaglio.report.parts import Attempt
from intaglio.run.twin import build_twin
from intaglio.targets.runtime import About
from intaglio.tasks import Judge, Judgement, Wish

JUDGING_SHARE = 1 / 15
"""Of the minutes, what the float network's answers may take: all rungs together take four to five
times that to be judged, a third of the minutes."""
SEARCHED = 0.95
"""Of the minutes; the rest is for writing and checking what was found."""
FEWEST, FEWEST_FOR_DEAR = 8, 48
"""Images that judge, below which nothing but the doctor's remedies is tried, and nothing dear: what
is chosen by fewer is chosen by luck."""
NOTHING_SAID = About()
"""Files that are only weighed say nothing of themselves."""
FLOAT_LAYERS_TRIED = (1, 2, 4, 8)


@dataclass
class _Search:
    prepared: Prepared
    settings: Settings
    held: HeldImages
    judge: Judge
    recorder: Recorder
    device: str
    ends: float
    wish: Wish
    attempts: list[Attempt] = field(default_factory=list)
    best: tuple[Quantized, Settings, Judgement] | None = None
    notes: tuple[str, ...] = ()
    first_seconds: float = 0.0
    out_of_time: bool = False

    @property
    def judgement(self) -> Judgement:
        """Of the best so far."""
        assert self.best is not None, "the first rung was run"
        return self.best[2]

    def climb(self, rungs: Iterable[Rung]) -> None:
        """Try those of the rungs that are worth it."""
        for rung in rungs:
            if self._is_worth(rung) and self._has_time_for(rung.name):
                assert self.best is not None
                self._try_before_the_end(rung.name, rung.change(self.best[1]))

    def _is_worth(self, rung: Rung) -> bool:
        judged, wish = self.judgement, self.wish
        if judged.n < FEWEST and not rung.is_remedy:
            return False
        if rung.when == "unproven":
            return not judged.proves(wish)
        if rung.when == "unmet":
            return not judged.meets(wish)
        return judged.misses(wish) and judged.n >= FEWEST_FOR_DEAR

    def _has_time_for(self, name: str) -> bool:
        """Whether there is at least as much time left as the first rung took; records it if not."""
        if time.perf_counter() + self.first_seconds <= self.ends:
            return True
        self._pass_over(name, "the minutes were spent")
        return False

    def _pass_over(self, name: str, why: str, seconds: float = 0.0) -> None:
        self.out_of_time = True
        self.attempts.append(Attempt(name, seconds, kept=False, n=self.judgement.n, why=why))

    def _try_before_the_end(self, name: str, settings: Settings) -> None:
        began = time.perf_counter()
        told = self.recorder.progress
        self.recorder.progress = Deadline(told, self.ends)
        try:
            self.try_rung(name, settings)
        except OutOfTime:
            seconds = time.perf_counter() - began
            self._pass_over(name, "ended where the minutes were spent", seconds)
        finally:
            self.recorder.progress = told

    def try_rung(self, name: str, settings: Settings) -> None:
        """Run one candidate; it becomes the best if it is better."""
        began = time.perf_counter()
        try:
            made = quantize_network(
                self.prepared,
                settings,
                self.held.tuning,
                self.recorder,
                device=self.device,
                labels=self.held.tuning_labels,
            )
            state = made.state
            twin = build_twin(state.graph, state.encodings, settings.target)
            size = _size_bytes(state, settings)
        except RequestError as error:  # such as: the target holds none of it, no layer is left
            if self.best is None:
                raise
            seconds = time.perf_counter() - began
            row = Attempt(name, seconds, kept=False, n=self.judgement.n, why=str(error))
            self.attempts.append(row)
            return
        judgement = self.judge.of(twin)
        better = self.best is None or judgement.is_better_than(self.judgement)
        if better:
            self.best, self.notes = (state, settings, judgement), made.undone
        seconds = time.perf_counter() - began
        self.first_seconds = self.first_seconds or seconds
        self._record(Attempt(name, seconds, better, judgement.n), judgement, size)

    def _record(self, row: Attempt, judgement: Judgement, size_bytes: int) -> None:
        self.attempts.append(
            replace(
                row,
                agreement=judgement.percent,
                figures=dict(judgement.figures),
                sqnr_db=judgement.sqnr_db,
                size_bytes=size_bytes,
                why=None if row.kept else "did not help",
            )
        )


def _size_bytes(state: Quantized, settings: Settings) -> int:
    """Return what the file takes, which is written for that: a target may refuse it even now."""
    if settings.is_simulated:
        return simulated_size(state, settings.target)
    files = settings.target.write(state.graph, state.encodings, settings.io, NOTHING_SAID)
    return sum(map(len, files.values()))


def search(
    captured: Graph,
    prepared: Prepared,
    settings: Settings,
    held: HeldImages,
    recorder: Recorder,
    *,
    device: str,
) -> Outcome:
    """Return the best network that the ladder gives within the minutes.

    The first rung, plain quantization, always runs; with too few images to judge on, it alone.
    Minutes count from the beginning of the run, with what the recorder knows of it.
    """
    seconds = settings.minutes * 60.0 * SEARCHED
    ends = time.perf_counter() + seconds - sum(step.seconds for step in recorder.steps)
    judge = judge_of(
        prepared.graph, settings, held.judged, held.labels, seconds=seconds * JUDGING_SHARE
    )
    wish = wish_of(settings)
    work = _Search(prepared, settings, held, judge, recorder, device, ends, wish)
    _climb_all(work, captured)
    assert work.best is not None
    state, chosen, judgement = work.best
    seen = Seen(held.tuning, len(held.tuning) + len(judge.images), len(judge.images))
    return Outcome(
        state,
        chosen,
        seen,
        judgement if judgement.n else None,
        attempts=work.attempts,
        warnings=[*work.notes, *_warnings(work)],
        in_float=tuple(name for name in chosen.keep_float if name not in settings.keep_float),
    )


def _climb_all(work: _Search, captured: Graph) -> None:
    """Try all rungs that are worth it, in order."""
    plain = plain_settings(work.settings)
    work.try_rung("plain", plain)
    if not len(work.judge.images):
        return
    work.climb(first_rungs(plain, _findings(captured, work)))
    _raise_bits(work)
    work.climb(last_rungs(plain))
    if work.settings.allow_float:
        _keep_worst_in_float(work)


def _findings(captured: Graph, work: _Search) -> list[Finding]:
    """Return what the doctor says of the first rung, unless that is good enough."""
    assert work.best is not None
    state, settings, judgement = work.best
    if judgement.proves(work.wish):
        return []
    images = work.held.tuning
    return work.recorder.step(
        "ask the doctor",
        lambda: findings_for_report(
            captured, state, [images], target=settings.target, total=len(images)
        ),
        changed=lambda made: {"findings": len(made)},
    )


def _raise_bits(work: _Search) -> None:
    """Give the layers that gain most for each byte more bits, until the wish is met.

    A file never gets as large as with 8 bits everywhere.
    """
    assert work.best is not None
    state, settings, _ = work.best
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
    work.climb(raising(small + int(share * (large - small)), share, bits) for share in RAISED)


def _keep_worst_in_float(work: _Search) -> None:
    """Leave more and more of the worst layers in float, until the wish is met."""
    if not work.judgement.misses(work.wish) or work.judgement.n < FEWEST_FOR_DEAR:
        return
    assert work.best is not None
    state, settings, _ = work.best
    context = Context(work.held.tuning, settings.target, settings.seed)
    worst = work.recorder.step(
        "rank layers",
        lambda: [layer for layer, _ in worst_layers(state.reference, state.encodings, context)],
        changed=lambda made: {"layers": len(made)},
    )
    work.climb(keeping(worst[:count]) for count in FLOAT_LAYERS_TRIED if count < len(worst))


def _warnings(work: _Search) -> list[str]:
    if work.judgement.meets(work.wish):
        return []
    said = work.judgement.against(work.wish)
    if work.judgement.n < FEWEST:
        few = f"{work.judgement.n} images to judge on are too few for a search: give 50 or more"
        return [f"the wish was not shown to be met: {said}; {few}"]
    ended = (
        f"the {work.settings.minutes:g} minutes were spent before everything was tried: give more"
        " with --minutes"
        if work.out_of_time
        else "everything on the ladder was tried"
    )
    return [f"the wish was not met: {said}; {ended}. The best that was found is kept."]
