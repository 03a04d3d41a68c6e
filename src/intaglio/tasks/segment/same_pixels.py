"""Whether two segmenters say the same of the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from intaglio.maps.class_map import own_classes
from intaglio.maps.postprocess import MapPostProcess
from intaglio.tasks.segment.outputs import post_of, scores_of, shapes_of
from intaglio.tasks.segment.pairing import Classes
from intaglio.tasks.segment.worst import same_share
from intaglio.tasks.task import Agreement, Outputs
from intaglio.tasks.values import Deviations


@dataclass
class SamePixels:
    """Compares two networks by the classes of pixels, and by the noise of their outputs.

    A picture counts by how much of its map is the same (`same_share`): the mean IoU of the classes
    that either network says, each by the square root of its pixels. By pixels alone the background
    would hide that a small object is lost; by classes alone a few stray pixels would be one.

    Attributes:
        names: Of the outputs.
        post: How classes come of the outputs; None: of the highest score in the first of them.
    """

    names: Sequence[str]
    post: MapPostProcess | None = None
    _noise: Deviations = field(init=False)
    _shares: list[float] = field(default_factory=list, init=False)
    _same: int = field(default=0, init=False)
    _pixels: int = field(default=0, init=False)
    _said: set[int] = field(default_factory=set, init=False)
    _first: Classes | None = field(default=None, init=False)
    _differ: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._noise = Deviations(self.names)

    def add(self, float_outputs: Outputs, outputs: Outputs) -> None:
        """Compare one batch, picture by picture.

        Raises:
            DataError: If outputs are no maps of classes.
        """
        post = post_of(self.post, shapes_of(float_outputs))
        kept = [place for place in range(len(float_outputs)) if not _is_index(post, place)]
        self._noise.names = [self.names[place] for place in kept if place < len(self.names)]
        pictures = zip(scores_of(post, float_outputs), scores_of(post, outputs), strict=True)
        for number, (real, found) in enumerate(pictures):
            one = slice(number, number + 1)
            self.compare(own_classes(post, real), own_classes(post, found))
            if kept:
                pair = ([side[place][one] for place in kept] for side in (float_outputs, outputs))
                self._noise.add(*pair)

    def compare(self, real: Classes, found: Classes) -> None:
        """Compare what the float network and the other one say of one picture, [h, w] each."""
        self._shares.append(same_share(real, found))
        self._same += int((real == found).sum())
        self._pixels += real.size
        self._said |= set(np.unique(real).tolist())
        if self._first is None:
            self._first = real.copy()
        self._differ |= not np.array_equal(self._first, real)

    def agreement(self) -> Agreement:
        """Return the agreement over all batches; `parts` is percent of pixels of the same class.

        It says nothing (`is_varied`) where the float network says one class of every pixel, or has
        one map for all pictures. An output that holds classes themselves has no SQNR.
        """
        shares = torch.tensor(self._shares, dtype=torch.float64)
        is_one_map = len(shares) > 1 and not self._differ
        return replace(
            self._noise.agreement(),
            n=len(shares),
            same=float(shares.sum()),
            by_image=shares,
            is_varied=len(self._said) > 1 and not is_one_map,
            parts=100.0 * self._same / self._pixels if self._pixels else None,
        )


def _is_index(post: MapPostProcess, place: int) -> bool:
    return post.rule == "index" and place == post.output
