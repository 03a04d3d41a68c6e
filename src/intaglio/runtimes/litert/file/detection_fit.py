"""A detector's post-processing in the words of TFLite_Detection_PostProcess, where it has them.

Source: tensorflow/lite/kernels/detection_postprocess.cc. For the box (y, x, h, w) of a position,
coded in float, and its anchor (cy, cx, height, width), in double,

    y centre = y / y_scale * height + cy        half = exp(h / h_scale) * height / 2

and of what scores at least `nms_score_threshold` suppression leaves at most `max_detections`. The
op has two suppressions:

    regular   class by class, at most `detections_per_class` of each
    fast      of each position its best class alone; boxes of all classes remove each other

Boxes that overlap by more than `nms_iou_threshold` are removed, as in `boxes.nms`. Where scores are
equal, the op does not say which comes first; `boxes.nms` takes the first position.

The op can neither cut boxes off at the picture's border nor drop candidates before suppression, and
`differences` says so where a post-processing does either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.coders import Deltas
from intaglio.boxes.places import anchors_at
from intaglio.boxes.postprocess import Grid, Level, Part, PostProcess, Table, TwoStage

Floats = NDArray[np.float32]
Shapes = Sequence[tuple[int, ...]]
"""Of a network's outputs, [N, ...] each; N counts for nothing."""
OP = "TFLite_Detection_PostProcess"
LOWEST = float(np.finfo(np.float32).min)
SMALLEST = float(np.finfo(np.float32).tiny)
"""The op takes no overlap of 0; between 0 and this no two boxes overlap."""


@dataclass(frozen=True)
class DetectionEnd:
    """How a file ends in boxes.

    Attributes:
        post: What the outputs of the network in it mean; it fits the op.
        core: Tensors of the file that are those outputs, by name.
        names: Of the classes as the op counts them, a background not counted; () where unknown.
    """

    post: PostProcess
    core: tuple[str, ...]
    names: tuple[str, ...] = ()


def misfit(post: PostProcess | TwoStage | None, shapes: Shapes) -> str | None:
    """Return why the op cannot stand behind outputs of these shapes; None where it can."""
    if post is None:
        return "how boxes come of the network's outputs is not known"
    if isinstance(post, TwoStage):
        return "the detector has two stages, and the file's operator is for one"
    return _unsaid(post) or _unlike(post, shapes)


def _unsaid(post: PostProcess) -> str | None:
    """Return what the op has no words for."""
    coders = {level.coder for level in post.levels}
    boxes = {sum(part.count for part in level.boxes) for level in post.levels}
    select, foreground = post.select, foreground_of(post)
    checks = (
        (len(coders) > 1, "boxes of its levels are coded in different ways"),
        (not all(isinstance(one, Deltas) for one in coders), "its boxes are not coded as deltas"),
        (boxes != {4}, "it has boxes for each class"),
        (
            not all(isinstance(level.places, Grid | Table) for level in post.levels),
            "its boxes have no anchors",
        ),
        (
            any(level.objectness is not None for level in post.levels),
            "its scores are products with one number more a position",
        ),
        (foreground < 1, "it has no class but the background"),
        (
            post.background not in (None, 0, post.classes - 1),
            f"its background is class {post.background}, neither the first nor the last",
        ),
        (select.peaks, "its candidates are peaks of a map"),
        (post.smallest > 0, f"boxes below {post.smallest:g} pixels are dropped"),
        (post.suppress is None, "nothing is suppressed"),
        (
            post.suppress is not None and _suppression(post) is None,
            f"candidates of a position are '{select.classes}', and boxes that remove each other"
            f" '{post.suppress.within if post.suppress else ''}': there is 'all' with 'class', and"
            " 'best' with 'all'",
        ),
    )
    return next((why for is_so, why in checks if is_so), None)


def _suppression(post: PostProcess) -> str | None:
    """Return which of the op's suppressions a post-processing's is: "regular", "fast" or none."""
    within = post.suppress.within if post.suppress else ""
    if within == "level" and len(post.levels) == 1:
        within = "all"
    if foreground_of(post) == 1 and within in ("class", "all"):
        return "regular"
    known = {("all", "class"): "regular", ("best", "all"): "fast"}
    return known.get((post.select.classes, within))


