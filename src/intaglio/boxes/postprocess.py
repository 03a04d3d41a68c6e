"""A detector's post-processing as data: what its raw outputs mean, and which boxes are kept."""

from __future__ import annotations

from dataclasses import dataclass

from intaglio.boxes import bounds
from intaglio.boxes.coders import Coder, Darknet, YoloV5, numbers_of

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
MOST_POSITIONS = 10_000_000
MOST_CHANNELS = 1_000_000
MAPS = ("map", "map-last", "anchor-maps")
LAYOUTS = (*MAPS, "rows", "columns")
ACTIVATIONS = ("softmax", "sigmoid", "none")


@dataclass(frozen=True)
class Grid:
    """Cells of a feature map, each with the same anchors.

    Positions run over rows, columns, anchors.
    The place of cell (i, j) is (first_x + j step_x, first_y + i step_y).

    Attributes:
        rows, columns: Of cells.
        step_y, step_x: From cell to cell, in pixels of the input.
        first_y, first_x: Place of the first cell, in pixels.
        anchors: Of a cell, relative to its place, in pixels.
    """

    rows: int
    columns: int
    step_y: float
    step_x: float
    first_y: float
    first_x: float
    anchors: tuple[Box, ...]

    def __post_init__(self) -> None:
        bounds.whole("rows of a grid", self.rows, 1, 65536)
        bounds.whole("columns of a grid", self.columns, 1, 65536)
        for name in ("step_y", "step_x"):
            bounds.real(f"{name} of a grid", getattr(self, name), 1e-6)
        for name in ("first_y", "first_x"):
            bounds.real(f"{name} of a grid", getattr(self, name))
        bounds.whole("number of anchors of a cell", len(self.anchors), 1, 1024)
        for anchor in self.anchors:
            bounds.box("an anchor", anchor)
        bounds.whole("number of positions of a grid", self.count, 1, MOST_POSITIONS)

    @property
    def count(self) -> int:
        """Of positions."""
        return self.rows * self.columns * len(self.anchors)


@dataclass(frozen=True)
class Table:
    """Anchors that follow no formula.

    Attributes:
        anchors: One a position, in pixels of the input.
    """

    anchors: tuple[Box, ...]

    def __post_init__(self) -> None:
        bounds.whole("number of anchors of a table", len(self.anchors), 1, MOST_POSITIONS)
        for anchor in self.anchors:
            bounds.box("an anchor", anchor)

    @property
    def count(self) -> int:
        """Of positions."""
        return len(self.anchors)


@dataclass(frozen=True)
class Unplaced:
    """Positions without anchors: the network gives whole boxes.

    Attributes:
        count: Of positions.
    """

    count: int

    def __post_init__(self) -> None:
        bounds.whole("count of positions", self.count, 1, MOST_POSITIONS)


@dataclass(frozen=True)
class Proposed:
    """Positions are the regions that a first stage proposes: as many as there are."""

    @property
    def count(self) -> int:
        """0: not known before."""
        return 0


Places = Grid | Table | Unplaced | Proposed


@dataclass(frozen=True)
class Part:
    """Where some numbers of each position stand in the outputs.

    Layouts, for A anchors a cell and `width` numbers an anchor:
        "map": [N, A width, H, W], all numbers of the first anchor first.
        "map-last": [N, H, W, A width].
        "anchor-maps": [N, A, H, W, width].
        "rows": [N, positions, width]. "columns": [N, width, positions].

    Attributes:
        output: Which output, from 0.
        layout: One of the above.
        width: Numbers that the output holds of a position.
        first: The first of those that are meant.
        count: How many are meant.
        start: Of rows and columns: which is the level's first.
    """

    output: int
    layout: str
    width: int
    first: int
    count: int
    start: int = 0

    def __post_init__(self) -> None:
        bounds.whole("output of a part", self.output, 0, 1023)
        bounds.word("layout of a part", self.layout, LAYOUTS)
        bounds.whole("width of a part", self.width, 1, MOST_CHANNELS)
        bounds.whole("first of a part", self.first, 0, self.width - 1)
        bounds.whole("count of a part", self.count, 1, self.width - self.first)
        bounds.whole("start of a part", self.start, 0, MOST_POSITIONS)


