"""Files that end in boxes: the runtime finds what `boxes.detect` finds in the same outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from flatbuffers import flexbuffers
from PIL import Image

from intaglio.boxes import families
from intaglio.boxes.coders import Deltas, Distances
from intaglio.boxes.detect import detections
from intaglio.boxes.detections import Detections
from intaglio.boxes.heads import together
from intaglio.boxes.postprocess import Grid, PostProcess, Selection, Suppression, TwoStage
from intaglio.errors import RequestError
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.file.detection_end import packed_options
from intaglio.runtimes.litert.file.detection_fit import (
    anchors_of,
    differences,
    misfit,
    names_of,
    nearest,
    options_of,
)
from intaglio.runtimes.litert.format.verify import verify
from intaglio.store.weights import load_weights
from intaglio.zoo.catalog import ZOO
from intaglio.zoo.ssd_mobilenet_v1 import ssd_mobilenet_v1
from runtimes.litert.file.ends import (
    ONE,
    SIZE,
    detector,
    end_file,
    ended,
    random_outputs,
    reference_end,
    shapes_of,
)

ROUNDING = 1e-6
"""Of the largest coordinate: some eight roundings of float32 of 6e-8 each in `boxes.decode`, and
the error of its exponents, up to 4 times as large; the op computes in double and rounds thrice."""
SCORES = 1e-6
"""The delegate's sigmoid and softmax are right to a few roundings."""
WHITE = 255 / 2


def assert_same(found: Detections, own: Detections) -> None:
    """Both have the same detections, in order."""
    assert len(found) == len(own)
    assert found.classes.tolist() == own.classes.tolist()
    assert np.abs(found.scores - own.scores).max(initial=0) <= SCORES
    largest = np.abs(own.boxes).max(initial=1)
    assert np.abs(found.boxes - own.boxes).max(initial=0) <= ROUNDING * largest


def own_of(post: PostProcess, outputs) -> Detections:
    (own,) = detections(nearest(post), outputs)
    return own


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("layout", ["map", "map-last", "anchor-maps", "rows", "columns"])
def test_the_runtime_finds_the_same_boxes_in_order_in_whatever_layout(
    layout: str, seed: int
) -> None:
    post = detector(layout)
    outputs = random_outputs(post, seed)

    own = own_of(post, outputs)

    assert len(own) > 50  # of softmax over four classes many are above 0.01
    assert_same(ended(post, outputs), own)


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE], ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("ssd", {}),
        ("tf_ssd", {}),
        ("tf_ssd", {"activation": "none"}),
        ("retinanet", {}),
        ("retinanet", {"classes": 1}),
    ],
)
def test_both_targets_do_so_for_softmax_sigmoid_and_neither(target, family: str, settings) -> None:
    post = detector("rows", family, **settings)
    outputs = random_outputs(post, 7)

    own = own_of(post, outputs)

    assert len(own) > 20
    assert_same(ended(post, outputs, target), own)


def test_the_same_with_no_more_detections_than_are_asked_for() -> None:
    for most in (1, 2, 5):
        post = replace(detector("map"), most=most)
        outputs = random_outputs(post, most)

        found = ended(post, outputs)

        assert len(found) == most
        assert_same(found, own_of(post, outputs))


def test_the_best_class_alone_is_the_fast_suppression() -> None:
    post = replace(
        detector("rows"), select=Selection(0.3, classes="best"), suppress=Suppression(0.4, "all")
    )
    outputs = random_outputs(post, 3)

    assert options_of(post)["use_regular_nms"] is False
    own = own_of(post, outputs)
    assert len(own) > 10
    assert len({tuple(box) for box in own.boxes.tolist()}) == len(own)  # one class a position
    assert_same(ended(post, outputs), own)


def test_a_background_that_is_last_is_left_out_behind_the_softmax() -> None:
    post = replace(detector("rows"), background=3)
    outputs = random_outputs(post, 4)

    own = own_of(post, outputs)

    assert set(own.classes.tolist()) == {0, 1, 2}
    assert_same(ended(post, outputs), own)


def test_where_boxes_are_not_cut_off_and_candidates_are_not_dropped_nothing_differs() -> None:
    post = detector("map")
    assert len(differences(post)) == 2
    assert differences(nearest(post)) == ()
    outputs = random_outputs(post, 5)

    cut = detections(post, outputs)[0]

    found = ended(post, outputs)
    assert found.boxes.min() < 0  # which `clip` would not leave
    assert cut.boxes.min() >= 0


