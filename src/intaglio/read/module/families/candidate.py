"""A reading of a detector that is to be proved, and the same with other limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from intaglio.boxes.postprocess import PostProcess, TwoStage
from intaglio.read.module.families.limits import Setting

NARROW: tuple[Mapping[str, float], ...] = (
    {"overlap": 0.3},
    {"above": 0.35, "before": 12},
    {"most": 20},
)
"""Limits that decide about something, whatever they are in the detector; set together."""


@dataclass(frozen=True)
class Candidate:
    """What a detector's post-processing might be.

    Attributes:
        post: The reading.
        settings: Attributes that its limits were read off.
    """

    post: PostProcess | TwoStage
    settings: tuple[Setting, ...] = ()

    def narrowed(self, limits: Mapping[str, float]) -> Candidate:
        """Return what the reading is where the attributes of these limits have other values."""
        post, kept = self.post, []
        for setting in self.settings:
            if setting.field not in limits:
                continue
            value = limits[setting.field]
            kept.append(replace(setting, value=value))
            if isinstance(post, PostProcess):
                post = limited(post, setting.field, value)
            elif setting.stage == "regions":
                post = replace(post, regions=limited(post.regions, setting.field, value))
            else:
                post = replace(post, head=limited(post.head, setting.field, value))
        return Candidate(post, tuple(kept))


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
