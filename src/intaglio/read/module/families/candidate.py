"""A reading of a detector that is to be proved, and the same with other limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from intaglio.boxes.postprocess import PostProcess, TwoStage
from intaglio.read.module.families.limits import Setting

NARROW: Mapping[str, float] = {"above": 0.3, "overlap": 0.35, "most": 25, "before": 15}
"""Limits at which each of them decides about something, whatever they are in the detector."""


@dataclass(frozen=True)
class Candidate:
    """What a detector's post-processing might be.

    Attributes:
        post: The reading.
        settings: Attributes that its limits were read off.
    """

    post: PostProcess | TwoStage
    settings: tuple[Setting, ...] = ()

    def narrowed(self) -> tuple[PostProcess | TwoStage, dict[Setting, float]]:
        """Return what the reading is where the attributes have other values, and these values."""
        values = {setting: NARROW[setting.field] for setting in self.settings}
        post = self.post
        for setting, value in values.items():
            if isinstance(post, PostProcess):
                post = limited(post, setting.field, value)
            elif setting.stage == "regions":
                post = replace(post, regions=limited(post.regions, setting.field, value))
            else:
                post = replace(post, head=limited(post.head, setting.field, value))
        return post, values


def limited(post: PostProcess, field: str, value: float) -> PostProcess:
    """Return a post-processing with one limit changed, a key of `limits.WORDS`."""
    match field:
        case "above":
            return replace(post, select=replace(post.select, above=value))
        case "before":
            return replace(post, select=replace(post.select, most=int(value)))
        case "most":
            return replace(post, most=int(value))
    assert post.suppress is not None, "an overlap was read"
    return replace(post, suppress=replace(post.suppress, overlap=value))