def test_equal_scores_are_found_in_any_order_and_nothing_else_is() -> None:
    post = replace(detector("rows", "tf_ssd"), most=40)
    outputs = random_outputs(post, 11)
    outputs[1] = np.round(outputs[1] * 2) / 2  # as integers make them: few values, many ties

    found, own = ended(post, outputs), own_of(post, outputs)

    assert len(set(own.scores.tolist())) < len(own)
    last = own.scores.min()  # which of these are kept is not said
    pairs = [
        sorted(
            (round(float(score), 5), int(kind), *np.round(box, 2).tolist())
            for score, kind, box in zip(one.scores, one.classes, one.boxes, strict=True)
            if score > last + SCORES
        )
        for one in (found, own)
    ]
    assert len(pairs[0]) > 10
    assert pairs[0] == pairs[1]


def one_box(**settings) -> PostProcess:
    made = families.tf_ssd(SIZE, [ONE], classes=2, heads=together(), activation="none")
    return replace(made, **settings)


def given(box, score: float) -> list[np.ndarray]:
    return [np.asarray([[box]], np.float32), np.asarray([[[0.0, score]]], np.float32)]


def test_a_box_is_where_the_formula_says() -> None:
    """Anchor 20 x 10 at (40, 30): y + 2 / 10 * 10, x - 1 / 10 * 20, height e, width e^2 times."""
    found = ended(one_box(), given([2, -1, 5, 10], 0.75))

    e = np.e
    expected = [38 - 10 * e**2, 32 - 5 * e, 38 + 10 * e**2, 32 + 5 * e]
    assert np.abs(found.boxes[0] - expected).max() < ROUNDING * 120
    assert found.scores.tolist() == [0.75]
    assert found.classes.tolist() == [1]


@pytest.mark.parametrize("order", ["xywh", "yxhw"])
def test_growth_ends_at_the_coders_limit(order: str) -> None:
    coder = Deltas((10.0, 10.0, 5.0, 4.0), limit=1.0, order=order)
    level = replace(one_box().levels[0], coder=coder)
    post = one_box(levels=(level,))
    grown = [0, 0, 8, 100] if order == "xywh" else [0, 0, 100, 8]  # width by 8 / 5, height by all

    found = ended(post, given(grown, 0.75))

    e = np.e  # both are above the limit of 1
    assert np.abs(found.boxes[0] - [40 - 10 * e, 30 - 5 * e, 40 + 10 * e, 30 + 5 * e]).max() < 1e-4
    small = ended(post, given([0, 0, 0.5, 0.5], 0.75))
    assert np.abs(small.boxes[0, 2] - (40 + 10 * np.exp(0.1))) < 1e-4  # below it nothing is held


def test_a_score_at_the_threshold_is_no_candidate_and_the_next_number_is() -> None:
    post = one_box(select=Selection(0.3))
    threshold = np.float32(0.3)

    assert len(ended(post, given([0, 0, 0, 0], float(threshold)))) == 0
    above = np.nextafter(threshold, np.float32(1))
    assert ended(post, given([0, 0, 0, 0], float(above))).scores.tolist() == [above]


def test_without_a_threshold_every_position_is_a_candidate() -> None:
    post = replace(one_box(select=Selection(None)), background=None)

    outputs = [np.zeros((1, 1, 4), np.float32), np.asarray([[[-7.0, -8.0]]], np.float32)]

    assert ended(post, outputs).scores.tolist() == [-7.0, -8.0]


def test_boxes_that_overlap_by_the_limit_stay_and_by_more_go() -> None:
    """Two boxes of 20 x 10, one shifted by a third of its width: 2 / 3 of 4 / 3 is a half."""
    wide = Grid(1, 1, 60, 80, 30, 40, ((-15.0, -5.0, 15.0, 5.0), (-5.0, -5.0, 25.0, 5.0)))
    made = families.tf_ssd(SIZE, [wide], classes=2, heads=together(), activation="none")
    outputs = [np.zeros((1, 2, 4), np.float32), np.asarray([[[0, 0.9], [0, 0.8]]], np.float32)]

    for overlap, kept in ((0.51, 2), (0.49, 1), (0.0, 1)):
        post = replace(made, suppress=Suppression(overlap))
        assert len(ended(post, outputs)) == kept, overlap


def test_boxes_that_do_not_touch_stay_where_any_overlap_removes() -> None:
    apart = Grid(1, 1, 60, 80, 30, 40, ((-15.0, -5.0, 0.0, 5.0), (0.0, -5.0, 25.0, 5.0)))
    made = families.tf_ssd(SIZE, [apart], classes=2, heads=together(), activation="none")
    outputs = [np.zeros((1, 2, 4), np.float32), np.asarray([[[0, 0.9], [0, 0.8]]], np.float32)]

    assert len(ended(replace(made, suppress=Suppression(0.0)), outputs)) == 2


def test_the_options_are_read_back_and_floats_take_four_bytes() -> None:
    options = options_of(detector("map"))

    read = flexbuffers.Loads(packed_options(options))

    assert read.keys() == options.keys()
    for name, value in options.items():
        assert read[name] == (np.float32(value) if isinstance(value, float) else value)
    assert len(packed_options({"a": 0.1})) == len(packed_options({"a": 0.5}))


