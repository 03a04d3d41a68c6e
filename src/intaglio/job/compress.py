"""The main job: a trained network in, a checked integer file and its report out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from intaglio.data.batches import Data
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.job.fitted import fitted_settings
from intaglio.job.kept import kept_run, refuse_resume
from intaglio.job.produce import Run, produce
from intaglio.job.recorder import Recorder
from intaglio.job.result import Result
from intaglio.read.reader import Source
from intaglio.read.source import read
from intaglio.recipe.needs import refuse_training, refuse_unmet_needs
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.recipe import Recipe, find_recipe
from intaglio.recipe.settings import default_recipe, settle
from intaglio.report.record import StepRow


def compress(
    model: nn.Module | str | os.PathLike[str] | Source,
    example_input: Tensor | None = None,
    *,
    target: str | None = None,
    data: Data | None = None,
    evaluate: Any = None,
    recipe: str | Recipe | None = None,
    options: Options | None = None,
) -> Result:
    """Return the integer network of a trained module, checked bit for bit against its file.

    Args:
        model: A trained module or exported program with one image tensor in; or a text or path,
            as the command line takes it ("net.pt2", "mobilenet_v2", "package.module:factory"); or
            what `intaglio.read` returned for one, which also takes weights.
        example_input: [N, C, H, W] float32 of the deployed size; needed where no text says it.
        target: The runtime, a name of `TARGETS`; None: the recipe's, else "litert".
        data: Calibration images as the model wants them: a tensor [N, C, H, W], or an iterable of
            batches (a tensor, or a tuple of one and, maybe, class indices, which a search then
            judges by). Gone through once. None: no image is opened (recipe "datafree", "plain" or
            one of steps that need none). Scheme "fp16" needs none, and only measures on them.
        evaluate: (images, labels), or an iterable of such batches; gone through once, at the end;
            it decides nothing. Of maps and the like: (images, targets), or images.
        recipe: A name, a .toml file or a Recipe; None: "auto", without data "datafree", of scheme
            "fp16" "plain".
        options: Everything else.

    Raises:
        RequestError: If something asked for is wrong; its kinds say what (intaglio.errors).
        MismatchError: If file and twin disagree: a defect of ours, the file is not handed out.
    """
    run = _run(recipe, target, options, data=data)
    source = source_of(model, example_input, run.settings.seed)
    wishes = named(run.options, source)
    settings = replace(run.settings, own_task=wishes.provenance.task)
    run = replace(run, options=wishes, settings=settings)
    if data is None and isinstance(model, str | os.PathLike):
        run = replace(run, options=_prepared_as(run.options, source))
    graph = run.recorder.step("capture", source.capture)
    return noted(_produced(graph, run, evaluate), source)


def source_of(
    model: nn.Module | str | os.PathLike[str] | Source,
    example_input: Tensor | None,
    seed: int,
) -> Source:
    """Return the network that was given in any of its forms.

    Raises:
        RequestError: If there is none, or two inputs were given.
    """
    if not isinstance(model, Source):
        return read(model, example_input, seed=seed)
    if example_input is not None:
        raise RequestError("the network was read already, with its input: leave example_input out")
    return model


def noted(result: Result, source: Source) -> Result:
    """Return the result with what the user should know about the network."""
    told = [*result.report.warnings, *source.notes]
    return replace(result, report=replace(result.report, warnings=told))


def named(options: Options, source: Source) -> Options:
    """Return the options with what the network brings: its name, unless the user gave another."""
    where = options.provenance
    model = source.name if where.model == Provenance.model else where.model
    post = where.postprocess or source.postprocess
    return replace(options, provenance=replace(where, model=model, postprocess=post))


def _prepared_as(options: Options, source: Source) -> Options:
    """Return the options with what is done to the images of a network that a text names.

    Where nobody gives images, as the model wants them, that alone says what it takes.
    """
    where = options.provenance
    if where.preprocess is not None:
        return options
    return replace(options, provenance=replace(where, preprocess=source.preprocess))


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
    run = _run(recipe, target, options, data=data, steps=steps)
    return _produced(captured, run, evaluate)


def _produced(captured: Graph, run: Run, evaluate: Any) -> Result:
    """Return what comes of a captured network, long stages kept where that was asked."""
    run = replace(run, settings=fitted_settings(captured, run.settings))
    options = run.options if run.data is None else replace(run.options, out=None)
    with kept_run(captured, run.settings, options) as kept:
        result = produce(captured, replace(run, kept=kept), evaluate).result
    return replace(result, kept=kept.folder)


def _run(
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