def _unlike(post: PostProcess, shapes: Shapes) -> str | None:
    """Return which output has another shape than is read."""
    for level in post.levels:
        for part in level.parts:
            if part.output >= len(shapes):
                return f"output {part.output} is read, and the network has {len(shapes)}"
            given = tuple(shapes[part.output][1:])
            if not _holds(part, level, given):
                return (
                    f"output {part.output} is {list(given)} for a picture, which does not hold"
                    f" {part.width} numbers of {level.places.count} positions as {part.layout}"
                )
    return None


def _holds(part: Part, level: Level, given: tuple[int, ...]) -> bool:
    if part.layout == "rows":
        given = (*given, 1) if len(given) == 1 and part.width == 1 else given
        stop = part.start + level.places.count
        return len(given) == 2 and given[0] >= stop and given[1] == part.width
    if part.layout == "columns":
        stop = part.start + level.places.count
        return len(given) == 2 and given[1] >= stop and given[0] == part.width
    assert isinstance(level.places, Grid), "maps have grids"
    anchors, cells = len(level.places.anchors), (level.places.rows, level.places.columns)
    shapes: dict[str, tuple[int, ...]] = {
        "map": (anchors * part.width, *cells),
        "map-last": (*cells, anchors * part.width),
        "anchor-maps": (anchors, *cells, part.width),
    }
    return given == shapes[part.layout]


def differences(post: PostProcess) -> tuple[str, ...]:
    """Return how boxes of the op differ from those of `boxes.detect`, in sentences."""
    told = []
    if post.clip:
        told.append(
            "boxes are not cut off at the picture's border, neither before they are compared nor"
            " in what the file gives"
        )
    if post.select.most is not None:
        told.append(
            f"candidates are not cut to the {post.select.most} highest before suppression: more of"
            " the least sure may be found"
        )
    return tuple(told)


def nearest(post: PostProcess) -> PostProcess:
    """Return the post-processing that the op does for one that fits: `differences` are gone."""
    return replace(post, clip=False, select=replace(post.select, most=None, within="all"))


def foreground_of(post: PostProcess) -> int:
    """Return how many classes there are, a background not counted."""
    return post.classes - (post.background is not None)


def options_of(post: PostProcess) -> dict[str, int | float | bool]:
    """Return the op's options for a post-processing that fits.

    The op keeps scores that reach its threshold, ours those above it: the threshold is the next
    float32.
    """
    coder, suppress, above = coder_of(post), post.suppress, post.select.above
    assert suppress is not None, "it fits"
    next_score = np.nextafter(np.float32(above or 0), np.float32(np.inf))
    x_scale, y_scale, w_scale, h_scale = coder.weights
    return {
        "max_detections": post.most,
        "max_classes_per_detection": 1,
        "detections_per_class": post.most,
        "use_regular_nms": _suppression(post) == "regular",
        "nms_score_threshold": LOWEST if above is None else float(next_score),
        "nms_iou_threshold": max(float(np.float32(suppress.overlap)), SMALLEST),
        "num_classes": foreground_of(post),
        "y_scale": y_scale,
        "x_scale": x_scale,
        "h_scale": h_scale,
        "w_scale": w_scale,
    }


def coder_of(post: PostProcess) -> Deltas:
    """Return the coder that all levels share."""
    coder = post.levels[0].coder
    assert isinstance(coder, Deltas), "it fits"
    return coder


def anchors_of(post: PostProcess) -> Floats:
    """Return the anchors of all positions, [P, 4]: centre y, centre x, height, width.

    As parts of the input's height and width; computed in double, rounded once.
    """
    pixels = np.concatenate(
        [anchors_at(level.places, np.arange(level.places.count)).boxes for level in post.levels]
    ).astype(np.float64)
    height, width = post.input_size
    left, top, right, bottom = pixels.T / np.asarray([[width], [height], [width], [height]])
    parts = [(top + bottom) / 2, (left + right) / 2, bottom - top, right - left]
    return np.stack(parts, axis=1).astype(np.float32)


def names_of(post: PostProcess, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the classes as the op counts them; () where nobody knows them all.

    Args:
        labels: Names that the data has, which count where the network brings none: of all classes,
            or of all but the background.
    """
    for names in (post.names, tuple(labels)):
        if len(names) == post.classes and post.background is not None:
            return (*names[: post.background], *names[post.background + 1 :])
        if names and len(names) == foreground_of(post):
            return names
    return ()
