"""The task that a network brings: what its outputs are made into says what it is for."""

from __future__ import annotations

from intaglio.data.truth import Category
from intaglio.errors import RequestError
from intaglio.targets.ending import Ending
from intaglio.tasks.crf.parameters import Crf
from intaglio.tasks.detect.detect import detector_task
from intaglio.tasks.segment.segment import Segment, segmenter_task
from intaglio.tasks.task import Task


def own_task(
    post: Ending | None, categories: tuple[Category, ...] = (), *, crf: Crf | None = None
) -> Task | None:
    """Return the task of one network; None of a network that brings none.

    Args:
        post: What its outputs are made into.
        categories: Of the labels that it is judged by; (): they have the network's classes.
        crf: What refines the maps of a segmenter where it is judged. It makes a segmenter of a
            network that brings no task.

    Raises:
        RequestError: If there is such for a detector.
    """
    if crf is None:
        return detector_task(post, categories) or segmenter_task(post, categories)
    if post is None:
        return Segment(None, categories, crf=crf)
    found = segmenter_task(post, categories, crf=crf)
    if found is None:
        raise RequestError(
            "--crf refines the maps of a segmenter, and this network is a detector: leave it out"
        )
    return found
