"""Files that end in boxes or classes of pixels: refused where they cannot, and what is told."""

from __future__ import annotations

from intaglio.boxes.postprocess import PostProcess
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.maps.postprocess import MapPostProcess
from intaglio.recipe.options import Provenance
from intaglio.recipe.settings import Settings
from intaglio.targets.ending import FileEnding
from intaglio.targets.target import IN_FILE
from intaglio.tasks.detect.classes import NONE, class_map
from intaglio.tasks.segment.classes import class_names
from intaglio.tasks.task import output_shapes

UNNAMED = "???"


def refuse_end(captured: Graph, settings: Settings, where: Provenance) -> None:
    """Pass a network whose file can end in what comes of its outputs, or is not asked to.

    Raises:
        RequestError: If it is asked to and cannot; says why.
    """
    if settings.postprocess != IN_FILE:
        return
    why = settings.target.end_misfit(where.postprocess, output_shapes(captured))
    if why is not None:
        raise RequestError(
            f"--postprocess {IN_FILE}: {why}: leave it out, and {_what(where)} come of the file's"
            " outputs by what runs it"
        )


def end_of(settings: Settings, where: Provenance) -> FileEnding | None:
    """Return what a file is to end in; None where it ends in the network's outputs."""
    post = where.postprocess
    return post if settings.postprocess == IN_FILE and isinstance(post, FileEnding) else None


def labels_of(where: Provenance) -> tuple[str, ...]:
    """Return names of classes: those that are known, else of a detector those of its labels.

    A class that no category is has a name that says so, as in files that others publish. Those of a
    segmenter are its own; where they have no names, those of the masks that judge it.

    Raises:
        DataError: If it cannot be told which class of the network each category is.
    """
    post = where.postprocess
    if isinstance(post, MapPostProcess):
        return class_names(post, where.categories) or where.labels
    if where.labels or not where.categories or not isinstance(post, PostProcess):
        return where.labels
    names = [category.name for category in where.categories]
    places = class_map(post, where.categories).tolist()
    return tuple(UNNAMED if place == NONE else names[place] for place in places)


def end_notes(settings: Settings, where: Provenance) -> list[str]:
    """Return what a report tells of a file's end: what is checked, and how it differs."""
    post = end_of(settings, where)
    if post is None:
        return []
    how = "chooses by comparing" if isinstance(post, MapPostProcess) else "computes in float"
    told = [
        f"the file ends in {_what(where)} (postprocess {IN_FILE}), which the runtime {how}:"
        " bits and figures are those of the outputs in front of that end"
    ]
    return told + [f"in the file {one}" for one in settings.target.end_differences(post)]


def _what(where: Provenance) -> str:
    return "maps" if isinstance(where.postprocess, MapPostProcess) else "boxes"
