"""The task that a network brings: what its outputs are made into says what it is for."""

from __future__ import annotations

from intaglio.data.truth import Category
from intaglio.targets.ending import Ending
from intaglio.tasks.detect.detect import detector_task
from intaglio.tasks.segment.segment import segmenter_task
from intaglio.tasks.task import Task


def own_task(post: Ending | None, categories: tuple[Category, ...] = ()) -> Task | None:
    """Return the task of one network; None of a network that brings none.

    Args:
        post: What its outputs are made into.
        categories: Of the labels that it is judged by; (): they have the network's classes.
    """
    return detector_task(post, categories) or segmenter_task(post, categories)
