"""The search for a recipe: a ladder of methods, climbed until the wish is met.

Source: the workflow of Wu et al. 2020 (arXiv:2004.09602), section 6: calibrators, then corrections,
then partial quantization. Every rung adds one thing to the best so far, is judged on images that
nothing was tuned on, and is rolled back where it does not help. What is found is an ordinary
recipe: run again, it gives the same file without a search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from intaglio.data.held import HeldImages
from intaglio.errors import RequestError
from intaglio.job.outcome import Outcome, outcome_of
from intaglio.job.quantize import quantize_network
from intaglio.job.recorder import Recorder
from intaglio.methods.bits.sensitivity import worst_layers
from intaglio.methods.steps.state import Context, Prepared, Quantized
from intaglio.recipe.settings import Settings
from intaglio.report.parts import Attempt
from intaglio.run.twin import build_twin
from intaglio.tasks.judge import Judge, Verdict

CALIBRATORS_TRIED = ("mse", "percentile-99.99")
DEARER = {"round-second-order": 4.0, "brecq": 12.0, "keep worst layers in float": 6.0}
"""About how many times as long as a plain run a rung takes that has not run yet."""
FLOAT_LAYERS_TRIED = (1, 2, 4, 8)


@dataclass
class _Search:
    prepared: Prepared
    settings: Settings
    held: HeldImages
    judge: Judge
    recorder: Recorder
    device: str
    began: float = field(default_factory=time.perf_counter)
    attempts: list[Attempt] = field(default_factory=list)
    best: tuple[Quantized, Settings, Verdict] | None = None
    plain_seconds: float = 0.0
    out_of_time: bool = False

    def try_rung(self, name: str, settings: Settings) -> None:
        """Run one candidate; it becomes the best if it is better."""
        began = time.perf_counter()
        try:
            state = quantize_network(
                self.prepared,
                settings,
                self.held.tuning,
                self.recorder,
                device=self.device,
                labels=self.held.tuning_labels,
            )
            twin = build_twin(state.graph, state.encodings, settings.target)
        except RequestError as error:  # such as: the target holds none of it, no layer is left
            if self.best is None:
                raise
            self._record(name, began, None, kept=False, why=str(error))
            return
        verdict = self.judge.of(twin)
        better = self.best is None or verdict.is_better_than(self.best[2])
        if better:
            self.best = (state, settings, verdict)
        self._record(name, began, verdict, kept=better, why=None if better else "did not help")
        if not self.plain_seconds:
            self.plain_seconds = time.perf_counter() - began

    def _record(
        self, name: str, began: float, verdict: Verdict | None, *, kept: bool, why: str | None
    ) -> None:
        seconds = time.perf_counter() - began
        attempt = Attempt(name, seconds, kept, len(self.held.judged), why=why)
        if verdict is not None:
            attempt = replace(
                attempt,
                agreement=verdict.agreement,
                figures=dict(verdict.figures),
                sqnr_db=verdict.sqnr_db,
            )
        self.attempts.append(attempt)

    def is_met(self) -> bool:
        """Whether the best so far is good enough."""
        return self.best is not None and self.best[2].meets(self.settings.max_drop)

    def has_time_for(self, name: str) -> bool:
        """Whether a rung is likely to end within the minutes; records it where it is not."""
        spent = time.perf_counter() - self.began
        expected = self.plain_seconds * DEARER.get(name, 1.5)
        if spent + expected <= self.settings.minutes * 60.0:
            return True
        self.out_of_time = True
        why = f"{spent:.0f} s were spent and it would take about {expected:.0f} s more"
        self.attempts.append(Attempt(name, 0.0, False, len(self.held.judged), why=why))
        return False


def search(
    prepared: Prepared,
    settings: Settings,
    held: HeldImages,
    recorder: Recorder,
    *,
    device: str,
) -> Outcome:
    """Return the best network that the ladder gives within the minutes.

    The first rung, plain quantization, always runs. Cheap rungs are climbed until enough images say
    that the wish is met; dear ones, and layers in float, only where it is not.
    """
    judge = Judge(prepared.graph, held.judged, held.labels)
    work = _Search(prepared, settings, held, judge, recorder, device)
    work.try_rung("plain", _spelled_out(settings))
    for name, change in _rungs(settings):
        assert work.best is not None
        is_enough = (
            work.is_met() if name in DEARER else work.best[2].surely_meets(settings.max_drop)
        )
        if is_enough or not len(held.judged):
            break
        if work.has_time_for(name):
            work.try_rung(name, change(work.best[1]))
    _keep_worst_in_float(work)
    assert work.best is not None
    state, chosen, verdict = work.best
    found = outcome_of(state, chosen, held)
    return replace(found, attempts=work.attempts, warnings=_warnings(work, verdict))


def _rungs(settings: Settings) -> Iterator[tuple[str, Callable[[Settings], Settings]]]:
    """Yield the rungs above plain."""
    for name in CALIBRATORS_TRIED:
        if name != settings.calibrator:
            yield name, _with_calibrator(name)
    per_tensor = not settings.scheme.per_channel
    # one scale a weight suffers from unequal weights, one a channel from unequal activations
    for name in ("fold-dead-channels", "equalize" if per_tensor else "equalize-activations"):
        yield name, _with_step(name)
    yield "correct-bias", _with_step("correct-bias")
    yield "round-second-order", _with_step("round-second-order", instead_of="correct-bias")
    yield "brecq", _with_step("brecq")


def _keep_worst_in_float(work: _Search) -> None:
    """Leave more and more of the worst layers in float, until the wish is met."""
    name = "keep worst layers in float"
    if work.is_met() or not len(work.held.judged) or not work.has_time_for(name):
        return
    assert work.best is not None
    state, settings, _ = work.best
    context = Context(work.held.tuning, settings.target, settings.seed)
    worst = work.recorder.step(
        "rank layers",
        lambda: [layer for layer, _ in worst_layers(state.reference, state.encodings, context)],
        changed=lambda made: {"layers": len(made)},
    )
    for count in FLOAT_LAYERS_TRIED:
        chosen = tuple(dict.fromkeys((*settings.keep_float, *worst[:count])))
        label = f"{', '.join(worst[:count])} in float"
        if work.is_met() or count >= len(worst) or not work.has_time_for(label):
            return
        work.try_rung(label, replace(settings, keep_float=chosen))


def _with_calibrator(name: str) -> Callable[[Settings], Settings]:
    def change(settings: Settings) -> Settings:
        """Return the settings with the calibrator `name`, in their recipe too."""
        recipe = settings.recipe.model_copy(update={"calibrator": name})
        return replace(settings, calibrator=name, recipe=recipe)

    return change


def _with_step(name: str, *, instead_of: str = "") -> Callable[[Settings], Settings]:
    def change(settings: Settings) -> Settings:
        """Return the settings with the step `name` last, and without `instead_of`."""
        kept = [step for step in settings.recipe.steps if step["name"] != instead_of]
        recipe = settings.recipe.model_copy(update={"steps": [*kept, {"name": name}]})
        return replace(settings, recipe=recipe)

    return change


def _spelled_out(settings: Settings) -> Settings:
    """Return the settings with a recipe that searches no more: what `recipe.toml` then says."""
    mixed = settings.scheme.mixed
    recipe = settings.recipe.model_copy(
        update={
            "search": False,
            "max_drop": None,
            "minutes": None,
            "calibrator": settings.calibrator,
            "steps": [{"name": "allocate-bits"}] if mixed else [],
        }
    )
    return replace(settings, recipe=recipe)


def _warnings(work: _Search, verdict: Verdict) -> list[str]:
    if work.is_met():
        return []
    said = verdict.against(work.settings.max_drop)
    ended = (
        f"the {work.settings.minutes:g} minutes were spent before everything was tried: give more"
        " with --minutes"
        if work.out_of_time
        else "everything on the ladder was tried"
    )
    return [f"the wish was not met: {said}; {ended}. The best that was found is kept."]
