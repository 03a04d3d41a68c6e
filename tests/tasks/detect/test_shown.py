"""What a detector's evaluation shows: on the page, on a terminal, and from report.json again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tasks.detect.scenes import detections, truth
from torch import Tensor

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Category, Placement
from intaglio.errors import RequestError
from intaglio.report.detection import ClassRow, Detection
from intaglio.report.html import render_html
from intaglio.report.record import DataSource, FloatSide, IntegerSide, Report
from intaglio.report.shown import NOTHING
from intaglio.report.text import as_text, summary_lines
from intaglio.tasks.detect.average_precision import MEASURES
from intaglio.tasks.detect.detect import WORDING, Detect
from intaglio.tasks.detect.meter import AveragePrecision
from intaglio.tasks.detect.scenes import scene_of
from intaglio.tasks.detect.worst import WorstPictures
from intaglio.tasks.evaluate import compared, side_by_side
from intaglio.tasks.task import Outputs, Showing
from intaglio.tasks.values import VALUES

A, B, C = (0.0, 0.0, 8.0, 8.0), (8.0, 8.0, 16.0, 16.0), (0.0, 8.0, 8.0, 16.0)
NAMES = ("cat", "<b>dog</b>")
AP50 = MEASURES["ap50"]
CAT = round(100 * (67 * 1 + 34 * 3 / 4) / 101, 2)
"""Right, right, wrong (where there is none), right: of the recalls 0, 0.01 .. 1 the 67 up to two of
three objects have precision 1, the others 3/4."""


def read(outputs: Outputs) -> list[Detections]:
    """Outputs [N, boxes, 6] are left, top, right, bottom, score, class."""
    return [
        detections(*((row[:4], row[4], int(row[5])) for row in rows.tolist() if row[4] > 0))
        for rows in outputs[0]
    ]


@dataclass(frozen=True, eq=False)
class Boxes(Detect):
    """The task, of networks whose outputs are boxes."""

    categories: tuple[Category, ...] = tuple(Category(9, name) for name in NAMES)

    def read(self, outputs: Outputs) -> list[Detections]:
        """Return the rows."""
        return read(outputs)

    def meter(self, names: Sequence[str]) -> AveragePrecision:
        """Return a meter of them."""
        return AveragePrecision(read, kind="coco_counted", names=NAMES)


def network(rows: Sequence[Sequence[tuple]]):
    """Return a network that finds these rows (box, score, class), whatever pictures show."""
    made = torch.zeros(len(rows), 4, 6)
    for picture, found in enumerate(rows):
        for place, (box, score, number) in enumerate(found):
            made[picture, place] = torch.tensor([*box, score, number])
    left = iter(made)
    return lambda images: [torch.stack([next(left) for _ in images])]


SEEN = [
    [(A, 0.9, 0), (B, 0.8, 1)],
    [(A, 0.9, 0), (C, 0.6, 0)],
    [(A, 0.5, 0)],
]
FOUND = [
    [(A, 0.7, 0)],  # B is lost
    [(A, 0.9, 0), (C, 0.6, 0)],
    [(A, 0.5, 0)],
]
TRUTHS = [truth((A, 0), (B, 1)), truth((A, 0), (B, 1), crowd=[1]), truth((A, 0))]


def evaluated(*, looks: bool = True):
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    truths = [replace(one, size=(16, 16), placement=Placement()) for one in TRUTHS]
    batches = [(images[:2], truths[:2]), (images[2:], truths[2:])]
    found = side_by_side(
        network(SEEN), [network(FOUND)], batches, Boxes(), names=["boxes"], looks=looks
    )
    return compared(found[0], {"mean": None}), images


@pytest.fixture(scope="module")
def shown():
    return evaluated()[0].shown


def test_numbers_say_what_each_class_lost_and_how_many_boxes_both_find(shown):
    assert shown.detection.per_class == [
        ClassRow(NAMES[1], 1, 100.0, 0.0),
        ClassRow("cat", 3, CAT, CAT),
    ]
    assert shown.detection.matched_percent == pytest.approx(100 * 4 / 5)


def test_the_picture_that_lost_a_box_is_first_and_each_has_three_views(shown):
    curves, pictures = shown.sections

    first, *others = pictures.body.scenes
    assert first.told == (
        "Picture 1: 1 of 2 boxes found by both; AP50 100.00 % in float, 50.00 % in integers."
    )
    assert [scene.told.split(":")[0] for scene in others] == ["Picture 2", "Picture 3"]
    assert [view.title for view in first.views] == [
        "Float: 2 boxes",
        "Integer: 1 box",
        "Labels: 2 boxes",
    ]
    assert [[(mark.kind, mark.text) for mark in view.marks] for view in first.views] == [
        [("alone", f"{NAMES[1]} 0.80"), ("both", "cat 0.90")],
        [("both", "cat 0.70")],
        [("truth", "cat"), ("truth", NAMES[1])],
    ]
    assert {mark.kind for mark in others[0].views[2].marks} == {"truth", "crowd"}
    assert curves.body.drawn["curves"][1]["name"] == NAMES[1]


def test_boxes_are_scaled_with_their_picture(shown):
    first = shown.sections[1].body.scenes[0]

    mark = first.views[0].marks[0]

    assert (first.width, first.height) == (320, 320)  # 16 pixels, 20 times as large
    assert (mark.left, mark.top, mark.width, mark.height) == (160.0, 160.0, 160.0, 160.0)


def test_without_a_look_there_are_numbers_and_no_pictures():
    found, _ = evaluated(looks=False)

    assert [section.key for section in found.shown.sections] == ["curves-plot"]
    assert found.shown.detection.per_class


def test_a_task_without_such_things_shows_nothing():
    images = torch.rand(2, 3, 4, 4)

    (side,) = side_by_side(
        lambda batch: batch,
        [lambda batch: batch],
        [(images, images)],
        VALUES,
        names=["map"],
        looks=True,
    )

    assert compared(side).shown is NOTHING
    assert isinstance(Boxes().meter(["x"]), Showing)
    assert not isinstance(VALUES.meter(["x"]), Showing)


def scene(image: Tensor, preprocess) -> np.ndarray:
    worst = WorstPictures()
    worst.add(image, detections(), detections(), truth())
    made = scene_of(worst.kept[0], (), preprocess, AP50)
    assert made.told == "Picture 1: neither network finds a box; no object is labelled."
    return np.asarray(Image.open(io.BytesIO(made.jpeg)))


def test_the_pixels_are_those_before_the_preparation():
    pixels = torch.tensor([200.0, 100.0, 50.0]).reshape(3, 1, 1).expand(3, 16, 16)
    mean, std = [0.5, 0.25, 0.0], [0.5, 0.5, 2.0]
    image = (pixels / 255.0 - torch.tensor(mean).reshape(3, 1, 1)) / torch.tensor(std).reshape(
        3, 1, 1
    )

    seen = scene(image, {"mean": mean, "std": std})

    # JPEG rounds three colours of its own, and one flat one comes back within two steps
    assert np.abs(seen.astype(int) - [200, 100, 50]).max() <= 2


def test_images_of_one_channel_are_shown_in_grey():
    assert scene(torch.full((1, 16, 16), 0.5), {"mean": None}).shape == (16, 16)


@pytest.fixture(scope="module")
def report(shown) -> Report:
    return Report(
        intaglio="0",
        model="net",
        target="litert",
        runtime="x",
        scheme="w8a8 per-channel",
        data=DataSource("calib", images=3),
        preprocess={},
        float=FloatSide(4, 1, 1, figures={"ap": 50.0}, n=3),
        integer=IntegerSide(1, figures={"ap": 40.0}, n=3),
        task="detect",
        detection=shown.detection,
        wording=WORDING,
    )


def test_report_json_holds_the_numbers_and_gives_them_back(report):
    plain = report.to_dict()

    assert plain["detection"] == {
        "per_class": [
            {"name": NAMES[1], "objects": 1, "float_ap50": 100.0, "ap50": 0.0},
            {"name": "cat", "objects": 3, "float_ap50": CAT, "ap50": CAT},
        ],
        "matched_percent": 80.0,
    }
    again = Report.from_dict(plain, WORDING)
    assert again.to_dict() == plain
    assert as_text(again) == as_text(report)
    assert render_html(again, {}) == render_html(report, {})


@pytest.mark.parametrize(
    ("key", "value"), [("ap50", 101.0), ("ap50", None), ("objects", -1), ("name", 3)]
)
def test_a_report_json_of_a_stranger_is_refused_by_the_value_that_is_wrong(report, key, value):
    plain = report.to_dict()
    plain["detection"]["per_class"][1][key] = value

    with pytest.raises(RequestError, match=rf"detection\.per_class\.1\.{key}"):
        Report.from_dict(plain, WORDING)


def test_text_tells_the_share_and_the_classes_that_lost_and_no_other(report):
    text = as_text(report)

    assert "80.00 % of those that either network finds" in text
    assert "2 with objects; 1 lost AP50, 0 gained" in text
    lost = text[text.index("Classes that lost most") :]
    assert f"{NAMES[1]}         1     100.00 %         0.00 %   -100.00" in lost
    assert "cat" not in lost
    assert [line for line in summary_lines(report) if "either network" in line] == [
        "Same boxes: 80.00 % of those that either network finds, both find"
    ]


def test_a_report_without_an_evaluation_tells_nothing_of_boxes(report):
    without = replace(report, detection=None)

    assert "detection" not in without.to_dict()
    assert "Boxes, class by class" not in as_text(without)
    nothing = replace(report, detection=Detection([]))
    assert "class by class" not in render_html(nothing, {})
