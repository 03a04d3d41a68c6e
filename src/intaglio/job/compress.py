"""The main job: a trained network in, a checked integer file and its report out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from intaglio.data.batches import Data
from intaglio.errors import CaptureError, RequestError, Untraceable
from intaglio.ir.graph import Graph
from intaglio.job.maps import are_of_pixels, first_labels, with_maps
from intaglio.job.of_graph import asked_run, produced
from intaglio.job.result import Result
from intaglio.job.whole import WholeWish, compress_whole
from intaglio.read.module.core_whole import Whole
from intaglio.read.reader import Source
from intaglio.read.source import read
from intaglio.recipe.options import Options, Provenance
from intaglio.recipe.recipe import Recipe


def compress(
    model: nn.Module | str | os.PathLike[str] | Source,
    example_input: Tensor | Sequence[Tensor] | None = None,
    *,
    target: str | None = None,
    data: Data | None = None,
    evaluate: Any = None,
    recipe: str | Recipe | None = None,
    options: Options | None = None,
) -> Result:
    """Return the integer network of a trained module, checked bit for bit against its file.

    Args:
        model: A trained module or exported program; or a text or path, as the command line takes it
            ("net.pt2", "mobilenet_v2", "package.module:factory"); or what `intaglio.read` returned
            for one, which also takes weights.
        example_input: [N, C, H, W] float32 of the deployed size; needed where no text says it. Of a
            detector that takes a list of pictures, such a list (see `Result.module`).
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
    asked = WholeWish(data, evaluate, target, recipe, options or Options())
    return _compressed(model, example_input, asked)


def _compressed(
    model: nn.Module | str | os.PathLike[str] | Source,
    example_input: Tensor | Sequence[Tensor] | None,
    asked: WholeWish,
) -> Result:
    run = asked_run(asked.recipe, asked.target, asked.options, data=asked.data)
    source = source_of(model, example_input, run.settings.seed)
    captured = run.recorder.step("capture", lambda: captured_or_cut(source))
    source = with_postprocess(source, captured)
    if isinstance(captured, Graph):
        is_masked = are_of_pixels(first_labels(asked.evaluate), captured)
        task = run.settings.task
        source, captured = with_maps(source, captured, task=task, is_masked=is_masked)
    is_text = asked.data is None and isinstance(model, str | os.PathLike)
    wishes = _prepared_as(named(run.options, source), source, is_text=is_text)
    if isinstance(captured, Whole):
        wish = replace(asked, options=wishes)
        return noted(compress_whole(captured, source, wish, run.recorder), source)
    own = replace(run.settings, own_task=wishes.provenance.task)
    run = replace(run, options=wishes, settings=own)
    return noted(produced(captured, run, asked.evaluate), source)


def captured_or_cut(source: Source) -> Graph | Whole:
    """Return a network's graph; of one that cannot be followed as a whole, its cores.

    Raises:
        CaptureError: If it has none either; says where its code cannot be followed.
    """
    try:
        return source.capture()
    except Untraceable as failure:
        if source.cut is None:
            raise
        try:
            whole: Whole = source.cut()
        except CaptureError as other:
            raise CaptureError(f"{failure}. Nor is there a core that can: {other}") from failure
        return whole


def with_postprocess(source: Source, captured: Graph | Whole) -> Source:
    """Return the source of a network that was captured, with how boxes come of its outputs."""
    if source.recognise is None:
        return source
    return replace(source, postprocess=source.recognise(captured))


def source_of(
    model: nn.Module | str | os.PathLike[str] | Source,
    example_input: Tensor | Sequence[Tensor] | None,
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


def _prepared_as(options: Options, source: Source, *, is_text: bool) -> Options:
    """Return the options with what is done to the images of a network that a text names.

    Where nobody gives images, as the model wants them, that alone says what it takes.
    """
    where = options.provenance
    if where.preprocess is not None or not is_text:
        return options
    return replace(options, provenance=replace(where, preprocess=source.preprocess))