@dataclass(frozen=True)
class Level:
    """The positions of one feature map, and where their numbers stand.

    Attributes:
        places: Of the positions.
        coder: Of boxes.
        boxes: Parts whose numbers, side by side, are what the coder reads: as many as it takes, or
            as many for each class.
        scores: A number for each class.
        objectness: One number more (YOLO's objectness, FCOS's centre-ness), or None.
    """

    places: Places
    coder: Coder
    boxes: tuple[Part, ...]
    scores: Part
    objectness: Part | None = None

    def __post_init__(self) -> None:
        bounds.whole("number of parts of boxes", len(self.boxes), 1, 16)
        if self.objectness is not None and self.objectness.count != 1:
            raise ValueError(f"objectness is one number a position, not {self.objectness.count}")
        if isinstance(self.coder, Darknet | YoloV5) and not isinstance(self.places, Grid):
            raise ValueError("the coder needs the steps of a grid, but the places are none")
        for part in self.parts:
            if part.layout in MAPS and not isinstance(self.places, Grid):
                raise ValueError(
                    f"output {part.output} is read as a map, but the places are no grid"
                )

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts."""
        more = () if self.objectness is None else (self.objectness,)
        return (*self.boxes, self.scores, *more)


@dataclass(frozen=True)
class Selection:
    """Which pairs of a position and a class are candidates.

    Attributes:
        above: Scores above this; None for all.
        most: No more than the highest of these, ties by index; None for all.
        within: What `most` counts in: each "level", each "class", or "all".
        classes: "all" classes of a position, or only its "best" (ties: the first).
        peaks: Only where no neighbour of the 3 x 3 in the map scores higher in the class.
    """

    above: float | None = 0.05
    most: int | None = None
    within: str = "all"
    classes: str = "all"
    peaks: bool = False

    def __post_init__(self) -> None:
        if self.above is not None:
            bounds.real("above of a selection", self.above)
        if self.most is not None:
            bounds.whole("most of a selection", self.most, 1, MOST_POSITIONS)
        bounds.word("within of a selection", self.within, ("level", "class", "all"))
        bounds.word("classes of a selection", self.classes, ("all", "best"))
        bounds.flag("peaks of a selection", self.peaks)


@dataclass(frozen=True)
class Suppression:
    """Non-maximum suppression.

    Attributes:
        overlap: More than this, intersection over union, removes a box.
        within: Boxes that remove each other: of a "class", of a "level", or "all".
    """

    overlap: float
    within: str = "class"

    def __post_init__(self) -> None:
        bounds.real("overlap of a suppression", self.overlap, 0.0, 1.0)
        bounds.word("within of a suppression", self.within, ("class", "level", "all"))


@dataclass(frozen=True)
class PostProcess:
    """From the raw outputs of a detector to its detections.

    Attributes:
        family: For people: what kind of detector this is.
        input_size: Height, width in pixels.
        levels: Of positions; indices of candidates run over levels, positions, classes.
        classes: Numbers of scores of a position, a background counted.
        activation: Of scores and objectness: "softmax" (of scores alone), "sigmoid", "none".
        combine: With objectness: "product", or its square "root".
        background: Class that is nothing, or None.
        select: Candidates.
        suppress: None for no suppression.
        most: Detections of a picture.
        smallest: Boxes with a shorter side are dropped, in pixels; 0 drops none.
        clip: Whether boxes are cut off at the input's border, before they are compared.
        names: Of classes, or empty.
    """

    family: str
    input_size: tuple[int, int]
    levels: tuple[Level, ...]
    classes: int
    select: Selection
    suppress: Suppression | None
    most: int
    activation: str = "sigmoid"
    combine: str = "product"
    background: int | None = None
    smallest: float = 0.0
    clip: bool = True
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_words(self)
        for side in self.input_size:
            bounds.whole("a side of the input", side, 1, 65536)
        bounds.whole("classes", self.classes, 1, 100_000)
        bounds.whole("most", self.most, 1, MOST_POSITIONS)
        bounds.real("smallest", self.smallest, 0.0)
        bounds.flag("clip", self.clip)
        if self.background is not None:
            bounds.whole("background", self.background, 0, self.classes - 1)
        bounds.whole("number of levels", len(self.levels), 1, 64)
        for number, level in enumerate(self.levels):
            _check_level(self, level, f"level {number}")


def _check_words(post: PostProcess) -> None:
    if not isinstance(post.family, str) or len(post.family) > 100:
        raise ValueError(f"family is {bounds.shown(post.family)}: it must be a word")
    bounds.word("activation", post.activation, ACTIVATIONS)
    bounds.word("combine", post.combine, ("product", "root"))
    if post.names and len(post.names) != post.classes:
        raise ValueError(f"{len(post.names)} names of {post.classes} classes")
    if not all(isinstance(name, str) and len(name) <= 1000 for name in post.names):
        raise ValueError("names of classes must be texts")
    if not isinstance(post.input_size, tuple) or len(post.input_size) != 2:
        raise ValueError(f"input_size is {bounds.shown(post.input_size)}: it must be height, width")


def _check_level(post: PostProcess, level: Level, place: str) -> None:
    """Raise ValueError unless a level gives what the coder, the classes and the selection need."""
    if level.scores.count != post.classes:
        raise ValueError(f"{place} has {level.scores.count} scores of {post.classes} classes")
    count, need = sum(part.count for part in level.boxes), numbers_of(level.coder)
    if count not in (need, need * post.classes):
        raise ValueError(f"{place} has {count} numbers of a box, its coder takes {need}")
    single = isinstance(level.places, Grid) and len(level.places.anchors) == 1
    if post.select.peaks and not single:
        raise ValueError(f"{place} is no grid of one anchor a cell: it has no peaks")


@dataclass(frozen=True)
class Pooling:
    """How regions are cut out of a pyramid of feature maps (RoIAlign, arXiv:1703.06870).

    Attributes:
        maps: Outputs of the first stage that are the pyramid's maps, the largest first.
        size: Bins along a side.
        sampling: Samples along a side of a bin.
        canonical: Side in pixels of a region that is cut out of level `canonical_level`.
        canonical_level: Level k has maps of 1 / 2^k the input's size.
        layout: Of the maps: "map" [N, C, H, W] or "map-last" [N, H, W, C].
    """

    maps: tuple[int, ...]
    size: int = 7
    sampling: int = 2
    canonical: float = 224.0
    canonical_level: int = 4
    layout: str = "map"

    def __post_init__(self) -> None:
        bounds.whole("number of maps", len(self.maps), 1, 16)
        for output in self.maps:
            bounds.whole("an output of maps", output, 0, 1023)
        bounds.whole("size of pooling", self.size, 1, 64)
        bounds.whole("sampling of pooling", self.sampling, 1, 16)
        bounds.real("canonical of pooling", self.canonical, 1.0)
        bounds.whole("canonical_level of pooling", self.canonical_level, 0, 16)
        bounds.word("layout of pooling", self.layout, ("map", "map-last"))


@dataclass(frozen=True)
class TwoStage:
    """Faster R-CNN: a first core proposes regions, a second one looks at each.

    Attributes:
        regions: From the first core's outputs to proposals; one class.
        pooling: Of proposals, for the second core.
        head: From the second core's outputs to detections; its positions are `Proposed`.
    """

    regions: PostProcess
    pooling: Pooling
    head: PostProcess

    def __post_init__(self) -> None:
        if self.regions.classes != 1:
            raise ValueError(f"regions have {self.regions.classes} classes: they are of one")
        if self.regions.input_size != self.head.input_size:
            raise ValueError("the two stages see inputs of different sizes")
        if [type(level.places) for level in self.head.levels] != [Proposed]:
            raise ValueError("the head has one level, whose positions are proposed")
