"""The parameters of a field that serve best on a few labelled pictures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from intaglio.data.mask import IGNORED
from intaglio.errors import DataError, RequestError
from intaglio.tasks.crf.kernels import Floats
from intaglio.tasks.crf.mean_field import refine
from intaglio.tasks.crf.parameters import DEEPLAB_VOC, Crf
from intaglio.tasks.segment.boundary import boundary_f
from intaglio.tasks.segment.iou import mean_iou, pixel_counts

SIDE = 500
"""The longer side of the pictures that published widths are for, those of PASCAL VOC."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One labelled picture.

    Attributes:
        probabilities: [C, H, W], what the network says.
        picture: [H, W, 3], uint8.
        classes: [H, W], uint8, below C or IGNORED.
    """

    probabilities: Floats
    picture: NDArray[np.uint8]
    classes: NDArray[np.uint8]


@dataclass(frozen=True)
class Grid:
    """What is tried, each with each; rising values, in the units of `Crf`."""

    bilateral_weight: tuple[float, ...]
    bilateral_xy: tuple[float, ...]
    bilateral_rgb: tuple[float, ...]
    gaussian_weight: tuple[float, ...]
    gaussian_xy: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, values in self.axes().items():
            if not values or list(values) != sorted(set(values)):
                raise RequestError(f"grid: {name} = {values}: rising values are needed, 1 at least")

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Return the values of each parameter, by its name in `Crf`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Figures:
    """What maps are worth.

    Attributes:
        mean_iou: 0..1, of all pictures together, over the classes that some pixel truly is of, as
            in reports (`segment/iou.py`); NaN where no pixel counts.
        boundary_f: 0..1, mean over pictures; NaN where none has a border.
    """

    mean_iou: float
    boundary_f: float


def grid_for(size: tuple[int, int]) -> Grid:
    """Return what is tried for pictures of a (height, width).

    The ranges of Chen et al. 2015, section 5, on pictures whose longer side is 500: weights up to
    10, places 40 to 80, colours 3 to 10. How we differ: places are in shares of the longer side,
    and lighter weights and shorter reaches are there for objects that are few pixels wide.
    """
    pixel = max(size) / SIDE
    return Grid(
        bilateral_weight=(0.5, 3.0, 10.0),
        bilateral_xy=(8 * pixel, 40 * pixel, 80 * pixel),
        bilateral_rgb=(3.0, 10.0),
        gaussian_weight=(0.5, 3.0),
        gaussian_xy=(3 * pixel,),
    )


def search(
    scenes: Sequence[Scene], grid: Grid | None = None, *, base: Crf = DEEPLAB_VOC
) -> Crf | None:
    """Return the parameters with the highest mean IoU on the scenes; None if none raise it.

    Those that lower the boundary F are only better than others that do. Every point of the grid is
    tried; then, one parameter after the other, the values halfway to its neighbours on the grid.
    The first of equals stays, so that the answer is always the same.

    Source: Chen et al. 2015 (arXiv:1412.7062), section 5, who hold the Gaussian kernel fixed and
    search the bilateral one from coarse to fine on 100 pictures; how we differ: the fine search
    goes along one axis at a time, and borders count.

    Args:
        scenes: At least one, with a pixel that counts. What helps on few may not help on others:
            judge the answer on pictures that are not among them.
        grid: What is tried; None: `grid_for` the largest picture.
        base: What the grid does not name: iterations, compatibility, damping.

    Raises:
        DataError: If there is no pixel with a class, or a class that the network does not have.
    """
    _check(scenes)
    trials = _Trials(tuple(scenes), {})
    if grid is None:
        heights, widths = zip(*(scene.classes.shape for scene in scenes), strict=True)
        grid = grid_for((max(heights), max(widths)))
    axes = grid.axes()
    tried = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    best = _with(base, tried[0])
    for values in tried:
        best = trials.better(best, _with(base, values))
    for name, beside in axes.items():
        for value in _halfway(beside, getattr(best, name)):
            best = trials.better(best, _with(best, {name: value}))
    return best if trials.rank(best) > trials.rank(None) else None


def figures_of(scenes: Sequence[Scene], crf: Crf | None) -> Figures:
    """Return what the maps of scenes are worth as refined by a field.

    Args:
        scenes: At least one; their classes are below the number of the network's.
        crf: The field; None: the maps as they come.
    """
    most = max(len(scene.probabilities) for scene in scenes)
    counts = np.zeros((most, 3), np.int64)
    drawn = []
    for scene in scenes:
        says = scene.probabilities
        says = says if crf is None else refine(says, scene.picture, crf)
        found = says.argmax(0).astype(np.uint8)
        counts += pixel_counts(scene.classes, found, most)
        drawn.append(boundary_f(scene.classes, found))
    there = [each for each in drawn if not math.isnan(each)]
    return Figures(
        mean_iou=float(mean_iou(counts)),
        boundary_f=math.fsum(there) / len(there) if there else math.nan,
    )


def _with(crf: Crf, values: dict[str, float]) -> Crf:
    """Return the field with other weights and widths, by their names in `Crf`."""
    return replace(crf, **values)  # type: ignore[arg-type]  # those of `Grid` alone, all floats


def _halfway(values: tuple[float, ...], best: float) -> list[float]:
    """Return the values between the best one and its neighbours."""
    place = values.index(best)
    beside = (*values[max(0, place - 1) : place], *values[place + 1 : place + 2])
    return [(best + value) / 2 for value in beside]


def _check(scenes: Sequence[Scene]) -> None:
    for index, scene in enumerate(scenes):
        classes, pixels = len(scene.probabilities), scene.probabilities.shape[1:]
        if scene.classes.shape != pixels:
            raise DataError(
                f"scene {index}: classes are {list(scene.classes.shape)}, probabilities are of"
                f" {list(pixels)} pixels: they are of one size"
            )
        strange = scene.classes[(scene.classes >= classes) & (scene.classes != IGNORED)]
        if strange.size:
            raise DataError(
                f"scene {index}: class {strange[0]}, where the network has {classes} classes"
            )
    if not any((scene.classes != IGNORED).any() for scene in scenes):
        raise DataError(f"no pixel of {len(scenes)} scenes has a class: label one at least")


@dataclass(frozen=True)
class _Trials:
    """What has been tried on some scenes, so that nothing is tried twice."""

    scenes: tuple[Scene, ...]
    figures: dict[Crf | None, Figures]

    def of(self, crf: Crf | None) -> Figures:
        """Return what the maps are worth with these parameters; None: without a field."""
        if crf not in self.figures:
            self.figures[crf] = figures_of(self.scenes, crf)
        return self.figures[crf]

    def rank(self, crf: Crf | None) -> tuple[bool, float]:
        """Return what orders parameters: whether borders are no worse for them, and mean IoU."""
        figures = self.of(crf)
        return not figures.boundary_f < self.of(None).boundary_f, figures.mean_iou  # NaN is no less

    def better(self, best: Crf, other: Crf) -> Crf:
        """Return the one of the higher rank, the first of equals."""
        return other if self.rank(other) > self.rank(best) else best
