"""From a graph to its result: the main job behind the capture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from intaglio.data.batches import Data
from intaglio.ir.graph import Graph
from intaglio.job.fitted import fitted_settings
from intaglio.job.kept import kept_run, refuse_resume
from intaglio.job.produce import Run, produce
from intaglio.job.recorder import Recorder
from intaglio.job.result import Result
from intaglio.recipe.needs import refuse_training, refuse_unmet_needs
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe, find_recipe
from intaglio.recipe.settings import default_recipe, settle
from intaglio.report.record import StepRow


def compress_graph(
    captured: Graph,
    *,
    data: Data | None,
    target: str | None = None,
    evaluate: Any = None,
    recipe: str | Recipe | None = None,
    options: Options | None = None,
    steps: Sequence[StepRow] = (),
) -> Result:
    """Return the integer network of a graph that `capture` made: `compress` from there on.

    Args:
        steps: What was done before, to stand first in the report's steps.
    """
    run = asked_run(recipe, target, options, data=data, steps=steps)
    return produced(captured, run, evaluate)


def produced(captured: Graph, run: Run, evaluate: Any) -> Result:
    """Return what comes of a captured network, long stages kept where that was asked."""
    run = replace(run, settings=fitted_settings(captured, run.settings))
    options = run.options if run.data is None else replace(run.options, out=None)
    with kept_run(captured, run.settings, options) as kept:
        result = produce(captured, replace(run, kept=kept), evaluate).result
    return replace(result, kept=kept.folder)


def asked_run(
    recipe: str | Recipe | None,
    target: str | None,
    options: Options | None,
    *,
    data: Data | None,
    steps: Sequence[StepRow] = (),
) -> Run:
    """Return what holds for a run, once it is certain that its recipe has what it needs."""
    wishes = options or Options()
    name = recipe or default_recipe(wishes.scheme, has_images=data is not None)
    chosen = name if isinstance(name, Recipe) else find_recipe(name)
    refuse_training(chosen)
    settings = settle(chosen, target, wishes)
    if not settings.scheme.is_half:
        refuse_unmet_needs(chosen, _may_hold(data))
    refuse_resume(wishes, settings.recipe, has_images=data is not None)
    return Run(settings, wishes, data, Recorder(wishes.progress, list(steps)))


def _may_hold(data: Data | None) -> set[str]:
    """Return what data gives to steps as far as can be told without going through it."""
    if data is None:
        return {"task"}
    return {"images", "task"} | (set() if isinstance(data, Tensor) else {"labels"})
