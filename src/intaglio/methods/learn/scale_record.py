"""The scales of a run, and which of them die or explode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

FACTOR = 100.0
"""How far a scale may move from where it started, up or down."""


@dataclass(frozen=True)
class Trouble:
    """Scales of one value or weight that died or exploded.

    Attributes:
        name: Of the value or weight.
        what: A sentence without a full stop.
        is_all: Whether nothing of it is left: all channels, or a scale that is not finite.
    """

    name: str
    what: str
    is_all: bool


@dataclass
class ScaleRecord:
    """Where scales started.

    Attributes:
        start: The first scales that were seen, by name, [C] (one where there is one), float32.
    """

    start: dict[str, Tensor] = field(default_factory=dict)

    def look(self, grids: Mapping[str, Tensor]) -> list[Trouble]:
        """Return which scales are in trouble, and remember those that are seen for the first time.

        All are compared at once: a network has hundreds of them, and a device is asked once.

        Args:
            grids: Scales by name, [] or [C].
        """
        if not grids:
            return []
        flat = {name: scale.detach().reshape(-1) for name, scale in grids.items()}
        now = torch.cat([scale.float() for scale in flat.values()]).cpu()
        parts = dict(
            zip(flat, torch.split(now, [len(scale) for scale in flat.values()]), strict=True)
        )
        for name, scale in parts.items():
            if name not in self.start or len(self.start[name]) != len(scale):
                self.start[name] = scale.clone()
        start = torch.cat([self.start[name] for name in parts])
        if bool(_is_sound(now, start).all()):
            return []
        return [
            _trouble(name, scale, self.start[name])
            for name, scale in parts.items()
            if not bool(_is_sound(scale, self.start[name]).all())
        ]


def _is_sound(now: Tensor, start: Tensor) -> Tensor:
    """Return for each scale whether it is finite, > 0 and near its start; no start is no limit."""
    moved = (now <= start / FACTOR) | (now >= start * FACTOR)
    return now.isfinite() & (now > 0.0) & ~moved


def _trouble(name: str, now: Tensor, start: Tensor) -> Trouble:
    """Return what is wrong with the scales of a name, [C], some of which are not sound."""
    bad = ~_is_sound(now, start)
    broken = ~now.isfinite()
    index = int((broken if bool(broken.any()) else bad).int().argmax())
    moved = f"from {float(start[index]):.4g} at the start to {float(now[index]):.4g}"
    if len(now) == 1:
        return Trouble(name, f"the scale of {name!r} went {moved}", is_all=True)
    what = f"scales of {int(bad.sum())} of {len(now)} channels of {name!r} went astray"
    is_all = bool(broken.any()) or bool(bad.all())
    return Trouble(name, f"{what}, that of channel {index} {moved}", is_all=is_all)
