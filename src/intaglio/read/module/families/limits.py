"""How many boxes a detector keeps, read off the plain attributes of its parts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from intaglio.boxes.coders import Coder, Deltas, Distances

WORDS: Mapping[str, tuple[str, ...]] = {
    "above": ("score_thresh", "score_threshold", "box_score_thresh", "conf_thresh"),
    "overlap": ("nms_thresh", "nms_threshold", "iou_threshold", "box_nms_thresh"),
    "most": ("detections_per_img", "max_detections", "post_nms_top_n", "box_detections_per_img"),
    "before": ("topk_candidates", "pre_nms_top_n", "nms_top_k"),
}
"""What is kept, to the names that code has for it; `intaglio.boxes.limits` says what they are."""
REGIONS = ("pre_nms_top_n", "post_nms_top_n")
"""Names that only a part has which proposes regions."""
TESTING = "testing"
"""Key of the value that counts, where there is another for training."""


@dataclass(frozen=True)
class Setting:
    """One number that an attribute holds.

    Attributes:
        place: Path of the part.
        name: Of the attribute.
        stage: What it limits: "detections" or "regions".
        field: A key of WORDS.
        value: What it is.
    """

    place: str
    name: str
    stage: str
    field: str
    value: float


@dataclass(frozen=True)
class Holder:
    """A part that says how many boxes are kept.

    Attributes:
        stage: "detections" or "regions".
        settings: By field.
        coders: Of its boxes, as its own objects say; those of all other parts behind them.
        smallest: Side of a box, in pixels, where it says one.
    """

    stage: str
    settings: Mapping[str, Setting]
    coders: tuple[Coder, ...]
    smallest: float | None

    def value(self, field: str) -> float | None:
        """Return what is said of a field, or None."""
        setting = self.settings.get(field)
        return None if setting is None else setting.value

    def whole(self, field: str) -> int | None:
        """Return what is said of a field as a whole number, or None."""
        value = self.value(field)
        return None if value is None else int(value)


def holders_of(module: nn.Module) -> list[Holder]:
    """Return the parts that say a least score or an overlap and how many boxes stay."""
    parts = list(module.named_modules())
    everywhere = [coder for _, part in parts for coder in _coders(part)]
    found = []
    for place, part in parts:
        stage = (
            "regions" if all(held_at(part, name) is not None for name in REGIONS) else "detections"
        )
        told = {}
        for field, names in WORDS.items():
            for name in names:
                value = value_at(part, name)
                if value is not None and field not in told and _is_limit(field, value):
                    told[field] = Setting(place, name, stage, field, value)
        if {"overlap", "most"} <= told.keys():
            coders = tuple(dict.fromkeys((*_coders(part), *everywhere)))
            found.append(Holder(stage, told, coders, value_at(part, "min_size")))
    return found


def _is_limit(field: str, value: float) -> bool:
    if field in ("most", "before"):
        return value >= 1 and value == int(value)
    return value <= 1 and (value >= 0 or field == "above")


def held_at(part: object, name: str) -> Any:
    """Return what an attribute holds; None where there is none, or where it is code that fails."""
    try:
        return getattr(part, name, None)
    except Exception:  # a property of the user's
        return None


def value_at(part: nn.Module, name: str) -> float | None:
    """Return the number that an attribute holds, or a method without arguments returns."""
    held = held_at(part, name)
    if isinstance(held, nn.Module):
        return None
    if callable(held):
        try:
            held = held()
        except Exception:  # the user's code, which we only ask
            return None
    held = held.get(TESTING) if isinstance(held, Mapping) else held
    if isinstance(held, bool) or not isinstance(held, int | float) or not math.isfinite(held):
        return None
    return held


def put(part: nn.Module, name: str, value: float) -> bool:
    """Set the number that `value_at` reads; return whether that was possible."""
    held = held_at(part, name)
    if callable(held):
        held = held_at(part, f"_{name}")
    if isinstance(held, dict) and TESTING in held:
        held[TESTING] = value
    elif name in vars(part):
        setattr(part, name, value)
    return value_at(part, name) == value


def _coders(part: nn.Module) -> Iterator[Coder]:
    """Give what the objects of a part say of how boxes are coded."""
    for held in vars(part).values():
        if isinstance(held, nn.Module | Tensor | str | int | float) or held is None:
            continue
        by_size = held_at(held, "normalize_by_size")
        if isinstance(by_size, bool):
            yield Distances("anchor" if by_size else "pixels")
        weights = numbers_at(held, "weights")
        if len(weights) == 4 and all(weight > 0 for weight in weights):
            limit = numbers_at(held, "bbox_xform_clip")
            yield Deltas(
                (weights[0], weights[1], weights[2], weights[3]), limit[0] if limit else None
            )


def numbers_at(held: object, name: str) -> tuple[float, ...]:
    """Return the numbers of an attribute: one, a sequence or a tensor of them; else ()."""
    found = held_at(held, name)
    if isinstance(found, Tensor):
        found = found.detach().flatten().tolist() if found.numel() <= 4096 else None
    if isinstance(found, int | float) and not isinstance(found, bool):
        found = (found,)
    if not isinstance(found, Sequence) or isinstance(found, str):
        return ()
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in found):
        return ()
    return tuple(float(one) for one in found)
