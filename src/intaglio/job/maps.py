"""Segmenters that do not say how their maps are read: told by their graph, once they are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from intaglio.ir.graph import Graph
from intaglio.maps.postprocess import MapPostProcess
from intaglio.read.reader import Source
from intaglio.targets.target import IN_FILE
from intaglio.tasks import SEGMENT, VALUES
from intaglio.tasks.segment.ends import end_of_maps, without_choice
from intaglio.tasks.segment.targets import are_labels
from intaglio.tasks.task import Labels, output_shapes

CHOICE_LEFT = (
    "the network ends in an argmax: the file gives the scores that it is of, unless it is to end in"
    f" it (--postprocess {IN_FILE})"
)


def with_maps(
    source: Source, captured: Graph, *, task: str | None, is_masked: bool = False
) -> tuple[Source, Graph]:
    """Return a network with how its maps are read, and its graph, which gives their scores.

    A network that gives what an argmax over channels says, is a segmenter. Any other one is where
    the user says so, or labels do.

    Args:
        source: With what the network says of itself; that is believed.
        captured: Of it.
        task: What the user says that it is for; None: nothing.
        is_masked: Whether its labels are the classes of pixels, and nobody says anything else.

    Raises:
        DataError: If it is to be a segmenter, and how its maps are read cannot be told.
    """
    post = source.postprocess
    if task not in (None, SEGMENT.name):
        return source, captured
    if post is not None and not isinstance(post, MapPostProcess):
        return source, captured
    scored = without_choice(captured, post)
    if scored is not None:
        notes = (*source.notes, CHOICE_LEFT)
        return replace(source, postprocess=scored.post, notes=notes), scored.graph
    if post is None and (task is not None or is_masked):
        return replace(source, postprocess=end_of_maps(captured)), captured
    return source, captured


def first_labels(given: Any) -> Labels:
    """Return the labels of what a user evaluates on, or of its first batch; None: not known yet.

    What can be gone through once alone is not touched.
    """
    first = given[0] if isinstance(given, list) and given else given
    is_pair = isinstance(first, tuple | list) and len(first) == 2 and isinstance(first[0], Tensor)
    return first[1] if is_pair else None


def are_of_pixels(labels: Labels, captured: Graph) -> bool:
    """Whether labels are masks, rather than the values of a network's outputs."""
    return are_labels(labels) and VALUES.misfit(output_shapes(captured), labels) is not None
