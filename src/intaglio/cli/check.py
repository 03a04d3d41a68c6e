"""`intaglio check`: the file and its twin once more, value by value."""

from __future__ import annotations

import math
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
    counts = _compared(saved, result, images, as_json=request.as_json)
    if counts.deviation is not None:
        _end_floats(request, saved, counts, counts.deviation, len(images.skipped))
        return
    _show(_content(counts, result, len(images.skipped)), as_json=request.as_json)
    if counts.mismatches:
        _tell_mismatches(counts, saved.path)
        raise typer.Exit(FAILED)


def _compared(saved: SavedFile, result: Result, images: Images, *, as_json: bool) -> CheckCounts:
    with shown_progress(as_json=as_json) as progress:
        progress.begin("check", len(images))
        batches = told(images.alone(), progress.advance)
        counts = result.target.check(saved.files, result.twin, batches, where=str(saved.path))
        progress.end()
    return counts


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


def _content(counts: CheckCounts, result: Result, skipped: int) -> dict[str, Any]:
    content: dict[str, Any] = {
        "values_compared": counts.values_compared,
        "mismatches": counts.mismatches,
        "images": counts.images,
        "refused": [f"{entry.name}: {entry.why}" for entry in result.report.kept_float],
        "runtime": result.target.runtime,
    }
    if counts.border_values:
        content["border_values"] = counts.border_values
        content["border_equal"] = counts.border_equal
    if counts.worst:
        content["layers"] = counts.worst
    if skipped:
        content["skipped"] = skipped
    return content


def _show(content: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(content)
        return
    print_line(
        f"{content['mismatches']} mismatches in {content['values_compared']:,} values of"
        f" {content['images']} images on {content['runtime']}"
    )
    if "border_values" in content:
        print_line(f"Given {border_text(content['border_values'], content['border_equal'])}")
    for layer in content["refused"]:
        print_line(f"Not compared: {layer}")
    _show_skipped(content.get("skipped", 0))


def _show_skipped(count: int) -> None:
    if count:
        print_line(f"{count} unreadable images were passed over")
