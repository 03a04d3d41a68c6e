"""The parameters of a field that serve best on a few labelled pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from intaglio.data.mask import IGNORED
from intaglio.errors import DataError, RequestError
from intaglio.tasks.crf.kernels import Floats
from intaglio.tasks.crf.mean_field import refine
from intaglio.tasks.crf.parameters import DEEPLAB_VOC, Crf


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

    bilateral_weight: tuple[float, ...] = (4.0, 7.0, 10.0)
    bilateral_xy: tuple[float, ...] = (40.0, 60.0, 80.0)
    bilateral_rgb: tuple[float, ...] = (3.0, 6.0, 10.0)
    gaussian_weight: tuple[float, ...] = (3.0,)
    gaussian_xy: tuple[float, ...] = (3.0,)

    def __post_init__(self) -> None:
        for name, values in self.axes().items():
            if not values or list(values) != sorted(set(values)):
                raise RequestError(f"grid: {name} = {values}: rising values are needed, 1 at least")

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Return the values of each parameter, by its name in `Crf`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def search(
    scenes: Sequence[Scene], grid: Grid | None = None, *, base: Crf = DEEPLAB_VOC
) -> Crf | None:
    """Return the parameters with the highest mean IoU on the scenes; None if none raise it.

    Every point of the grid is tried; then, one parameter after the other, the values halfway to its
    neighbours on the grid. The first of equals stays, so that the answer is always the same.

    Source: Chen et al. 2015 (arXiv:1412.7062), section 5, who hold the Gaussian kernel fixed and
    search the bilateral one from coarse to fine on 100 pictures; how we differ: the fine search
    goes along one axis at a time.

    Args:
        scenes: At least one, with a pixel that counts. What helps on few may not help on others:
            judge the answer on pictures that are not among them.
        grid: What is tried; None: the ranges of the source.
        base: What the grid does not name: iterations, compatibility, damping.

    Raises:
        DataError: If there is no pixel with a class, or a class that the network does not have.
    """
    _check(scenes)
    trials = _Trials(tuple(scenes), {})
    axes = (Grid() if grid is None else grid).axes()
    tried = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    best = _with(base, tried[0])
    for values in tried:
        best = trials.better(best, _with(base, values))
    for name, beside in axes.items():
        for value in _halfway(beside, getattr(best, name)):
            best = trials.better(best, _with(best, {name: value}))
    return best if trials.of(best) > trials.of(None) else None


def mean_iou(truths: Sequence[NDArray[np.uint8]], found: Sequence[NDArray[np.uint8]]) -> float:
    """Return the intersection over union of classes [H, W] of all pictures together, 0..1.

    The mean is over classes that any pixel has or is said to have; IGNORED pixels of a truth count
    for nothing. NaN where no pixel counts.
    """
    pairs = np.zeros((IGNORED + 1, IGNORED + 1), np.int64)
    for truth, answer in zip(truths, found, strict=True):
        counts = truth != IGNORED
        flat = truth[counts].astype(np.int64) * len(pairs) + answer[counts]
        pairs += np.bincount(flat, minlength=pairs.size).reshape(pairs.shape)
    same = np.diag(pairs)
    union = pairs.sum(0) + pairs.sum(1) - same
    if not union.any():
        return float("nan")
    return float((same[union > 0] / union[union > 0]).mean())


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
    figures: dict[Crf | None, float]

    def of(self, crf: Crf | None) -> float:
        """Return the mean IoU with these parameters; None: without a field."""
        if crf not in self.figures:
            found = []
            for scene in self.scenes:
                says = scene.probabilities
                says = says if crf is None else refine(says, scene.picture, crf)
                found.append(says.argmax(0).astype(np.uint8))
            self.figures[crf] = mean_iou([scene.classes for scene in self.scenes], found)
        return self.figures[crf]

    def better(self, best: Crf, other: Crf) -> Crf:
        """Return the one with the higher mean IoU, the first of equals."""
        return other if self.of(other) > self.of(best) else best
