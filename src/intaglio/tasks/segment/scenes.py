"""The pictures on which two segmenters agree least, as a section of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from intaglio.data.mask import IGNORED
from intaglio.report.pictures import Mark, Pictures, Scene, Swatch, View, jpeg_of
from intaglio.report.section import Section
from intaglio.report.sheet import pixels_of
from intaglio.report.words import percent_text
from intaglio.tasks.detect.by_class import named
from intaglio.tasks.segment.band import windowed
from intaglio.tasks.segment.paints import (
    BETTER,
    CLEAR,
    OTHER,
    UNCOUNTED,
    WORSE,
    Paint,
    painted,
    paints,
    piece,
)
from intaglio.tasks.segment.seen_part import NUMBERS, Map, Size
from intaglio.tasks.segment.worst import Differing, WorstMaps, picture_miou

HINT = (
    "First come the pictures whose maps are least the same: the mean over classes of the IoU of"
    " both maps, weighted by the square root of the class's pixels. The last view shows no classes,"
    " but where the integer network's class is not the float network's."
)
LEAST = 14
"""Pixels of a scene: where nowhere is a square so large of one class, it has no word there."""
BACKGROUND = ("background", "unlabeled", "unlabelled")
SAME, WORSENED, BETTERED, DIFFERENT = range(4)
CHANGES = {
    WORSENED: (WORSE, "changed: float is right, integer is wrong"),
    BETTERED: (BETTER, "changed: float is wrong, integer is right"),
    DIFFERENT: (OTHER, "changed: both are wrong, or no label says"),
}


def pictures_section(
    worst: WorstMaps, names: Sequence[str], preprocess: Mapping[str, JsonValue]
) -> Section | None:
    """Return the kept pictures, each with the maps of both networks and of the labels over it.

    None where none was kept.

    Args:
        names: Of the classes of all maps; () where they have none: class 0 is then taken for the
            background, which is left clear.
        preprocess: As a report has it; empty where nothing is known.
    """
    if not worst.kept:
        return None
    by_class = _paints_of(worst.kept, names)
    scenes = tuple(scene_of(one, names, preprocess, by_class) for one in worst.kept)
    title = "Pictures on which the networks agree least"
    return Section("pictures", title, Pictures(scenes, _legend(by_class, names)), hint=HINT)


def scene_of(
    picture: Differing,
    names: Sequence[str],
    preprocess: Mapping[str, JsonValue],
    by_class: Mapping[int, Paint],
) -> Scene:
    """Return a picture with maps over it, and where they differ.

    Args:
        names, preprocess: As `pictures_section`.
        by_class: The paint of each class.
    """
    maps = [*_maps_of(picture).items(), ("Labels", picture.truth)]
    views = [
        View(title, _words(each, names, by_class, picture.scene), painted(each, by_class))
        for title, each in maps
    ]
    changed = changes(picture)
    drawn = {kind: paint for kind, (paint, _) in CHANGES.items()}
    share = percent_text(100.0 * float(np.mean(changed != SAME)))
    views.append(View(f"Changed: {share} of the pixels", (), painted(changed, drawn)))
    pixels, _ = pixels_of(picture.image[None], preprocess)
    height, width = picture.scene
    return Scene(jpeg_of(pixels[0]), width, height, _told(picture), tuple(views))


def changes(picture: Differing) -> Map:
    """Return what the other network says beside the float one, [h, w], of the keys of CHANGES.

    SAME where both say the same.
    """
    real, found, truth = picture.real, picture.found, picture.truth
    kinds = np.full(real.shape, DIFFERENT, np.uint8)
    kinds[real == truth] = WORSENED
    kinds[found == truth] = BETTERED
    kinds[real == found] = SAME
    return kinds


def _maps_of(picture: Differing) -> dict[str, Map]:
    """Return what networks say, by the title of each map, in the order in which they are shown."""
    return {"Float": picture.real, "Integer": picture.found, **picture.extra}


def _paints_of(kept: Sequence[Differing], names: Sequence[str]) -> dict[int, Paint]:
    """Return the paint of each class that some map has; that of most pixels has the first one."""
    pixels = np.zeros(NUMBERS, np.int64)
    for one in kept:
        for each in (one.real, one.found, one.truth, *one.extra.values()):
            pixels += np.bincount(each.ravel(), minlength=NUMBERS)
    there = [number for number in np.argsort(-pixels, kind="stable").tolist() if pixels[number]]
    clear = [number for number in there if _is_background(number, names)]
    made = paints([number for number in there if number != IGNORED and number not in clear])
    made |= dict.fromkeys(clear, CLEAR)
    return made | ({IGNORED: UNCOUNTED} if IGNORED in there else {})


def _is_background(number: int, names: Sequence[str]) -> bool:
    if number:
        return False
    return not names or names[0].strip("_ ").lower() in BACKGROUND


def _legend(by_class: Mapping[int, Paint], names: Sequence[str]) -> tuple[Swatch, ...]:
    kinds = [(paint, _called(number, names, paint)) for number, paint in by_class.items()]
    return tuple(Swatch(piece(paint), text) for paint, text in [*kinds, *CHANGES.values()])


def _called(number: int, names: Sequence[str], paint: Paint) -> str:
    if number == IGNORED:
        return "counts for nothing"
    name = named(number, names)
    return f"{name} (clear)" if paint is CLEAR else name


def _words(
    classes: Map, names: Sequence[str], by_class: Mapping[int, Paint], scene: Size
) -> tuple[Mark, ...]:
    """Return where each class's name stands: in its largest square, the largest of all first."""
    deep = depths(classes)
    down, across = scene[0] / classes.shape[0], scene[1] / classes.shape[1]
    marks = []
    for number in np.unique(classes).tolist():
        if number == IGNORED or by_class.get(number, CLEAR) is CLEAR:
            continue
        middle = int(np.where(classes == number, deep, -1).argmax())
        row, column = divmod(middle, classes.shape[1])
        reach = int(deep[row, column])
        side, left, top = 2 * reach + 1, column - reach, row - reach
        if side * min(down, across) >= LEAST:
            square = left * across, top * down, side * across, side * down
            marks.append(Mark(*square, named(number, names), "region"))
    return tuple(sorted(marks, key=lambda mark: -mark.width * mark.height))


def depths(classes: Map) -> NDArray[np.int64]:
    """Return how far each pixel's class reaches in all directions, [h, w], in pixels.

    The square of 2 reach + 1 rows and columns with the pixel in its middle is within the picture
    and all of its class, and no larger one is.
    """
    largest = windowed(classes, 1, np.maximum, fill=0)
    alone = (largest != windowed(classes, 1, np.minimum, fill=IGNORED)).view(np.uint8)
    inside = 1 - np.pad(alone[1:-1, 1:-1], 1, constant_values=1)[: len(alone), : alone.shape[1]]
    found = np.zeros(classes.shape, np.int64)
    while inside.any():
        found += inside
        inside = windowed(inside, 1, np.minimum, fill=0)
    return found


def _told(picture: Differing) -> str:
    same = percent_text(100.0 * float(np.mean(picture.real == picture.found)))
    right = "no pixel is labelled"
    if picture.miou < math.inf:
        each = [
            f"{title} {percent_text(picture_miou(one, picture.truth))}"
            for title, one in _maps_of(picture).items()
        ]
        right = f"mean IoU: {', '.join(each)}"
    both = f"both networks say the same of {same} of the pixels"
    return f"Picture {picture.number + 1}: {both}; {right}."
