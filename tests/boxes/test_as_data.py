"""Descriptions as JSON: the same again, and nothing else is believed."""

from __future__ import annotations

import copy
import json

import pytest

from intaglio.boxes.anchors import (
    anchor_grids,
    default_boxes,
    point_grids,
    tf_default_boxes,
    yolo_grids,
)
from intaglio.boxes.as_data import KINDS, as_json, from_json
from intaglio.boxes.coders import Corners
from intaglio.boxes.families import centernet, corners, fcos, retinanet, ssd, tf_ssd
from intaglio.boxes.postprocess import Table
from intaglio.boxes.two_stage import fast_rcnn, faster_rcnn, rpn
from intaglio.boxes.yolo import yolo_decoded, yolo_free, yolov3, yolov5, yolox

INPUT = (64, 96)
MAPS = ((4, 6), (2, 3))
PYRAMID = anchor_grids(INPUT, MAPS, sizes=((16, 20), (32, 40)))
YOLO = yolo_grids(INPUT, (16, 32), [[(10, 13)], [(0.1 + 0.2, 1 / 3)]])
POINTS = point_grids(INPUT, MAPS, centre=0.5)
HEAD = fast_rcnn(INPUT, classes=3)
FAMILIES = {
    "ssd": ssd(INPUT, default_boxes(INPUT, MAPS, ratios=((2.0,),) * 2), classes=3),
    "tf_ssd": tf_ssd(INPUT, tf_default_boxes(INPUT, MAPS), classes=2, names=("nothing", "Katze ü")),
    "table": tf_ssd(INPUT, [Table(((0.0, 1.5, 2.0, 3.0),) * 4)], classes=2),
    "retinanet": retinanet(INPUT, PYRAMID, classes=5),
    "fcos": fcos(INPUT, POINTS, classes=5),
    "yolov3": yolov3(INPUT, YOLO, classes=5, stretches=(1.1, 1.05)),
    "yolov5": yolov5(INPUT, YOLO, classes=5),
    "yolox": yolox(INPUT, POINTS, classes=5),
    "yolo_free": yolo_free(INPUT, POINTS, classes=5),
    "yolo_decoded": yolo_decoded(INPUT, 24, classes=5),
    "centernet": centernet(INPUT, POINTS[0], classes=5),
    "corners": corners(INPUT, 7, classes=2, coder=Corners("input", "yxyx")),
    "rpn": rpn(INPUT, PYRAMID),
    "faster_rcnn": faster_rcnn(rpn(INPUT, PYRAMID), HEAD, (0, 1)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_description_is_the_same_after_a_file(name):
    post = FAMILIES[name]

    again = from_json(json.loads(json.dumps(as_json(post), allow_nan=False)))

    assert again == post
    assert as_json(again) == as_json(post)


def test_every_kind_of_places_and_coder_was_written():
    texts = [json.dumps(as_json(post)) for post in FAMILIES.values()]

    assert all(any(f'"kind": "{word}"' in text for text in texts) for word in KINDS.values())


def test_a_large_pyramid_is_a_small_file():
    maps = ((100, 100), (50, 50), (25, 25), (13, 13), (7, 7))
    grids = anchor_grids((800, 800), maps, sizes=((32, 40, 50),) * 5)

    assert len(json.dumps(as_json(retinanet((800, 800), grids, classes=91)))) < 5000


def changed(path, value):
    """The data of a file in which one value is another, or, for `...`, is not there."""
    data = copy.deepcopy(as_json(FAMILIES["retinanet"]))
    *above, last = path
    place = data
    for step in above:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


GRID = ("levels", 0, "places")
WRONG = [
    (("format",), 99, "format 99"),
    (("format",), ..., "format None"),
    (("kind",), "three_stage", "kind 'three_stage': it must be one of one_stage, two_stage"),
    (("kind",), ..., "kind None"),
    (("kind",), ["one_stage"], "kind a list"),
    (("surprise",), 1, "postprocess has unknown 'surprise'"),
    (("levels", 1, "surprise"), 1, r"postprocess\.levels\[1\] has unknown 'surprise'"),
    (("most",), ..., "postprocess has missing 'most'"),
    (("most",), "300", r"postprocess\.most is '300': it must be of type int"),
    (("most",), True, "it must be of type int"),
    (("most",), 3.0, "it must be of type int"),
    (("most",), None, "it must be of type int"),
    (("most",), 0, "most is 0: it must be a whole number from 1"),
    (("most",), 10**400, "most is 1000"),
    (("clip",), 1, "it must be of type bool"),
    (("activation",), "exec", "activation is 'exec': it must be one of softmax, sigmoid, none"),
    (("family",), "x" * 101, "family is"),
    (("input_size",), [64], "has 1 entries: it must have 2"),
    (("input_size",), 64, "it must be a list"),
    (("input_size", 0), 10**9, "a side of the input is"),
    (("classes",), 6, "level 0 has 5 scores of 6 classes"),
    (("names",), ["only one"], "1 names of 5 classes"),
    (("names",), {"0": "a"}, "names is an object of 1"),
    (("levels",), [], "number of levels"),
    (("levels", 0), 7, r"levels\[0\] is 7: it must be an object"),
    ((*GRID, "kind"), "os.system", "kind 'os.system': it must be one of grid, table"),
    ((*GRID, "rows"), -3, r"postprocess\.levels\[0\]\.places: rows of a grid is -3"),
    ((*GRID, "rows"), 10**8, "rows of a grid"),
    ((*GRID, "step_y"), float("nan"), "step_y of a grid is nan"),
    ((*GRID, "step_y"), float("inf"), "step_y of a grid is inf"),
    ((*GRID, "step_y"), 10**400, "step_y of a grid is 1000"),
    ((*GRID, "anchors"), [[0, 0, 1]], r"anchors\[0\] has 3 entries"),
    ((*GRID, "anchors"), [[0, 0, -1, 1]], "must not lie before"),
    ((*GRID, "anchors", 0, 0), "0", r"anchors\[0\]\[0\] is '0'"),
    (("levels", 0, "coder", "weights"), [1, 1, 1, 0], "a weight of deltas is 0"),
    (("levels", 0, "coder", "kind"), "grid", "kind 'grid': it must be one of deltas"),
    (("levels", 0, "boxes", 0, "output"), 5000, "output of a part is 5000"),
    (("levels", 0, "boxes", 0, "layout"), "heap", "layout of a part is 'heap'"),
    (("levels", 0, "boxes", 0, "count"), 3, "level 0 has 3 numbers of a box"),
    (("select", "above"), "0.5", r"select\.above is '0\.5'"),
    (("suppress", "overlap"), 1.5, "overlap of a suppression is 1.5"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=lambda part: str(part)[:40])
def test_what_is_wrong_is_refused_and_named(path, value, message):
    with pytest.raises(ValueError, match=message):
        from_json(changed(path, value))


@pytest.mark.parametrize("data", [None, 1, "text", [], {}, [{"format": 1}]])
def test_what_is_no_description_is_refused(data):
    with pytest.raises(ValueError, match="post-processing has format"):
        from_json(data)


def test_messages_stay_short_whatever_a_file_holds():
    with pytest.raises(ValueError, match="family") as caught:
        from_json(changed(("family",), ["x"] * 10_000))
    with pytest.raises(ValueError, match="unknown") as other:
        from_json(changed(("x" * 100_000,), 1))
    with pytest.raises(ValueError, match="family") as third:
        from_json(changed(("family",), "x" * 100_000))

    assert len(str(caught.value)) < 300
    assert len(str(third.value)) < 300
    assert len(str(other.value)) < 500