def test_a_published_file_has_the_options_and_anchors_of_its_network(data_pack) -> None:
    """SSD MobileNetV1: it keeps ten, and what scores above 1e-8; its anchors are 8-bit steps."""
    options, anchors, step = reference_end(data_pack)
    post = ssd_mobilenet_v1().postprocess((300, 300))
    own = options_of(post)

    alike = ("num_classes", "x_scale", "y_scale", "w_scale", "h_scale", "max_classes_per_detection")
    assert {name: options[name] for name in alike} == {name: own[name] for name in alike}
    assert options["nms_iou_threshold"] == own["nms_iou_threshold"]
    held = np.clip(anchors_of(post), anchors.min(), anchors.max())  # those beyond are cut off there
    assert np.abs(held - anchors).max() < 2 * step


def test_in_a_real_picture_the_runtime_finds_the_same_boxes(data_pack) -> None:
    network = ssd_mobilenet_v1().eval()
    weights = data_pack / "weights/ssd_mobilenet_v1_coco_300_dequant.safetensors"
    load_weights(network, weights, layouts=ZOO["ssd_mobilenet_v1"].layouts)
    path = min((data_pack / "coco128" / "images").iterdir())
    image = Image.open(path).convert("RGB").resize((300, 300), Image.Resampling.BILINEAR)
    values = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / WHITE - 1
    with torch.no_grad():
        outputs = [output.numpy() for output in network(values)]
    post = network.postprocess((300, 300))

    own = own_of(post, outputs)

    assert len(own) > 10
    assert_same(ended(post, outputs), own)


def test_names_are_those_of_the_op_without_the_background() -> None:
    named = detector("map", names=("nothing", "cat", "dog", "cow"))

    assert names_of(named, ("a", "b", "c")) == ("cat", "dog", "cow")
    assert names_of(detector("map"), ("a", "b", "c")) == ("a", "b", "c")
    assert names_of(detector("map"), ("-", "a", "b", "c")) == ("a", "b", "c")
    assert names_of(detector("map"), ("a", "b")) == ()
    assert names_of(detector("map", "retinanet"), ("a", "b", "c", "d")) == ("a", "b", "c", "d")
    last = replace(detector("map"), background=3)
    assert names_of(last, ("a", "b", "c", "-")) == ("a", "b", "c")


def changed(**settings) -> PostProcess:
    return replace(detector("map"), **settings)


def with_levels(**settings) -> PostProcess:
    post = detector("map")
    return replace(post, levels=tuple(replace(level, **settings) for level in post.levels))


def of_two_coders() -> PostProcess:
    first, second = detector("map").levels
    return changed(levels=(first, replace(second, coder=Deltas((1.0, 1.0, 1.0, 1.0)))))


REFUSED = [
    (None, "not known"),
    (with_levels(coder=Distances()), "not coded as deltas"),
    (of_two_coders(), "coded in different ways"),
    (changed(background=2), "neither the first nor the last"),
    (changed(suppress=None), "nothing is suppressed"),
    (
        changed(suppress=Suppression(0.5, "all")),
        "are 'all', and boxes that remove each other 'all'",
    ),
    (changed(suppress=Suppression(0.5, "level")), "remove each other 'level'"),
    (
        changed(select=Selection(0.1, classes="best")),
        "are 'best', and boxes that remove each other 'class'",
    ),
    (changed(smallest=2.0), "below 2 pixels"),
    (families.centernet(SIZE, ONE, classes=3), "not coded as deltas"),
]


@pytest.mark.parametrize(("post", "why"), REFUSED)
def test_what_the_op_has_no_words_for_is_refused(post: PostProcess | None, why: str) -> None:
    shapes = shapes_of(detector("map"))

    assert why in str(misfit(post, shapes))


def test_two_stages_are_refused() -> None:
    assert "two stages" in str(misfit(TwoStage.__new__(TwoStage), []))


def test_outputs_that_are_not_what_is_read_are_refused_by_name() -> None:
    post = detector("map")
    shapes = shapes_of(post)
    assert misfit(post, shapes) is None

    assert "output 3 is read, and the network has 3" in str(misfit(post, shapes[:3]))
    wrong = [*shapes[:1], (1, 16, 3, 2), *shapes[2:]]
    assert "output 1 is [16, 3, 2] for a picture" in str(misfit(post, wrong))
    with pytest.raises(RequestError, match="cannot end in boxes: output 1 is"):
        end_file(post, wrong)


@pytest.mark.parametrize("layout", ["map", "rows"])
def test_the_file_is_sound_and_the_same_each_time(layout: str) -> None:
    post = detector(layout)
    content = end_file(post, shapes_of(post))

    verify(content, "model.tflite")
    assert content == end_file(post, shapes_of(post))
