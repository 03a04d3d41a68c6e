"""The user's own code alone: its cores return what they are told, and what it returns is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.boxes.detections import Detections
from intaglio.read.module.core_networks import with_networks
from intaglio.read.module.core_whole import Whole
from intaglio.read.module.families.evidence import Evidence
from intaglio.read.module.families.limits import Setting, put, value_at

Behind = Callable[[Tensor], Sequence[Tensor]]
"""From regions [R, C, size, size] to what a second core gives for them."""


@dataclass(eq=False)
class Rig:
    """A module whose first two cores return what stands here.

    Attributes:
        example: What it is given, again and again.
        outputs: What the first core returns.
        behind: What the second core is.
        module: A copy of the user's.
    """

    example: object
    outputs: Sequence[Tensor] = ()
    behind: Behind = field(default=lambda regions: ())
    module: nn.Module = field(default_factory=nn.Module)

    def run(self, settings: Sequence[Setting] = ()) -> list[Detections] | None:
        """Return what the user's code finds, in pixels of the pictures as they were given.

        Args:
            settings: Values that attributes have for this run.

        Returns:
            Of each picture; None where what it returns is none, its code fails on these outputs,
            or an attribute cannot be set.
        """
        before: list[tuple[nn.Module, str, float]] = []
        try:
            for setting in settings:
                part = self.module.get_submodule(setting.place)
                value = value_at(part, setting.name)
                if value is None or not put(part, setting.name, setting.value):
                    return None
                before.append((part, setting.name, value))
            with torch.no_grad():
                made = self.module(pytree.tree_map_only(Tensor, torch.clone, self.example))
        except Exception:  # the user's code, given what it never was given
            return None
        finally:
            for part, name, value in before:
                put(part, name, value)
        return detections_in(made)


def rig_of(whole: Whole, evidence: Evidence) -> Rig:
    """Return the rig of a module; its outputs are to be told.

    Raises:
        CaptureError: If the module cannot be copied.
    """
    rig = Rig(whole.example)
    networks: dict[str, Behind] = {evidence.cores[0].name: lambda _: rig.outputs}
    if len(evidence.cores) > 1:
        networks[evidence.cores[1].name] = lambda regions: rig.behind(regions)
    rig.module = with_networks(whole, networks)
    return rig


def detections_in(made: Any) -> list[Detections] | None:
    """Return the detections in what a detector returned; None where they are not recognised.

    A picture's are in a dict, a tuple or an object with fields: one tensor [n, 4] of boxes, one [n]
    of scores and one [n] of whole numbers, the classes.
    """
    if isinstance(made, list | tuple) and not _is_one(made):
        found = [_one(own) for own in made]
    else:
        found = [_one(made)]
    known = [own for own in found if own is not None]
    return known if known and len(known) == len(found) else None


def _is_one(made: Any) -> bool:
    return _one(made) is not None


def _one(made: Any) -> Detections | None:
    if isinstance(made, Mapping):
        made = list(made.values())
    elif not isinstance(made, list | tuple):
        made = list(vars(made).values()) if hasattr(made, "__dict__") else []
    tensors = [own.detach() for own in made if isinstance(own, Tensor)]
    boxes = [own for own in tensors if own.ndim == 2 and own.shape[1] == 4]
    single = [own for own in tensors if own.ndim == 1]
    scores = [own for own in single if own.is_floating_point()]
    classes = [own for own in single if own.dtype in (torch.int64, torch.int32)]
    if not len(boxes) == len(scores) == len(classes) == 1:
        return None
    if not len(boxes[0]) == len(scores[0]) == len(classes[0]):
        return None
    return Detections(
        boxes[0].numpy().astype(np.float32),
        scores[0].numpy().astype(np.float32),
        classes[0].numpy().astype(np.int64),
    )
