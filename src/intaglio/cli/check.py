"""`intaglio check`: the file and its twin once more, value by value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from intaglio.cli.failures import FAILED, tell
from intaglio.cli.images import Images
from intaglio.cli.options import CheckRequest
from intaglio.cli.progress import shown_progress
from intaglio.cli.saved import SavedFile, open_saved
from intaglio.cli.screen import print_json, print_line
from intaglio.data.dataset import draw
from intaglio.data.images import open_dataset
from intaglio.errors import RequestError
from intaglio.host.progress import told
from intaglio.job.check_cores import CoreCheck, check_cores, together
from intaglio.job.result import Result
from intaglio.report.summary import border_text
from intaglio.targets.runtime import ABSURD, CheckCounts, Deviation, deviation_text


def run(request: CheckRequest) -> None:
    """Compare, and show what came of it.

    Raises:
        Exit: With FAILED, if a value differs; of a file in float, if it is absurdly far off.
        RequestError: If the file is no result of ours, or the data cannot be used.
    """
    saved = open_saved(request.file)
    result = saved.result
    if result is None:
        raise RequestError(
            f"{saved.path} is alone: check needs the twin that compress wrote beside it"
            " (report.json, graph.safetensors, ...); give the folder of the result"
        )
    if not saved.files:
        raise RequestError(
            f"{saved.path}: scheme {result.report.scheme} is simulated, so that there is no file to"
            " compare with the twin; 'intaglio evaluate' runs the twin"
        )
    shape = (1, *result.graph[result.graph.inputs[0]].shape[1:])
    dataset = draw(open_dataset(request.data), request.limit, request.seed or 0)
    images = Images(dataset, saved.preprocess(request.preprocess), shape, request.skip_bad_images)
    checks = _compared(request, saved, result, images)
    counts = together(checks)
    if counts.deviation is not None:
        _end_floats(request, saved, counts, counts.deviation, len(images.skipped))
        return
    _show(_content(checks, result, len(images.skipped)), as_json=request.as_json)
    if counts.mismatches:
        _tell_mismatches(counts, next(one.file for one in checks if one.counts.mismatches))
        raise typer.Exit(FAILED)


def _compared(
    request: CheckRequest, saved: SavedFile, result: Result, images: Images
) -> list[CoreCheck]:
    with shown_progress(as_json=request.as_json) as progress:
        progress.begin("check", len(images))
        batches = told(images.alone(), progress.advance)
        checks = check_cores(result, batches, file=saved.path, seed=request.seed or 0)
        progress.end()
    return checks


def _end_floats(
    request: CheckRequest, saved: SavedFile, counts: CheckCounts, found: Deviation, skipped: int
) -> None:
    """Show how far a file in float is from its twin; raise Exit where that is absurd."""
    runtime = saved.target.runtime
    content: dict[str, Any] = {
        "largest_deviation": _finite(found.largest),
        "relative_deviation": _finite(found.relative),
        "most_relative": ABSURD,
        "floats_compared": found.values,
        "images": counts.images,
        "runtime": runtime,
    }
    if skipped:
        content["skipped"] = skipped
    if request.as_json:
        print_json(content)
    else:
        print_line(
            f"{found.values:,} outputs of {counts.images} images: file and twin are at most"
            f" {found.largest:.3g} apart, {found.relative:.2g} of the largest output, on {runtime}"
        )
        print_line("The file computes in float, where no bits are promised.")
        _show_skipped(skipped)
    if found.is_absurd:
        tell(
            f"{saved.path}: {deviation_text(found)} where {ABSURD:g} is the most that float32"
            " arithmetic explains: the file is not the one that compress wrote"
        )
        raise typer.Exit(FAILED)


def _finite(value: float) -> float | None:
    """Return a number as JSON has it; None for infinity."""
    return value if math.isfinite(value) else None


def _tell_mismatches(counts: CheckCounts, path: Path) -> None:
    first = next(iter(counts.worst))
    tell(
        f"{counts.mismatches} of {counts.values_compared} values differ between {path}"
        f" and its twin, first in layer '{first}': the file is not the one that compress wrote"
    )


def _content(checks: Sequence[CoreCheck], result: Result, skipped: int) -> dict[str, Any]:
    counts = together(checks)
    reports = [result.report, *(part.report for part in result.parts.values())]
    content: dict[str, Any] = {
        "values_compared": counts.values_compared,
        "mismatches": counts.mismatches,
        "images": counts.images,
        "refused": [f"{kept.name}: {kept.why}" for report in reports for kept in report.kept_float],
        "runtime": result.target.runtime,
    }
    if len(checks) > 1:
        content["cores"] = [_of_core(check) for check in checks]
    if counts.border_values:
        content["border_values"] = counts.border_values
        content["border_equal"] = counts.border_equal
    if counts.worst:
        content["layers"] = counts.worst
    if skipped:
        content["skipped"] = skipped
    return content


def _of_core(check: CoreCheck) -> dict[str, Any]:
    return {
        "name": check.name,
        "shown": check.shown,
        "inputs": check.counts.images,
        "values_compared": check.counts.values_compared,
        "mismatches": check.counts.mismatches,
    }


def _show(content: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(content)
        return
    print_line(
        f"{content['mismatches']} mismatches in {content['values_compared']:,} values of"
        f" {content['images']} images on {content['runtime']}"
    )
    for core in content.get("cores", ()):
        print_line(
            f"Core '{core['name']}': {core['mismatches']} in {core['values_compared']:,} values of"
            f" {core['inputs']} {core['shown']}"
        )
    if "border_values" in content:
        print_line(f"Given {border_text(content['border_values'], content['border_equal'])}")
    for layer in content["refused"]:
        print_line(f"Not compared: {layer}")
    _show_skipped(content.get("skipped", 0))


def _show_skipped(count: int) -> None:
    if count:
        print_line(f"{count} unreadable images were passed over")
