"""A detector that its own Python runs: its cores in integers, and that Python around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree as pytree

from intaglio.boxes.postprocess import PostProcess, TwoStage
from intaglio.data.preprocess import describe
from intaglio.errors import DataError, RequestError
from intaglio.host.files import MOST_CORES
from intaglio.job.cut import graph_of, in_order
from intaglio.job.of_graph import compress_graph
from intaglio.job.outcome import with_figures
from intaglio.job.recorder import Recorder
from intaglio.job.result import Result
from intaglio.job.verdict import NOT_MEASURED, verdict_of
from intaglio.read.module.core_inputs import core_inputs
from intaglio.read.module.core_whole import Core, Whole
from intaglio.read.reader import Source
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe
from intaglio.report.parts import CoreRow
from intaglio.report.record import Report
from intaglio.targets.ending import Ending
from intaglio.tasks.detect.classes import class_map
from intaglio.tasks.detect.detect import DETECT, WORDING
from intaglio.tasks.detect.whole import Asked, compare_wholes
from intaglio.tasks.evaluate import Compared
from intaglio.tasks.judgement import Wish

REGIONS = 64
"""Regions of a picture that a second core is calibrated with, evenly spread over all of them: the
surest and the least sure. A thousand would say no more, and take as long as the network itself."""
NOISE_PICTURES = 8
"""Shown to the float detector where there are no images."""
PLAIN = "plain"


@dataclass(frozen=True)
class WholeWish:
    """What is asked for, as of `compress`."""

    data: Any
    evaluate: Any
    target: str | None
    recipe: str | Recipe | None
    options: Options


def compress_whole(whole: Whole, source: Source, wish: WholeWish, recorder: Recorder) -> Result:
    """Return the result of a whole detector: its first core's, the others in `parts`.

    Each core is calibrated with what reaches it while the float detector runs over the data, batch
    by batch; the data is gone through once a core.

    Raises:
        RequestError: As `compress`; if the data can be gone through only once, and there are
            several cores.
    """
    asked = _asked(source, wish)
    cores = in_order(whole)
    if len(cores) > MOST_CORES:
        raise RequestError(
            f"the detector has {len(cores)} cores, and a result holds {MOST_CORES} at most: "
            + ", ".join(core.name for core in cores)
        )
    if len(cores) > 1 and isinstance(wish.data, Iterator):
        raise DataError(
            f"the detector has {len(cores)} cores, each calibrated by itself, and data can be gone"
            " through only once: give a tensor, a list of batches, or a loader"
        )
    results = [_of_core(whole, core, source, wish, recorder) for core in cores]
    parts = {core.name: made for core, made in zip(cores[1:], results[1:], strict=True)}
    main = replace(results[0], whole=whole, core=cores[0].name, parts=parts)
    main = replace(main, postprocess=source.postprocess)
    main = replace(main, report=_reported(main, cores, whole.left_out))
    if wish.evaluate is None:
        return main
    found = recorder.step("evaluate", lambda: _evaluated(main, asked, wish.evaluate))
    return _with_figures(main, found)


def _of_core(
    whole: Whole, core: Core, source: Source, wish: WholeWish, recorder: Recorder
) -> Result:
    """Return the integers of one core."""
    graph = recorder.step(f"capture {core.name}", lambda: graph_of(core))
    where = wish.options.provenance
    takes_pictures = core.entered == min(one.entered for one in whole.cores)
    post = source.postprocess
    is_read = len(whole.cores) == 1 and isinstance(post, PostProcess)
    where = replace(where, postprocess=post if is_read else None)
    if not takes_pictures:  # but regions, as many as there may be
        name = f"{where.model}: {core.name}"
        where = replace(where, model=name, preprocess=None, images=None, offered=None)
    data, recipe = _data(whole, core, wish, takes_pictures=takes_pictures)
    return compress_graph(
        graph,
        data=data,
        target=wish.target,
        recipe=recipe,
        options=replace(wish.options, provenance=where, task=None if not is_read else DETECT.name),
        steps=recorder.steps if takes_pictures else (),
    )


def _data(
    whole: Whole, core: Core, wish: WholeWish, *, takes_pictures: bool
) -> tuple[Iterator[Tensor] | None, str | Recipe | None]:
    """Return what a core is calibrated with, and by which recipe.

    Without images a second core, of whose input nothing is known, is shown what the float detector
    makes of noise; there are no batch norms in it that a recipe without images could ask.
    """
    if wish.data is not None:
        return _spread(core_inputs(whole, core, pictures(wish.data))), wish.recipe
    if takes_pictures:
        return None, wish.recipe
    generator = torch.Generator().manual_seed(wish.options.seed or 0)
    noise = [
        pytree.tree_map_only(
            Tensor, lambda one: torch.rand(one.shape, generator=generator), whole.example
        )
        for _ in range(NOISE_PICTURES)
    ]
    return _spread(core_inputs(whole, core, noise)), PLAIN


def pictures(data: Any) -> Iterator[Any]:
    """Yield what the detector takes of each batch: labels, where there are some, are left out."""
    if isinstance(data, Tensor):
        yield from torch.split(data, 1)
        return
    for batch in data:
        given = batch[0] if isinstance(batch, tuple) and len(batch) else batch
        yield list(given) if isinstance(given, tuple) else given


def _spread(inputs: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield inputs of a core, of each batch no more than REGIONS, evenly spread over it."""
    for entry in inputs:
        count = len(entry)
        yield entry if count <= REGIONS else entry[:: -(-count // REGIONS)]


def _evaluated(main: Result, asked: Asked, evaluate: Any) -> Compared:
    assert main.whole is not None, "it was cut"
    return compare_wholes(main.whole.module, main.module(), evaluate, asked)


def _reported(main: Result, cores: list[Core], left_out: Sequence[str]) -> Report:
    """Return the first core's report with what is known of all."""
    made = [main, *main.parts.values()]
    rows = [
        CoreRow(
            core.name,
            list(core.places),
            round(100.0 * core.share, 2),
            result.report.integer.size_bytes or 0,
            result.report.check.values_compared if result.report.check else 0,
            result.report.check.mismatches if result.report.check else 0,
            result.report.integer.logits_sqnr_db,
        )
        for core, result in zip(cores, made, strict=True)
    ]
    report = main.report
    real = replace(
        report.float,
        size_bytes=sum(result.report.float.size_bytes for result in made),
        macs=sum(
            count * result.report.float.macs
            for count, result in zip(_entries(main.postprocess, len(made)), made, strict=True)
        ),
        params=sum(result.report.float.params for result in made),
    )
    integer = replace(report.integer, size_bytes=sum(row.size_bytes for row in rows))
    told = [warning for result in made[1:] for warning in result.report.warnings]
    share = sum(core.share for core in cores)
    note = (
        f"the network cannot be captured as a whole, since it computes with values: {len(cores)}"
        f" of its parts, with {100.0 * share:.1f} % of its weights, are in integers; the Python"
        " around them is yours, and is not in the file"
    )
    return replace(
        report,
        float=real,
        integer=integer,
        cores=rows,
        warnings=[note, *left_out, *report.warnings, *told],
    )


def _entries(post: Ending | None, cores: int) -> list[int]:
    """Return how many entries of its batch each core computes for one picture, at most.

    The first is given the picture, a second one regions, a third one (of masks) what is found; of
    a detector of an unknown kind each is counted once.
    """
    known = [1, post.regions.most, post.head.most] if isinstance(post, TwoStage) else []
    return [*known, *[1] * cores][:cores]


def _with_figures(main: Result, found: Compared) -> Result:
    report = with_figures(main.report, found, DETECT)
    wish = Wish(
        Wish.max_drop if main.recipe.max_drop is None else main.recipe.max_drop,
        Wish.min_sqnr_db if main.recipe.min_sqnr is None else main.recipe.min_sqnr,
    )
    verdict = verdict_of(report.check, wish, None, found.judgement)
    told = [warning for warning in report.warnings if NOT_MEASURED not in warning]  # of a core
    report = replace(report, wording=WORDING, verdict=verdict, warnings=told)
    return replace(main, report=report, shown=found.shown.sections)


def _asked(source: Source, wish: WholeWish) -> Asked:
    """Return what is measured; raises as `_classes`."""
    where = wish.options.provenance
    return Asked(
        _classes(source, wish),
        seen=wish.options.progress.advance,
        names=[category.name for category in where.categories],
        preprocess=describe(where.preprocess) if where.preprocess else {},  # type: ignore[arg-type]
    )


def _classes(source: Source, wish: WholeWish) -> NDArray[np.int64] | None:
    """Return the data set's class of each of the detector's; None where labels have its own.

    Raises:
        RequestError: If a data set's cannot be told from the detector's.
    """
    categories = wish.options.provenance.categories
    if not categories:
        return None
    post = source.postprocess
    if not isinstance(post, PostProcess | TwoStage):
        raise RequestError(
            "which class of the labels each number of the detector means cannot be told, as it is"
            " of no known kind: evaluate it in Python, where labels have the detector's own numbers"
        )
    return class_map(post.head if isinstance(post, TwoStage) else post, categories)
