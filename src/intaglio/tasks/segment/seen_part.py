"""Which part of what a network sees is a picture, and its pixels as a scene shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from intaglio.data.mask import IGNORED, Mask
from intaglio.data.seen_mask import sources
from intaglio.data.truth import Placement
from intaglio.report.pictures import shown_size

Map = NDArray[np.uint8]
Size = tuple[int, int]
NUMBERS = 256
"""Classes that a map can hold, and none."""


@dataclass(frozen=True, eq=False)
class Part:
    """The pixels of a scene, which are of a picture, without what preparation put beside it.

    Attributes:
        input: (height, width) of what the network sees.
        inside: Which of its rows and columns are of the picture.
        scene: (height, width) in which the picture is shown.
        rows, columns: [h], [w] those of the input that are kept, no more than the scene shows.
    """

    input: Size
    inside: tuple[slice, slice]
    scene: Size
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    def of_map(self, classes: Map) -> Map:
        """Return the kept pixels [h, w] of a map [H, W] of all that the network sees."""
        height, width = classes.shape
        rows = self.rows * height // self.input[0]
        return classes[np.ix_(rows, self.columns * width // self.input[1])]

    def of_truth(self, truth: Mask) -> Map:
        """Return the kept pixels [h, w] of a picture's mask."""
        place, (height, width) = truth.placement or Placement(), truth.size
        rows = sources(height, place.scale_y, place.top, self.input[0])[self.rows]
        columns = sources(width, place.scale_x, place.left, self.input[1])[self.columns]
        classes = truth.classes[np.ix_(rows, columns)]
        classes[rows < 0] = IGNORED  # only where none of the input is of the picture
        classes[:, columns < 0] = IGNORED
        return classes

    def of_image(self, image: Tensor) -> Tensor:
        """Return the picture's part of an image [C, H, W], [C, h, w] float32 of its own."""
        cut = image.detach().float().cpu()[None, :, self.inside[0], self.inside[1]]
        size = [len(self.rows), len(self.columns)]
        return interpolate(cut, size, mode="bilinear", antialias=True)[0].clone()


def seen_part(truth: Mask, size: Size) -> Part:
    """Return what of the input, of `size` (height, width), is of the picture, and its scene.

    All of the input, where none of it is.
    """
    place = truth.placement or Placement()
    rows = _inside(sources(truth.size[0], place.scale_y, place.top, size[0]))
    columns = _inside(sources(truth.size[1], place.scale_x, place.left, size[1]))
    counts = rows.stop - rows.start, columns.stop - columns.start
    scene = shown_size(round(counts[0] / place.scale_y), round(counts[1] / place.scale_x))
    down, across = (_spread(*one) for one in zip((rows, columns), scene, strict=True))
    return Part(size, (rows, columns), scene, down, across)


def _spread(inside: slice, shown: int) -> NDArray[np.int64]:
    """Return the pixels of a side that are kept: those at the middles of `shown` equal parts.

    Args:
        shown: Pixels that the scene has; the side's own, where they are fewer, are all kept.
    """
    count = inside.stop - inside.start
    kept = min(count, shown)
    middles: NDArray[np.int64] = inside.start + (2 * np.arange(kept) + 1) * count // (2 * kept)
    return middles


def _inside(from_picture: NDArray[np.int64]) -> slice:
    """Return the rows (or columns) of an input that come from the picture; all, if none does."""
    places = np.flatnonzero(from_picture >= 0)
    whole = slice(0, len(from_picture))
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else whole
