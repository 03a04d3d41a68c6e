"""Climbing a ladder: rungs are tried in turn, each is judged, and the best is kept.

A ladder is a generator of rungs. It sees what was found so far, since the next rung may depend on
it: the layers that hurt most are those of the best network, say. Every rung is judged on all images
that nothing was tuned on, recorded, and rolled back where it does not help.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from intaglio.data.held import HeldImages
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.job.deadline import Deadline, OutOfTime
from intaglio.job.outcome import simulated_size
from intaglio.job.quantize import context_of, quantize_network
from intaglio.job.recorder import Recorder
from intaglio.job.rungs import Rung
from intaglio.methods.bits.sensitivity import worst_layers
from intaglio.methods.steps.state import Context, Prepared, Quantized
from intaglio.recipe.settings import Settings
from intaglio.report.parts import Attempt
from intaglio.run.twin import build_twin
from intaglio.targets.runtime import About
from intaglio.tasks import Judge, Judgement, Wish

FEWEST, FEWEST_FOR_DEAR = 8, 48
"""Images that judge, below which nothing but the doctor's remedies is tried, and nothing dear: what
is chosen by fewer is chosen by luck."""
NOTHING_SAID = About()
"""Files that are only weighed say nothing of themselves."""
SPENT = {
    True: ("the minutes were spent", "ended where the minutes were spent"),
    False: (
        "its share of the minutes was spent",
        "ended where its share of the minutes was spent",
    ),
}
"""Why something was not begun, and not ended, by whether it could have had all of the minutes."""

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Found:
    """A network that a rung made.

    Attributes:
        state: The network in integers.
        settings: That made it; their recipe searches no more.
        judgement: Of it.
        seconds: That all of it took.
        notes: What the user should know of it.
    """

    state: Quantized
    settings: Settings
    judgement: Judgement
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass
class Search:
    """What a ladder is climbed with, and what was found.

    Attributes:
        captured: The network as captured.
        prepared: The lowered network.
        settings: What was asked for.
        held: Images to tune on, and those that judge.
        judge: Who judges.
        recorder: The record of the run; its progress tells of rungs, too.
        device: Where the float network runs.
        began: When the minutes began, by `time.perf_counter`.
        seconds: Of them.
        wish: What is to be met.
        attempts: Every rung that was tried or passed over.
        first_seconds: What the first one took.
        out_of_time: Whether something was left out or cut for lack of time.
    """

    captured: Graph
    prepared: Prepared
    settings: Settings
    held: HeldImages
    judge: Judge
    recorder: Recorder
    device: str
    began: float
    seconds: float
    wish: Wish
    attempts: list[Attempt] = field(default_factory=list)
    first_seconds: float = 0.0
    out_of_time: bool = False
    _best: Found | None = None

    @property
    def best(self) -> Found:
        """The best so far; there is one behind the first rung."""
        assert self._best is not None, "the first rung was run"
        return self._best

    @property
    def is_missed(self) -> bool:
        """Whether the wish is surely missed so far, on enough images for something dear."""
        judged = self.best.judgement
        return judged.misses(self.wish) and judged.n >= FEWEST_FOR_DEAR

    def climb(self, rungs: Iterator[Rung]) -> None:
        """Try the first rung, whatever it takes, and those of the others that are worth it."""
        first = next(rungs)
        self._try(first.name, first.change(self.settings))
        for rung in rungs:
            if self._is_worth(rung):
                settings = rung.change(self.best.settings)
                self.in_time(rung.name, partial(self._try, rung.name, settings), rung.until)

    def context(self) -> Context:
        """Return what steps may look at."""
        held = self.held
        return context_of(
            self.prepared,
            self.settings,
            held.tuning,
            self.recorder,
            device=self.device,
            labels=held.tuning_labels,
        )

    def left(self, until: float = 1.0) -> float:
        """Return the seconds until a share of the minutes is spent."""
        return self.began + until * self.seconds - time.perf_counter()

    def has_time(self, until: float = 1.0) -> bool:
        """Whether as much time is left as the first rung took, at least."""
        return self.first_seconds <= self.left(until)

    def in_time(self, name: str, work: Callable[[], Made], until: float = 1.0) -> Made | None:
        """Return what work makes, ended where a share of the minutes is spent.

        None where it was ended, or not begun; that is recorded under the name.
        """
        not_begun, not_ended = SPENT[until == 1.0]
        if not self.has_time(until):
            self.pass_over(name, not_begun)
            return None
        began = time.perf_counter()
        try:
            with self._ended(began + self.left(until)):
                return work()
        except OutOfTime:
            self.pass_over(name, not_ended, time.perf_counter() - began)
            return None

    @contextmanager
    def _ended(self, at: float) -> Iterator[None]:
        told = self.recorder.progress
        self.recorder.progress = Deadline(told, at)
        try:
            yield
        finally:
            self.recorder.progress = told

    def pass_over(self, name: str, why: str, seconds: float = 0.0) -> None:
        """Record what there was no time for."""
        self.out_of_time = True
        count = self.best.judgement.n
        self.attempts.append(Attempt(name, seconds, kept=False, n=count, why=why))

    def _is_worth(self, rung: Rung) -> bool:
        judged, wish = self.best.judgement, self.wish
        if judged.n < FEWEST and not rung.is_remedy:
            return False
        if rung.when == "unproven":
            return not judged.proves(wish)
        if rung.when == "unmet":
            return not judged.meets(wish)
        return rung.when == "always" or self.is_missed

    def _try(self, name: str, settings: Settings) -> None:
        """Run one candidate; it becomes the best if it is better."""
        began = time.perf_counter()
        try:
            found, size = self._made(settings, began)
        except RequestError as error:  # such as: the target holds none of it, no layer is left
            if self._best is None:
                raise
            seconds = time.perf_counter() - began
            row = Attempt(name, seconds, kept=False, n=self.best.judgement.n, why=str(error))
            self.attempts.append(row)
            return
        better = self._best is None or found.judgement.is_better_than(self._best.judgement)
        if better:
            self._best = found
        self.first_seconds = self.first_seconds or found.seconds
        row = Attempt(name, found.seconds, better, found.judgement.n)
        self.attempts.append(_judged(row, found.judgement, size))

    def _made(self, settings: Settings, began: float) -> tuple[Found, int]:
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
        judgement = self.judge.of(twin)
        seconds = time.perf_counter() - began
        return Found(state, settings, judgement, seconds, made.undone), size


def _size_bytes(state: Quantized, settings: Settings) -> int:
    """Return what the file takes, which is written for that: a target may refuse it even now."""
    if settings.is_simulated:
        return simulated_size(state, settings.target)
    files = settings.target.write(state.graph, state.encodings, settings.io, NOTHING_SAID)
    return sum(map(len, files.values()))


def _judged(row: Attempt, judgement: Judgement, size_bytes: int) -> Attempt:
    return replace(
        row,
        agreement=judgement.percent,
        figures=dict(judgement.figures),
        sqnr_db=judgement.sqnr_db,
        size_bytes=size_bytes,
        why=None if row.kept else "did not help",
    )


def worst_first(search: Search, found: Found, name: str, until: float = 1.0) -> list[str]:
    """Return the layers of a network, those first that hurt most, as `keep_float` names them.

    None at all where there is no time to rank them; that is recorded under the name.
    """

    def ranked() -> list[str]:
        """Return the names in order."""
        context = search.context()
        return [
            name for name, _ in worst_layers(found.state.reference, found.state.encodings, context)
        ]

    def work() -> list[str]:
        """Return them, the ranking recorded as a step."""
        return search.recorder.step(
            "rank layers", ranked, changed=lambda made: {"layers": len(made)}
        )

    return search.in_time(name, work, until) or []
